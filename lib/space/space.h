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
void space_stats(struct mapcache *cache, struct mapcache_stats *stats);

/* As backend->unmap(), counted, and with the ballast dropped if need be. */
int release_unmap(struct mapcache *cache, char *base, size_t pages, int keep);

/* source.c: where memory comes from: the guest, by way of translation, or a placeholder */
int source_init(struct mapcache *cache);
void source_destroy(struct mapcache *cache);
/* As backend->map() of [gpa, gpa + pages * 4096), in one bucket unless address is NULL. frames:
 * where to note what is shown, from the granule of gpa on, or NULL. */
void *source_map(struct mapcache *cache, void *address, uint64_t gpa, size_t pages, int prot,
		 int *error, mapcache_atomic_u64 *frames);
/* Where it is for the guest. -errno from the embedder. */
int source_translate(struct mapcache *cache, uint64_t gpa, uint64_t len, uint64_t *guest);
/* Whether a placeholder is part of it and part not. */
bool source_straddles(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* All placeholders inside are there no more; what shows them keeps their memory. They are to be
 * settled: back where they were, or gone. */
struct placeholder *source_hide(struct mapcache *cache, uint64_t gpa, uint64_t len);
void source_settle(struct mapcache *cache, struct placeholder *hidden, bool back);

#endif
