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

#include "lib/cache.h"

struct placeholder;

int space_init(struct mapcache *cache);
void space_destroy(struct mapcache *cache);
/* In a child after fork(2), where locks must not be touched: the address space only. */
void space_abandon(struct mapcache *cache);
/* Slots that were ever taken: those past them are FREE. */
uint64_t space_slots(struct mapcache *cache);
/* Those that can ever be, the clients' spare ones included. */
static inline uint64_t space_slots_max(const struct mapcache *cache)
{
	return cache->settings.slots + ARENA_SPARES;
}
/* How many reservations, of all caches, this process has. */
unsigned int reserve_census(void);
void space_stats(struct mapcache *cache, struct mapcache_stats *stats);

/* Whether the backend maps where it is told. */
static inline bool space_fixed(const struct mapcache *cache)
{
	return !cache->space.places.of;
}

/*
 * The budget of kernel mappings. Before each map call it takes what that may need; false: there
 * is not so much, release something first. last: for the one look-up that must not fail for want
 * of room. The map call uses it up.
 */
bool space_take(struct mapcache *cache, bool last);
void space_untake(struct mapcache *cache);
/* Most of it is used: what is mapped should be mapped whole, and what is retired go. */
bool space_tight(struct mapcache *cache);

/* ---- mappings --------------------------------------------------------------------------------- */

/*
 * A mapping: one slot of the arena and what is mapped there. The structs stand in an array
 * beside the arena, so that slot, address and struct are found from one another by
 * arithmetic.
 *
 * States, and who moves between them:
 *
 *   FREE    nothing mapped; nobody's, or a client's spare that is not in use
 *   LIVE    in its stripe's index, published in the table or on probation; or a client's spare in
 *           use, which is in no index and never published
 *   RETIRED in no index; on one of the lists of retired.c until nobody can be using it, or off
 *           them to be unmapped
 *   SPAN    in no index; one of the neighbours that a contiguous pin has for itself
 *   BATCH   in no index; granules of many buckets, shown by their words
 *
 *   FREE -> LIVE     fill/fill.c: slot taken (arena lock), inserted busy (stripe lock)
 *   LIVE -> RETIRED  reclaim/retired.c: unpublished (relaxed store of the table word), out of the
 *                    index (stripe lock), onto the incoming list (retired lock). While it is
 *                    busy only by its owner. A spare that somebody has pinned, at its section's end
 *   LIVE -> FREE     fill/fill.c: nothing could be mapped, and it was never published; a spare at
 *                    its section's end. What cannot be unmapped is RETIRED instead
 *   RETIRED -> FREE  reclaim/release.c, after a grace period (clock) and with no pins: off its
 *                    list (retired lock), unmapped, then given to the arena (arena lock)
 *   RETIRED -> LIVE  fill/fill.c: the same, without the arena (retired lock, then stripe lock)
 *   FREE -> BATCH    fill/batch.c: slot taken (arena lock), mapped, then shown (batches lock)
 *   BATCH -> RETIRED fill/batch.c: out of every word, onto the incoming list (batches lock, then
 *                    retired lock); BATCH -> FREE if nothing could be mapped
 *   FREE -> SPAN     pins/span_map.c: slots of a contiguous pin, side by side (arena lock, then
 *                    clients lock)
 *   SPAN -> FREE     pins/span_set.c: nobody pins it, and it is not to be found any more (spans
 *                    lock): unmapped, then given to the arena (clients lock, then arena lock)
 *
 * busy: one thread owns the contents and may drop the stripe lock while it maps. Everybody
 * else who wants the bucket waits on the stripe's condition; nobody evicts or retires it.
 */
/* A look-up, checked. */
struct request {
	uint64_t index;          /* bucket */
	uint64_t gpa, offset;    /* offset: in the bucket */
	unsigned int first_page; /* pages of the bucket, both included */
	unsigned int last_page;
	uint64_t granules; /* mask of those that hold the pages */
	uint64_t epoch;    /* when the look-up began: nothing older serves it (A) */
	bool write;
};

