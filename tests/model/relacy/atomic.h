/* SPDX-License-Identifier: MIT */
/*
 * What mapcache/atomic.h gives, from Relacy: every operation of the shipped code is one that
 * the checker knows. Include this before any header of the library.
 */
#ifndef TESTS_MODEL_RELACY_ATOMIC_H
#define TESTS_MODEL_RELACY_ATOMIC_H

#include <relacy/relacy.hpp>

/* Relacy puts its own in the place of these, for tests that it runs as they are. */
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

#define MAPCACHE_ATOMIC_PROVIDED

typedef rl::atomic<uint64_t> mapcache_atomic_u64;
typedef rl::atomic<uint32_t> mapcache_atomic_u32;

#define mapcache_load_relaxed(p) ((p)->load(rl::mo_relaxed, RL_INFO))
#define mapcache_load_own(p) mapcache_load_relaxed(p)
#define mapcache_load_acquire(p) ((p)->load(rl::mo_acquire, RL_INFO))
#define mapcache_store_relaxed(p, v) ((p)->store((v), rl::mo_relaxed, RL_INFO))
#define mapcache_store_release(p, v) ((p)->store((v), rl::mo_release, RL_INFO))
#define mapcache_add_relaxed(p, v) ((p)->fetch_add((v), rl::mo_relaxed, RL_INFO))
#define mapcache_add_release(p, v) ((p)->fetch_add((v), rl::mo_release, RL_INFO))
#define mapcache_add_seq_cst(p, v) ((p)->fetch_add((v), rl::mo_seq_cst, RL_INFO))
#define mapcache_replace_acq_rel(p, old, wanted)                                                   \
	((p)->compare_exchange_strong(*(old), (wanted), rl::mo_acq_rel, RL_INFO, rl::mo_acquire,   \
				      RL_INFO))
#define mapcache_fence_acquire() rl::atomic_thread_fence(rl::mo_acquire, RL_INFO)
#define mapcache_fence_release() rl::atomic_thread_fence(rl::mo_release, RL_INFO)
#define mapcache_fence_seq_cst() rl::atomic_thread_fence(rl::mo_seq_cst, RL_INFO)
#define mapcache_hot_load_acquire(p) mapcache_load_acquire(p)
#define mapcache_hot_store_release(p, v) mapcache_store_release(p, v)
/* The compiler's order is the order of the source here. */
#define mapcache_order_after(location, a, b) ((void)0)
/* An entry has the size of Relacy's atomics here: it is found by its number. */
#define MAPCACHE_ENTRY_SHIFT 0
#define mapcache_entry_at(table, number) (&(table)[number])
#define mapcache_fence_light() rl::atomic_signal_fence(rl::mo_seq_cst, RL_INFO)

#endif
