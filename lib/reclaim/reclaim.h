/* SPDX-License-Identifier: MIT */
/*
 * reclaim: takes mappings out of use and unmaps them: what is stale, what has to make room, what
 * is too much. It promises to the rooms above: an empty slot, or an error that says why there is
 * none; what is stale and unused goes within its bounds (E); nothing is unmapped that a section
 * or a pin may still use (B); nobody waits for a section inside one (J).
 *
 * Lock: the retired lock, inside a stripe's. The thread's own lock is held for its state only.
 * Guarantees: B, C, E, J.
 */
#ifndef MAPCACHE_RECLAIM_H
#define MAPCACHE_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

struct cost;
struct mapping;
struct stripe;

/* slot.c: room for one more mapping */
/* Room for one map call in the budget of kernel mappings, as space_take(), and unless slot is NULL a
 * mapping of nobody's, empty: -EAGAIN, -ENOMEM. */
int slot_room(struct mapcache *cache, struct mapping **slot);
/* The slot, where there is room for both without evicting or unmapping; or NULL. Locks may be
 * held. */
struct mapping *slot_try(struct mapcache *cache);
/* So many neighbours, the first of them, that nothing is mapped in; room is made outside of sections,
 * at the cost of whoever is in the way. NULL and *error, as above. */
struct mapping *slot_get_run(struct mapcache *cache, uint64_t count, int *error);
/* The client's own, empty, once in a section; or NULL. */
struct mapping *slot_spare(struct mapcache_client *client);
/* It came to nothing: its slot may serve the same section again. */
void slot_spare_back(struct mapcache_client *client);
/* Nobody's any more: what it shows was made for its epoch. */
void slot_put(struct mapcache *cache, struct mapping *mapping);
/* Release what is mapped in it. -errno: unchanged. */
int slot_empty(struct mapcache *cache, struct mapping *mapping);
/* Whether there is room without evicting. */
bool slot_plenty(struct mapcache *cache);

/* retired.c: grace periods */
/* Out of the table and the index. Stripe lock held, not busy. */
void retired_add(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
/* It is busy no more, and as it was; doomed meanwhile, it is retired. Wakes who waits. */
void retired_settle(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
/* The same for one that is in neither; current: its granules that counted as such. */
void retired_push(struct mapcache *cache, struct mapping *mapping, uint64_t current);
/* One that nobody can be using. */
void retired_add_ready(struct mapcache *cache, struct mapping *mapping);
struct mapping *retired_take_ready(struct mapcache *cache);
/* Move grace periods on as far as they go without waiting. */
void retired_advance(struct mapcache *cache);
/* Look again at those that were pinned. */
void retired_check_pins(struct mapcache *cache);
/* The granules that a retired mapping shows for writing to its pinners; 0: it has none. */
uint64_t retired_writable(struct mapcache *cache, struct mapping *mapping);
bool retired_empty(struct mapcache *cache);
/* How many are on their way through a grace period. */
uint64_t retired_pending(struct mapcache *cache);

/* release.c: unmapping */
/* Unmap up to so many bytes of what is ready; returns the bytes unmapped. Paced: others who
 * want the kernel's mmap_lock get it in between. */
uint64_t release(struct mapcache *cache, uint64_t budget, bool paced);
/* What that takes for one slot. */
const struct cost *release_cost(const struct mapcache *cache);

/* pace.c: a pause after each of many unmaps in a row; it blocks for some tens of microseconds */
struct pace {
	long sleeps;    /* of all threads, before the unmap */
	uint64_t since; /* ns, when the unmap began */
};

/* Before the first unmap. */
void pace_begin(struct pace *pace);

/* After each. */
void pace_pause(struct pace *pace);

/* trim.c: stale granules beside current ones. Unmaps up to budget bytes and what is next to them; old:
 * only of what was marked and has not been mapped since; returns the bytes. trim_mark: whether there
 * are any. No lock is held; never wait for a section. */
uint64_t trim(struct mapcache *cache, uint64_t budget, bool old, bool paced);
bool trim_mark(struct mapcache *cache);

/* thread.c: when */
int reclaim_init(struct mapcache *cache);
void reclaim_destroy(struct mapcache *cache);
int reclaim_start(struct mapcache *cache);
void reclaim_stop(struct mapcache *cache);
/* Something was mapped or retired: the thread may have to get up. */
void reclaim_wake(struct mapcache *cache);
/* Whether there is work that the last look has not seen. */
bool reclaim_wanted(struct mapcache *cache);
/* A look of the thread, or of who stands in for it. Returns the ns to the next. */
uint64_t reclaim_look(struct mapcache *cache);

/* reclaim.c: what */
void reclaim_stats(struct mapcache *cache, struct mapcache_stats *stats);
/* A room above that keeps slots of its own says how it gives up those that nobody uses and that
 * are not current; room: or if there are none, at least one more. It returns the bytes unmapped; no
 * lock is held. Before start. */
void reclaim_others(struct mapcache *cache, uint64_t (*others)(struct mapcache *cache, bool room));
/* The same for one that only retires what was made before the epoch. Whether there was any. */
void reclaim_batches(struct mapcache *cache,
		     bool (*batches)(struct mapcache *cache, uint64_t epoch));
/* So many slots more that are not in the index. Returns how many there are. */
uint64_t reclaim_count_others(struct mapcache *cache, uint64_t slots);
/* Retire what is older than the epoch. Whether there was any. */
bool reclaim_sweep(struct mapcache *cache, uint64_t epoch);
/* The same, and unmap what can be. Whether it has changed anything. */
bool reclaim_pass(struct mapcache *cache, uint64_t epoch);
/* Before mapping: too much is stale, so release some of it. */
void reclaim_help(struct mapcache *cache);

#endif
