/* SPDX-License-Identifier: MIT */
/*
 * The cache as its parts know it. Locks, outermost first (docs/invariants.md has the table):
 * stripe -> retired -> clients, and stripe -> arena. None of them is held across a backend
 * call, a callback or a wait for a section.
 */
#ifndef PRIVATE_H
#define PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>

#include <mapcache/mapcache.h>

#include "lib/space/arena.h"
#include "lib/space/ballast.h"
#include "lib/protocol/epoch.h"
#include "lib/base/log.h"
#include "lib/protocol/table.h"

#define PAGE_SHIFT 12
#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define CACHE_LINE 128 /* two lines: adjacent ones are fetched together */

struct mapping;
struct place;
struct placeholder;
struct span;
struct stripe;

/* A look-up, checked. */
struct request {
	uint64_t index;          /* bucket */
	uint64_t offset;         /* in the bucket */
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

/* Counters that belong to one client: only its thread writes them. */
enum counter {
	COUNTER_SLOW_LOOKUPS,
	COUNTER_MISSES,
	COUNTER_WAITS,
	COUNTER_BORN_STALE,
	COUNTER_MAP_CALLS,
	COUNTER_MAP_ERRORS,
	COUNTER_PAGES_MAPPED,
	COUNTER_HOLES,
	COUNTER_REFRESHED_IN_PLACE,
	COUNTER_REFRESHED_IN_FRESH_SLOT,
	COUNTER_MAPPED_WHOLE,
	COUNTER_RESCUES,
	COUNTERS
};

/* Modified pages on their way to a report; what does not fit is covered by a larger extent. */
#define DIRTY_EXTENTS 32

struct dirty {
	struct mapcache_extent extent[DIRTY_EXTENTS]; /* rising, with gaps between */
	unsigned int count;
};

struct mapcache_client {
	struct mapcache_client_fast fast; /* first: the inline functions cast to it */
	/* Beside it, in the line that a scan over all clients has loaded. Clients lock. */
	struct mapcache_client *next;
	mapcache_atomic_u32 *pins; /* one for every slot; its thread writes, reclaim reads */
	bool pinner;               /* on the list of those that have pinned; its thread only */
	struct mapcache *cache;
	pthread_t owner;
	struct mapping *spare; /* a slot that only this client uses; may be NULL */
	int *error;            /* room for a map call's results: the pages of a bucket */
	mapcache_atomic_u64 counters[COUNTERS];
	struct dirty dirty;               /* of the section that is open */
	struct mapcache_client *previous; /* clients lock */
	struct mapcache_client *next_pinner;
};

struct clients {
	pthread_mutex_t lock; /* protects the lists and closed[] */
	struct mapcache_client *first;
	struct mapcache_client *pinners; /* the others' counts are all 0 and not looked at */
	uint64_t count;
	uint64_t closed[COUNTERS]; /* of clients that are gone */
	struct grace grace;
};

/* Retired mappings on their way to the arena. */
struct retired {
	pthread_mutex_t lock;     /* protects what follows */
	struct mapping *incoming; /* since the last tick of the clock */
	struct mapping *waiting;  /* until every section is past that tick */
	struct mapping *ready;    /* nobody can be using it, and nobody pins it */
	struct mapping *pinned;   /* nobody but its pinners */
	uint32_t clock;           /* the tick that waiting waits for */
	enum { BARRIER_NONE, BARRIER_RUNNING, BARRIER_DONE } barrier; /* since that tick */
	mapcache_atomic_u64 pending;                                  /* incoming and waiting */
	mapcache_atomic_u64 pinned_bytes;
};

/* Pins with address space of their own (span.c). */
struct spans {
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t idle;  /* one is no longer busy */
	struct span *first;   /* most recently used first */
	uint64_t count;
	uint64_t pinned_bytes;     /* stale and pinned, at the last reclaim */
	mapcache_atomic_u64 slots; /* that all of them take; no lock */
};

/* Memory that stands in for the guest's (source.c). */
struct placeholders {
	pthread_mutex_t lock; /* protects the list */
	struct placeholder *first;
	mapcache_atomic_u64 count;
};

/* Where slots are, with a backend that chooses (place.c). */
struct places {
	pthread_mutex_t lock; /* protects what follows, but what a place's owner reads */
	struct place *of;     /* one a slot; NULL: the backend maps where it is told */
	uint32_t *heads;      /* chains: slot + 1 */
	uint64_t mask;        /* their number - 1 */
};

/* When to retire, and the thread that does it. */
struct reclaim {
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop;
	uint64_t swept_epoch;       /* no LIVE mapping that is older was left unused */
	uint64_t stale_since;       /* ns: when an epoch past swept_epoch was first seen; 0: none */
	uint64_t stale_epoch;       /* that epoch */
	mapcache_atomic_u32 asleep; /* until something is mapped */
};

/* How much is mapped after an invalidation, and where (fill.c); benchmarks try others. */
struct fill_policy {
	uint8_t dense_calls;  /* map calls in one epoch that make a bucket dense; 0: as many as
				 cost what one for the whole bucket does */
	uint8_t dense_epochs; /* refreshes for which it stays so */
	uint8_t small;        /* stale granules that may stay beside those replaced */
	uint8_t empty;        /* granules released on the way to a pointer, at most */
	bool whole_in_place;  /* or whole buckets, which are more than that */
	bool at_once;         /* a dense bucket is mapped whole in the epoch that shows it */
	bool map_over;        /* rather over what is retired than in an empty slot */
};

/* What map calls take, in ns; whoever maps notes it, and a lost update does not matter. */
struct fill_cost {
	mapcache_atomic_u64 granule, whole;
};

/* The options, checked and completed. */
struct settings {
	uint32_t bucket_shift, granule_shift, stripes, reclaim_ms, flags;
	uint64_t slots;     /* whole address space */
	uint64_t reserve;   /* of these, see slot.c */
	uint64_t stale_max; /* bytes */
	uint64_t vmas_max;
	uint64_t guest_limit;
	uint64_t refresh_bytes;
	uint64_t whole_bytes;
	unsigned int granules; /* of a bucket */
	unsigned int granule_pages, bucket_pages;
	struct fill_policy fill;
};

struct mapcache {
	struct mapcache_shared shared __attribute__((aligned(CACHE_LINE)));
	/* From here on nothing that changes often: clients read it on their slow path. */
	struct settings settings __attribute__((aligned(CACHE_LINE)));
	struct mapcache_backend backend_known; /* the given one, completed */
	const struct mapcache_backend *backend;
	void *backend_state;
	void (*notify)(void *data, enum mapcache_event event, uint64_t gpa, void *address,
		       uint64_t len);
	void *notify_data;
	int (*translate)(void *data, uint64_t address, uint64_t len, uint64_t *gpa);
	void *translate_data;
	mapcache_atomic_u32 logging; /* modified pages are reported */
	pid_t pid;                   /* who opened it: a child may only close */
	struct table table;
	struct arena arena;
	struct ballast ballast;
	struct stripe *stripes;
	struct clients clients __attribute__((aligned(CACHE_LINE)));
	struct retired retired __attribute__((aligned(CACHE_LINE)));
	struct reclaim reclaim __attribute__((aligned(CACHE_LINE)));
	struct spans spans;
	struct placeholders placeholders;
	struct places places;
	struct fill_cost fill_cost;
	struct mapcache_client *refresher; /* the reclaim thread's own */
	struct log log;