/* Granules [first, first + count) of a bucket. */
struct run {
	unsigned int first;
	unsigned int count;
};

enum mapping_state { MAPPING_FREE, MAPPING_LIVE, MAPPING_RETIRED, MAPPING_SPAN, MAPPING_BATCH };

/* Of mappings in which not every page of a granule could be mapped, or with stale granules beside
 * current ones. */
struct mapping_detail {
	uint64_t partial; /* granules mapped in this epoch of which some pages failed */
	uint64_t old;     /* granules not mapped since trim_mark() found them stale */
	uint64_t denied;  /* granules mapped, or to be, for reading only: a page refused more */
	uint64_t pages[]; /* one bit a page: mapped in this epoch */
};

struct mapping {
	struct mapping *next; /* LIVE: the stripe's order of use; RETIRED, BATCH: list */
	union {
		struct mapping *prev; /* LIVE */
		struct span *span;    /* SPAN: whose slot it is (span.h) */
	};
	mapcache_atomic_u64 index;       /* bucket number, or a span's MAPPING_FRAME; read without
					    a lock by mapcache_gpa() */
	mapcache_atomic_u64 epoch;       /* sampled before the map call */
	uint64_t mapped;                 /* granules covered by a kernel mapping, stale ones too */
	uint64_t starts;                 /* of these, the first of each kernel mapping */
	uint32_t lost_first, lost_pages; /* a part that is not ours any more: never named again */
	struct mapping_detail *detail;   /* NULL: every current granule is whole, none is old */
	mapcache_atomic_u64 shared_pins; /* int64_t: pins not counted in a client's array */
	uint8_t state;                   /* mapping_set_state() */
	uint8_t calls;                   /* map calls for this bucket in its epoch, at most 255 */
	/* Stripe lock held and not busy, or the owner of a busy mapping: */
	uint8_t read_only : 1; /* the backend maps for reading only */
	/* Its owner's; of what one map call made: */
	uint8_t ragged_head : 1; /* it begins inside the slot's first granule */
	uint8_t ragged_tail : 1; /* it ends inside the last */
	uint8_t split : 1;       /* another begins in the same granule */
	/* Arena lock held, see cover.c; bytes of their own, for the slots beside it look at them: */
	uint8_t head, tail; /* kernel mappings reach the slot's first and last byte */
	int8_t more;        /* kernel mappings, gaps included, more than when empty */
	/* Stripe lock held: */
	uint8_t busy;
	uint8_t doomed; /* do not show it: invalidated by range while busy, or damaged;
			   also set by the owner. Atomic */
};

/* Relaxed: who acts on it holds the lock that its state is changed under. */
static inline enum mapping_state mapping_state(const struct mapping *mapping)
{
	return (enum mapping_state)__atomic_load_n(&mapping->state, __ATOMIC_RELAXED);
}

static inline void mapping_set_state(struct mapping *mapping, enum mapping_state state)
{
	__atomic_store_n(&mapping->state, (uint8_t)state, __ATOMIC_RELAXED);
}

/* In the index of a span's slot, which need not show a bucket from its first byte on: the rest of
 * it is the number of the frame that the slot's first page would show. */
#define MAPPING_FRAME (UINT64_C(1) << 63)

/* The frame of each page of the slot is noted by itself (place_list()). */
#define MAPPING_LISTED (UINT64_C(1) << 62)

/* The guest address of a slot's first byte, but for MAPPING_LISTED; past 2^64 it goes on at 0. */
static inline uint64_t mapping_gpa(const struct mapcache *cache, const struct mapping *mapping)
{
	uint64_t index = mapcache_load_relaxed(&mapping->index);

	return index << (index & MAPPING_FRAME ? PAGE_SHIFT : cache->settings.bucket_shift);
}

