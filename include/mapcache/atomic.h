/* SPDX-License-Identifier: MIT */
/*
 * The one place that names atomic operations.
 *
 * Public because the hit path is inlined into the caller (mapcache/inline.h). Not an
 * interface: use mapcache/mapcache.h. C11 and C++ callers both compile this, hence the
 * compiler's __atomic builtins and not <stdatomic.h>.
 *
 * A model checker can put its own types and operations here: define
 * MAPCACHE_ATOMIC_PROVIDED and give every name below (see tests/model).
 */
#ifndef MAPCACHE_ATOMIC_H
#define MAPCACHE_ATOMIC_H

#include <stdint.h>

#ifndef MAPCACHE_ATOMIC_PROVIDED

/*
 * 32-bit processes align 64 bits to 4 bytes in structs; what lies across two cache lines is
 * read and written in two halves there, whatever the instruction.
 */
typedef uint64_t mapcache_atomic_u64 __attribute__((aligned(8)));
typedef uint32_t mapcache_atomic_u32;
#ifdef __cplusplus
static_assert(__alignof__(mapcache_atomic_u64) == 8, "never across two cache lines");
#else
_Static_assert(__alignof__(mapcache_atomic_u64) == 8, "never across two cache lines");
#endif

#define mapcache_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
/* Of what this thread alone writes: no atomic access, so that a compiler may compare in place. */
#define mapcache_load_own(p) (*(p))
#define mapcache_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define mapcache_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define mapcache_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define mapcache_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define mapcache_add_release(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELEASE)
#define mapcache_add_seq_cst(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
/* Whether *p was *old, and is new now; else *old is what it was. Acquire and release. */
#define mapcache_replace_acq_rel(p, old, new)                                                      \
	__atomic_compare_exchange_n((p), (old), (new), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define mapcache_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define mapcache_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
#define mapcache_fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Orders this thread's accesses for the compiler, not for the processor. */
#define mapcache_fence_light() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/*
 * The hot path's acquire and release. x86 keeps loads in order with loads, and stores with
 * what comes before them, so there the compiler alone needs to be held back, and only where
 * the protocol says so (mapcache_order_after): a builtin would make it forget all it has in
 * registers. Thread sanitizer wants to see the real ones.
 */
#if defined(__SANITIZE_THREAD__)
#define MAPCACHE_HOT_IN_ORDER 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAPCACHE_HOT_IN_ORDER 0
#endif
#endif
#ifndef MAPCACHE_HOT_IN_ORDER
#if defined(__x86_64__) || defined(__i386__)
#define MAPCACHE_HOT_IN_ORDER 1
#else
#define MAPCACHE_HOT_IN_ORDER 0
#endif
#endif
#if MAPCACHE_HOT_IN_ORDER
#define mapcache_hot_load_acquire(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define mapcache_hot_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#else
#define mapcache_hot_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define mapcache_hot_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#endif

#endif /* MAPCACHE_ATOMIC_PROVIDED */

/*
 * The compiler reads through pointers a and b only after it has done all earlier accesses of
 * *location: the cheap half of membarrier(2), which makes the processor do the same.
 */
#ifndef mapcache_order_after
#define mapcache_order_after(location, a, b)                                                       \
	__asm__ volatile("" : "+r"(a), "+r"(b) : "m"(*(location)))
#endif

#define mapcache_likely(x) __builtin_expect(!!(x), 1)
#define mapcache_unlikely(x) __builtin_expect(!!(x), 0)

#endif