	/* Totals, written on slow paths only. */
	mapcache_atomic_u64 mapped_bytes;
	mapcache_atomic_u64 current_epoch; /* current_bytes is about this epoch */
	mapcache_atomic_u64 current_bytes;
	pthread_mutex_t current_lock; /* the two together */
	mapcache_atomic_u64 stale_bytes_max;
	mapcache_atomic_u64 vmas;
	mapcache_atomic_u64 buckets;
	mapcache_atomic_u64 evict_stripe, help_stripe; /* whose turn it is */
	mapcache_atomic_u64 evictions, grace_periods, grace_failures;
	mapcache_atomic_u64 unmap_calls, unmap_errors, table_sweeps, range_invalidates;
	mapcache_atomic_u64 modified_calls, modified_errors, modified_pages;
	mapcache_atomic_u64 memory_bytes;
	pthread_mutex_t sweep_lock; /* one sweep of a closed table at a time */
};

/* clock.c */
uint64_t clock_ns(void);
void clock_sleep_ns(uint64_t ns);

/* client.c: sections and pins of all clients */
void client_count(struct mapcache_client *client, enum counter counter, uint64_t n);
int client_barrier_register(struct mapcache *cache);
/* The heavy half of the asymmetric fence: after it, every section that began before is seen
 * by a scan, and every later one sees what was unpublished before. */
bool client_barrier(struct mapcache *cache);
/* Whether no section older than the epoch is left; remembered, at most one barrier an epoch. */
bool client_quiet(struct mapcache *cache, uint64_t epoch);
int64_t client_pins(struct mapcache *cache, struct mapping *mapping);
int64_t client_pins_locked(struct mapcache *cache, struct mapping *mapping);
/* Whether this thread is inside a section of any of its clients. */
bool client_in_section(struct mapcache *cache);
/* Before the client's first pin: its counts are looked at from now on. */
void client_add_pinner(struct mapcache_client *client);
/* Move a client's own pins of a slot to the shared count. */
void client_fold(struct mapcache_client *client, uint64_t slot);

/* account.c: bytes mapped and stale */
void account_map(struct mapcache *cache, uint64_t epoch, uint64_t mapped, uint64_t current);
void account_unmap(struct mapcache *cache, uint64_t mapped);
/* What was current in the epoch, and still is mapped, counts as stale from now on. */
void account_retire(struct mapcache *cache, uint64_t epoch, uint64_t current);
uint64_t account_stale(struct mapcache *cache);

/* slot.c: room for one more mapping */
/* A mapping of nobody's; dirty: what is mapped in it may be left for the caller to map over.
 * NULL and *error: -EAGAIN, -ENOMEM. */
struct mapping *slot_get(struct mapcache *cache, bool dirty, int *error);
/* The client's own, empty, once in a section; or NULL. */
struct mapping *slot_spare(struct mapcache_client *client);
/* It came to nothing: its slot may serve the same section again. */
void slot_spare_back(struct mapcache_client *client);
void slot_put(struct mapcache *cache, struct mapping *mapping);
/* Release what is mapped in it. -errno: unchanged. */
int slot_empty(struct mapcache *cache, struct mapping *mapping);
/* Whether there is room without evicting. */
bool slot_plenty(struct mapcache *cache);

/* retired.c: grace periods */
/* Out of the table and the index. Stripe lock held, not busy. */
void retired_add(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
/* The same for one that is in neither; current: its granules that counted as such. */
void retired_push(struct mapcache *cache, struct mapping *mapping, uint64_t current);
/* One that nobody can be using. */
void retired_add_ready(struct mapcache *cache, struct mapping *mapping);
struct mapping *retired_take_ready(struct mapcache *cache);
/* Move grace periods on as far as they go without waiting. */
void retired_advance(struct mapcache *cache);
/* Look again at those that were pinned. */
void retired_check_pins(struct mapcache *cache);
bool retired_empty(struct mapcache *cache);
/* How many are on their way through a grace period. */
uint64_t retired_pending(struct mapcache *cache);

/* release.c: unmapping */
/* Unmap up to so many bytes of what is ready; returns the bytes unmapped. */
/* Paced: others who want the kernel's mmap_lock get it in between (pace.h). */
uint64_t release(struct mapcache *cache, uint64_t budget, bool paced);
/* As backend->unmap(), counted, and with the ballast dropped if need be. */
int release_unmap(struct mapcache *cache, char *base, size_t pages, int keep);

/* trim.c: stale granules beside current ones. Unmaps up to budget bytes and what is next to them,
 * or what was marked and has not been mapped since; returns the bytes. trim_mark: whether there
 * are any. No lock is held; never wait for a section. */
uint64_t trim(struct mapcache *cache, uint64_t budget, bool paced);
uint64_t trim_old(struct mapcache *cache);
bool trim_mark(struct mapcache *cache);

/* reclaim.c: when */
int reclaim_init(struct mapcache *cache);
void reclaim_destroy(struct mapcache *cache);
int reclaim_start(struct mapcache *cache);
void reclaim_stop(struct mapcache *cache);
/* Something is mapped: the thread may have to get up. */
void reclaim_wake(struct mapcache *cache);
/* Retire what is older than the epoch. */
void reclaim_sweep(struct mapcache *cache, uint64_t epoch);
/* Before mapping: too much is stale, so release some of it. */
void reclaim_help(struct mapcache *cache);

/* notify.c: tell the embedder what shows guest memory. No lock is held. */
void notify_added(struct mapcache *cache, uint64_t gpa, void *address, uint64_t len);
void notify_going(struct mapcache *cache, uint64_t gpa, void *address, uint64_t len);
/* The granules of the mask. */
void notify_going_mask(struct mapcache *cache, struct mapping *mapping, uint64_t mask);

/* source.c: where memory comes from: the guest, by way of translation, or a placeholder */
int source_init(struct mapcache *cache);
void source_destroy(struct mapcache *cache);
/* As backend->map() of [gpa, gpa + pages * 4096), in one bucket unless address is NULL. */
void *source_map(struct mapcache *cache, void *address, uint64_t gpa, size_t pages, int prot,
		 int *error);
/* Where it is for the guest. -errno from the embedder. */
int source_translate(struct mapcache *cache, uint64_t gpa, uint64_t len, uint64_t *guest);
/* Whether a placeholder is part of it and part not. */
bool source_straddles(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* Give up all placeholders inside. What shows them keeps their memory. */
void source_forget(struct mapcache *cache, uint64_t gpa, uint64_t len);

/* dirty.c: modified pages */
/* Whether to report at all. */
static inline bool dirty_logging(const struct mapcache *cache)
{
	return mapcache_load_relaxed(&cache->logging);
}
/* Report a range that was written: at once outside of sections, else at the section's end. */
void dirty_written(struct mapcache_client *client, uint64_t gpa, uint64_t len);
/* The same at once, by anybody. */
void dirty_report(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* The section is going to write it. */
void dirty_will_write(struct mapcache_client *client, uint64_t gpa, uint64_t len);

/* span.c: contiguous pins */
int span_init(struct mapcache *cache);
void span_destroy(struct mapcache *cache);
void *span_pin(struct mapcache_client *client, uint64_t gpa, uint64_t len, int prot);
/* Unpinned ones go: all, or those that are not current. Returns the bytes unmapped. */
uint64_t span_reclaim(struct mapcache *cache, bool all);
/* Those that touch the range are not to be found any more. */
void span_invalidate(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* Bytes of the span from a pointer into one of its slots on; a pin holds it. */
uint64_t span_rest(const struct mapcache *cache, const struct mapping *mapping,
		   const void *pointer);
/* The same for spans as client_pins() and its release, clients lock held: false, not pinned. */
bool span_unpin_locked(struct mapcache *cache, struct mapping *mapping);
/* Any span that is pinned and older than the epoch. */
bool span_pinned(struct mapcache *cache, uint64_t epoch);

/* refresh.c: map again what was used last, ahead of its next use */
void refresh_ahead(struct mapcache *cache, uint64_t epoch);

#endif
