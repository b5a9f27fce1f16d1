/* SPDX-License-Identifier: MIT */
/*
 * A span: neighbouring slots of the arena that show guest memory in one piece, for contiguous
 * pins. Each slot shows its part of one bucket, by one kernel mapping, so that pointer to address
 * and releasing work slot by slot as for buckets.
 *
 * Spans are pinned and found under the spans lock only, and nobody gets at one but by a pin:
 * there is no section to wait for. One that is not pinned and taken off the list is nobody's.
 * Its pins are the sum over its slots: whoever unpins by a pointer into a later slot may be
 * decrementing that one's count.
 */
#ifndef SPAN_H
#define SPAN_H

#include "lib/space/mapping.h"

struct span {
	struct span *next, *previous;
	struct mapping *first;
	uint64_t slots;
	uint64_t gpa, len; /* whole pages */
	uint64_t epoch;    /* sampled before the map calls (A) */
	bool writable;
	bool told;   /* the embedder knows of it */
	bool doomed; /* not to be found any more */
	bool busy;   /* being relocated; spans lock */
};

/* What one slot of a span shows. */
struct span_part {
	uint64_t gpa;
	char *address;
	size_t pages;
};

/* span_room.c: a span with its slots, not on the list and not mapped; NULL and *error. */
struct span *span_new(struct mapcache *cache, uint64_t gpa, uint64_t len, int *error);
/* The reverse, of one that is unmapped, not pinned, and off the list. */
void span_free(struct mapcache *cache, struct span *span);
/* Its slots show gpa in this epoch, as far as mapcache_gpa() and drain are concerned. */
void span_name(struct mapcache *cache, struct span *span, uint64_t gpa, uint64_t epoch);

/* span_map.c */
struct span_part span_part(const struct mapcache *cache, const struct span *span, uint64_t slot);
/* Map all of it; error: room for the pages of a bucket. -errno: what had been mapped before that
 * is still to be unmapped. client: whose counters, or NULL. */
int span_map(struct mapcache *cache, struct span *span, struct mapcache_client *client, int *error);
/* -errno: try again. */
int span_unmap(struct mapcache *cache, struct span *span);
/* To whom it was not added it does not go. */
void span_notify(struct mapcache *cache, struct span *span, enum mapcache_event event);
void span_account(struct mapcache *cache, const struct span *span);
void span_unaccount(struct mapcache *cache, const struct span *span);

/* span.c. Spans lock held: */
int64_t span_pins(struct mapcache *cache, const struct span *span);
/* Off the list, unmapped, freed; back on it when that fails. Lock not held; not pinned, and
 * taken off the list by the caller. Returns the bytes unmapped. */
uint64_t span_discard(struct mapcache *cache, struct span *span);
bool span_touches(const struct span *span, uint64_t gpa, uint64_t len);

#endif
