/* SPDX-License-Identifier: MIT */
/*
 * space: the address space of a cache, what is mapped in it, and the only calls of the
 * backend's map and unmap. It promises to the rooms above: a slot is one bucket of address space
 * that nobody else uses; no other thread's memory is touched, whatever the backend does (H); the
 * budget of kernel mappings holds; unmapping works at the kernel's limit.
 *
 * Locks: the arena's, the places' and the placeholders', none held across a backend call (G).
 * Guarantees: G, H.
 */
#ifndef MAPCACHE_SPACE_H
#define MAPCACHE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

#include "lib/space/reserve.h"

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

/* As backend->unmap() and, with keep, the reservation over it; counted, and with the ballast
 * dropped if need be. */
int space_unmap(struct mapcache *cache, char *base, uint64_t bytes, int keep);

/* source.c: where memory comes from: the guest, by way of translation, or a placeholder */
int source_init(struct mapcache *cache);
void source_destroy(struct mapcache *cache);
struct source {
	char *address; /* NULL: the backend chooses */
	uint64_t gpa;
	size_t pages;
	int prot, *error;
	const mapcache_atomic_u64 *list; /* of frames to map instead, one a page; or NULL */
	mapcache_atomic_u64 *frames;     /* to note what is shown, one a page; or NULL */
	/* In: RESERVE_LEFT where something is mapped. Out, of one that fails: what is there. */
	enum reserve_found found;
};
/* As backend->map() of [gpa, gpa + pages * 4096), in one bucket unless address is NULL. */
void *source_map(struct mapcache *cache, struct source *source);
/* Whether a placeholder is part of it and part not. */
bool source_straddles(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* All placeholders inside are there no more; what shows them keeps their memory. They are to be
 * settled: back where they were, or gone. */
struct placeholder *source_hide(struct mapcache *cache, uint64_t gpa, uint64_t len);
void source_settle(struct mapcache *cache, struct placeholder *hidden, bool back);

#endif
