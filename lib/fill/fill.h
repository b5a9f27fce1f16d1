/* SPDX-License-Identifier: MIT */
/*
 * fill: the slow side of a look-up. Find the bucket, decide how much of it to map and where,
 * map, publish. It promises to the rooms above: a pointer to what was mapped in this epoch or a
 * later one (A), good until the section ends (B); an error that changed nothing (H); no wait for
 * another section inside one (J).
 *
 * Lock: the batches'; a stripe's while it looks, none while it maps (G).
 * Guarantees: A, G, H, J.
 */
#ifndef MAPCACHE_FILL_H
#define MAPCACHE_FILL_H

#include <stddef.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

#include "lib/space/space.h"

/* lookup.c */
/* The pointer as mapcache_ptr(), inside a section; what is written to it is the caller's to
 * report. */
void *lookup_pointer(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);
/* Errors that a page gives because it can only be read. Not -EFAULT: there is none (backend.h). */
bool lookup_refused(int error);
/* No entry of the table shows what is older than the epoch; a busy bucket's owner shows it anew. */
void lookup_hide(struct mapcache *cache, uint64_t epoch);

/*
 * For callers who need not be inside a section: begin one with a pointer to as much of
 * [gpa, gpa + *len) as lies in one bucket, or in one page when the rest cannot be reached; *len is
 * set to that. NULL with errno: no section was begun. Where no outer section is open this waits a
 * while for room.
 */
void *access_begin(struct mapcache_client *client, uint64_t gpa, size_t *len, int prot);
/* The same for all of [gpa, gpa + len), which lies in one bucket, or nothing. */
void *access_begin_whole(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);

/* batch.c: the start and end of the room, and what one call has mapped of many buckets */
int fill_init(struct mapcache *cache);
void fill_destroy(struct mapcache *cache);
/* In a child after fork(2), where locks must not be touched: the address space only. */
void fill_abandon(struct mapcache *cache);
void fill_stats(struct mapcache *cache, struct mapcache_stats *stats);
/* Retire those made before the epoch. Whether there were any. */
bool batch_retire(struct mapcache *cache, uint64_t epoch);
/* The same for those that show any of [gpa, gpa + len), and none that is on its way will. */
void batch_drop(struct mapcache *cache, uint64_t gpa, uint64_t len);

#endif
