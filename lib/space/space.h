/* SPDX-License-Identifier: MIT */
/*
 * space: the address space of a cache, what is mapped in it, and the only calls of the
 * backend's map and unmap. It promises to the rooms above: a slot is one bucket of address space
 * that nobody else uses; no other thread's memory is touched, whatever the backend does (H); the
 * budget of kernel mappings holds; unmapping works at the kernel's limit.
 *
 * Locks: the arena's and the placeholders', none held across a backend call (G).
 * Guarantees: G, H.
 */
#ifndef MAPCACHE_SPACE_H
#define MAPCACHE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

struct placeholder;

int space_init(struct mapcache *cache);
void space_destroy(struct mapcache *cache);
/* In a child after fork(2), where locks must not be touched: the address space only. */
void space_abandon(struct mapcache *cache);
/* Slots that were ever taken: those past them are FREE. */
uint64_t space_slots(struct mapcache *cache);
/* Those that can ever be, the clients' spare ones included. */
uint64_t space_slots_max(const struct mapcache *cache);
void space_stats(struct mapcache *cache, struct mapcache_stats *stats);

/* Whether the backend maps where it is told. */
bool space_fixed(const struct mapcache *cache);

/*
 * The budget of kernel mappings. Before each map call it takes what that may need; false: there
 * is not so much, release something first. last: for the one look-up that must not fail for want
 * of room. The map call uses it up.
 */
bool space_take(struct mapcache *cache, bool last);
void space_untake(struct mapcache *cache);
/* Most of it is used: what is mapped should be mapped whole, and what is retired go. */
bool space_tight(struct mapcache *cache);

/* source.c: memory that stands in for the guest's */
/* Whether a placeholder is part of it and part not. */
bool source_straddles(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* All placeholders inside are there no more; what shows them keeps their memory. They are to be
 * settled: back where they were, or gone. */
struct placeholder *source_hide(struct mapcache *cache, uint64_t gpa, uint64_t len);
void source_settle(struct mapcache *cache, struct placeholder *hidden, bool back);

#endif
