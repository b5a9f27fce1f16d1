/* SPDX-License-Identifier: MIT */
/*
 * A span: neighbouring slots of the arena that show guest memory in one piece, for contiguous
 * pins. Parts of it are mapped one by one, none across the end of a slot or of a bucket of the
 * guest's. Only when it was relocated are these two different places.
 *
 * Spans are found and pinned under the spans lock only, and nobody gets at one but by a pin:
 * there is no section to wait for. Its pins are the sum over its slots: who unpins by a pointer
 * into a later slot may be decrementing that one's count.
 *
 * One that later pins find is kept: on the list of those, and in the index by address. All of
 * these are of one epoch, and none is a part of another, so that of those that begin before an
 * address the last one reaches farthest. All others are loose: being mapped,
 * relocated, a pin's own, stale, or a part of what is kept. A loose one that nobody pins goes.
 */
#ifndef SPAN_H
#define SPAN_H

#include "lib/space/space.h"

struct span {
	struct span *next, *prev;
	struct mapping *first;
	uint64_t slots;
	uint64_t offset;   /* of gpa in the first slot */
	uint64_t gpa, len; /* whole pages */
	uint64_t epoch;    /* sampled before the map calls (A) */
	bool writable;
	bool told;   /* the embedder knows of it */
	bool own;    /* its pin's, never kept */
	bool listed; /* one slot of pages that need not follow one another (sgl.c) */
	/* Spans lock held: */
	bool kept;
	bool used;    /* found since it was last looked at for room */
	bool doomed;  /* stale in any epoch: invalidated by range, a part of another, given up */
	bool mapping; /* not pinned yet: its thread maps it */
	bool moving;  /* being relocated */
	int error[];  /* room for a map call's results: its pages */
};

/* span_map.c */
/* Slots for so many bytes from gpa on, side by side; or NULL and *error. */
struct span *span_new(struct mapcache *cache, uint64_t gpa, uint64_t len, int *error);
/* The reverse, of one that is unmapped, not pinned, and on no list. */
void span_free(struct mapcache *cache, struct span *span);

char *span_pointer(const struct mapcache *cache, const struct span *span, uint64_t gpa);
/* Its slots show gpa, in the epoch of now: for mapcache_gpa(), drain and the accounts. */
void span_name(struct mapcache *cache, struct span *span, uint64_t gpa);
void span_unname(struct mapcache *cache, struct span *span);
/* Map all of it. -errno: what had been mapped before that is still to be unmapped. client: whose
 * counters, or NULL. */
int span_map(struct mapcache *cache, struct span *span, struct mapcache_client *client);
/* -errno: try again. */
int span_unmap(struct mapcache *cache, struct span *span);
/* To whom it was not added it does not go. */
void span_notify(struct mapcache *cache, struct span *span, enum mapcache_event event);

/* span.c: a new one is mapped, told and pinned at gpa; it is kept, if others may use it. -errno: it
 * is gone. */
int span_fill(struct mapcache_client *client, struct span *span, uint64_t gpa, bool write,
	      char **pointer);

/* span_set.c; spans lock held: */
/* A new one, or one that could not be unmapped, is loose. */
void span_add(struct mapcache *cache, struct span *span);
/* Of all of them, kept and loose, the one after this one, or after NULL the first. */
struct span *span_next(const struct spans *spans, const struct span *span);
/* A loose one, of this epoch, is found from now on, in place of those that are parts of it or it
 * of them. */
void span_keep(struct mapcache *cache, struct span *span);
/* The reverse. */
void span_let_go(struct spans *spans, struct span *span);
/* The kept one with all of the range in it, or NULL. */
struct span *span_look_up(struct mapcache *cache, uint64_t gpa, uint64_t len);
int64_t span_pins(struct mapcache *cache, const struct span *span);
/* Lock not held: whether one that is older than the epoch is pinned, or will be. */
bool span_pinned(struct mapcache *cache, uint64_t epoch);
/* Lock not held: unmapped and freed; among the loose ones when that fails. On no list, and not
 * pinned. Returns the bytes unmapped. */
uint64_t span_discard(struct mapcache *cache, struct span *span);

static inline bool span_touches(const struct span *span, uint64_t gpa, uint64_t len)
{
	return !span->listed && span->gpa <= gpa + (len - 1) && gpa < span->gpa + span->len;
}

static inline uint64_t span_end(const struct span *span)
{
	return span->gpa + span->len;
}

#endif