/* space.c: slots of the cache's own address space, and which of them are free. */
/* So many neighbours that are FREE, the first of them, and at least keep slots are left; or NULL. */
struct mapping *arena_take_run(struct mapcache *cache, uint64_t count, uint64_t keep);
/* One in which nothing is mapped. Of which a part is lost, it is never taken again. */
void arena_give(struct mapcache *cache, struct mapping *mapping);
/* One for a client's own use, or NULL. */
struct mapping *arena_take_spare(struct mapcache *cache);
uint64_t arena_used(struct mapcache *cache);

static inline bool arena_holds(const struct mapcache *cache, const void *pointer)
{
	const struct arena *arena = &cache->space.arena;

	return (uintptr_t)pointer - (uintptr_t)arena->base < arena->bytes;
}

static inline uint64_t arena_slot(const struct mapcache *cache, const void *pointer)
{
	const struct arena *arena = &cache->space.arena;

	return ((uintptr_t)pointer - (uintptr_t)arena->base) >> arena->shift;
}

static inline struct mapping *mapping_at(const struct mapcache *cache, uint64_t slot)
{
	return &cache->space.arena.mappings[slot];
}

static inline uint64_t mapping_slot(const struct mapcache *cache, const struct mapping *mapping)
{
	return (uint64_t)(mapping - cache->space.arena.mappings);
}

char *mapping_base(const struct mapcache *cache, const struct mapping *mapping);

/* Pins of all clients; clients lock held, and without. */
static inline int64_t client_pins_locked(struct mapcache *cache, const struct mapping *mapping)
{
	return client_pins_of(cache, mapping_slot(cache, mapping), &mapping->shared_pins);
}

static inline int64_t client_pins(struct mapcache *cache, const struct mapping *mapping)
{
	int64_t pins;

	clients_lock(cache);
	pins = client_pins_locked(cache, mapping);
	clients_unlock(cache);
	return pins;
}

/* Move a client's own pins of a slot to the shared count. */
void client_fold(struct mapcache_client *client, uint64_t slot);

/*
 * Granules whose every page is mapped in the mapping's epoch: kept in the table entry, where
 * readers want them, published or not. LIVE and not busy, or the owner before it changes
 * anything. mapping_current: those and the ones of which only some pages are.
 */
uint64_t mapping_valid(const struct mapcache *cache, const struct mapping *mapping);
uint64_t mapping_current(const struct mapcache *cache, const struct mapping *mapping);

static inline uint64_t granules_bytes(const struct mapcache *cache, uint64_t granules)
{
	return (uint64_t)__builtin_popcountll(granules) << cache->settings.granule_shift;
}

static inline uint64_t mapping_bytes(const struct mapcache *cache, const struct mapping *mapping)
{
	return granules_bytes(cache, mapping->mapped);
}

/* Whether every page of the request is there, for this access, fresh enough for it (A). */
bool mapping_serves(const struct mapcache *cache, const struct mapping *mapping,
		    const struct request *request);

/* Its granules as a mask; count is at least 1. */
uint64_t run_mask(struct run run);
/* Of a mask that is not 0, those from the first one on that are side by side. */
struct run run_first(uint64_t granules);

/* Which granules can only be read. mapping_deny: these, too; -ENOMEM. Owner, as the next four. */
uint64_t mapping_denied(const struct mapping *mapping);
int mapping_deny(struct mapcache *cache, struct mapping *mapping, uint64_t granules);
/* Take note of a map call's result for a run of granules; adds those mapped whole to *valid.
 * -ENOMEM: nothing noted. Owner of a busy mapping only, as the next three. */
int mapping_note(struct mapcache *cache, struct mapping *mapping, struct run run, const int *error,
		 uint64_t *valid);
/*
 * Map a run, which covers kernel mappings whole, as backend->map(); after space_take(). NULL:
 * what had been mapped there is gone, too; but where the kernel does not let it go, or another
 * thread has the range now, the mapping is doomed.
 */
char *mapping_map(struct mapcache *cache, struct mapping *mapping, struct run run, int prot,
		  int *error);
