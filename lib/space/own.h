/* SPDX-License-Identifier: MIT */
/* What space's own files do for one another. */
#ifndef MAPCACHE_SPACE_OWN_H
#define MAPCACHE_SPACE_OWN_H

#include "lib/space/space.h"

/* What is found where a map call has failed. */
enum reserve_found {
	RESERVE_OURS, /* the reservation, got back if need be */
	RESERVE_LEFT, /* memory that the backend has mapped, or not replaced */
	RESERVE_LOST, /* somebody else's, or nobody knows what */
};

/* -errno */
int reserve_open(struct reserve *reserve, uint64_t bytes);
/* The file. The address space is the caller's to unmap: he knows what of it is lost. */
void reserve_close(struct reserve *reserve);
/* In a child after fork(2), which has holes where its parent has foreign memory: only what is
 * known to be ours goes. */
void reserve_abandon(struct reserve *reserve);
/* Over a range that is known to be ours, whatever is mapped there. -errno: as before. */
int reserve_again(const struct reserve *reserve, char *address, uint64_t bytes);
/* left: memory of the backend's may be there. It is told by its file. */
enum reserve_found reserve_find(const struct reserve *reserve, char *address, uint64_t bytes,
				bool left);

/* space.c: with address space, where the backend maps where it is told. */
int arena_init(struct mapcache *cache);
void arena_destroy(struct arena *arena);

/* place.c; after the arena. unreserve: in a child after fork(2). */
int place_init(struct mapcache *cache);
void place_unreserve(struct mapcache *cache);

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

/* As backend->unmap() and, with keep, the reservation over it; counted, and with the ballast
 * dropped if need be. */
int space_unmap(struct mapcache *cache, char *base, uint64_t bytes, int keep);

/*
 * cover.c: what is mapped in a slot, as whole kernel mappings; the slot is the caller's, as in
 * space.h. Each change is followed by cover_settle().
 */
/* Granules that a part of the slot touches. */
uint64_t cover_mask(const struct mapcache *cache, uint64_t offset, uint64_t bytes);
/* Granules of which a part is somebody else's. */
uint64_t cover_lost(const struct mapcache *cache, const struct mapping *mapping);
/* current: bytes of it that are, in the mapping's epoch. */
void cover_add(struct mapcache *cache, struct mapping *mapping, uint64_t offset, uint64_t bytes,
	       uint64_t current);
/* Kernel mappings whole. */
void cover_remove(struct mapcache *cache, struct mapping *mapping, uint64_t granules);
/* It is somebody else's from now on. */
void cover_lose(struct mapcache *cache, struct mapping *mapping, uint64_t offset, uint64_t bytes);
/* taken: what was taken for the map call that made the change. */
void cover_settle(struct mapcache *cache, struct mapping *mapping, uint64_t taken);

/* The process has as many kernel mappings as it may: from now on this cache has fewer, so that
 * there is room for others. */
void cover_retreat(struct mapcache *cache);

#define COVER_TAKEN UINT64_C(2) /* by space_take() for one map call */

/*
 * Kernel mappings that are there to be given up. Where a process has as many as it may, Linux
 * refuses even to map over one of them, and so nothing could be released any more (H). Releasing
 * a part of the reservation takes two more for a moment: it is cut at both ends.
 */
#define BALLAST_DROP 4 /* what one release may need, and one more */

/* Takes what is missing. False: not all of it is to be had, the process is at its limit. */
bool ballast_take(struct space *space);
/* Gives up so many. False: all of it is given up already. */
bool ballast_drop(struct space *space, unsigned int pages);
/* Whether the process can have one more kernel mapping. */
bool ballast_room(void);

#endif