/* Release a run, which covers kernel mappings whole; of count neighbours all of each, or where the
 * backend chooses what place_map() mapped for them. -errno: mapping->mapped says what is left. */
int mapping_release(struct mapcache *cache, struct mapping *mapping, uint64_t count,
		    struct run run);
/* A new epoch begins for this slot: what is mapped in it is not current; what was old stays so. */
void mapping_restart(struct mapcache *cache, struct mapping *mapping, uint64_t epoch);
/* Granules that are mapped, but not in its epoch. Stripe lock held and not busy, or the owner. */
uint64_t mapping_stale(const struct mapcache *cache, const struct mapping *mapping);
/* These and no others are old from now on. -ENOMEM. Stripe lock held and not busy. */
int mapping_mark(struct mapcache *cache, struct mapping *mapping, uint64_t old);
void mapping_drop_detail(struct mapcache *cache, struct mapping *mapping);
/* Tell the embedder what becomes of the granules of the mask. No lock is held. */
void notify_mask(struct mapcache *cache, struct mapping *mapping, uint64_t mask,
		 enum mapcache_event event);
void mapping_doom(struct mapping *mapping);
bool mapping_doomed(const struct mapping *mapping);

/*
 * place.c: where a slot is in memory. With a backend that maps at an address the arena says so, by
 * arithmetic. With one that does not, a slot is wherever its map call went: then one call maps a
 * bucket, another unmaps it, and slots are found from pointers through an index.
 *
 * Map pages of the bucket of the mapping, from byte offset on; of count neighbours' buckets where
 * the backend chooses, which nothing may be mapped in. As backend->map(), after space_take(), which
 * it uses up. NULL: nothing is mapped there any more, but for what mapping->mapped still says. Of a
 * slot that is MAPPING_LISTED, the first pages of its list.
 */
char *place_map(struct mapcache *cache, struct mapping *mapping, uint64_t count, uint64_t offset,
		uint64_t gpa, size_t pages, int prot, int *error);
/* Room for the frames of the slot's pages, which need not follow one another; NULL: it cannot show
 * such. Before it is MAPPING_LISTED. */
mapcache_atomic_u64 *place_list(struct mapcache *cache, const struct mapping *mapping);
/* The guest address of a slot's byte. */
uint64_t place_gpa(const struct mapcache *cache, const struct mapping *mapping, uint64_t offset);
/*
 * The guest frame at a pointer that a pin or a section holds, as it was mapped, and for how many
 * bytes from there on the next ones follow.
 */
uint64_t place_frame(struct mapcache *cache, const void *pointer, uint64_t *linear);
uint64_t place_find(struct mapcache *cache, const void *pointer);
#define PLACE_NONE UINT64_MAX

/* The slot that a pointer points into, or PLACE_NONE. */
static inline uint64_t place_slot(struct mapcache *cache, const void *pointer)
{
	if (mapcache_likely(arena_holds(cache, pointer)))
		return arena_slot(cache, pointer);
	return place_find(cache, pointer);
}

/* The run with what belongs to the same kernel mappings, which can be replaced whole only. */
struct run mapping_grow(const struct mapping *mapping, struct run run);

/* Show it in the table, in its own epoch / hide it. Stripe lock held. */
void mapping_publish(struct mapcache *cache, struct mapping *mapping, uint64_t valid);
void mapping_unpublish(struct mapcache *cache, struct mapping *mapping);
/* Whether the table shows it as it is. */
bool mapping_published(const struct mapcache *cache, const struct mapping *mapping);

/* source.c: memory that stands in for the guest's */
/* Whether a placeholder is part of it, and part not; whole: or all of one. */
bool source_stands(struct mapcache *cache, uint64_t gpa, uint64_t len, bool whole);
/* All placeholders inside are there no more; what shows them keeps their memory. They are to be
 * settled: back where they were, or gone. */
struct placeholder *source_hide(struct mapcache *cache, uint64_t gpa, uint64_t len);
void source_settle(struct mapcache *cache, struct placeholder *hidden, bool back);

#endif
