/* SPDX-License-Identifier: MIT */
/*
 * protocol: the epoch, the sections and pins of all clients, and the table of what is shown.
 * INVALIDATE touches nothing else (D). It promises to the rooms above:
 *   - what is published carries the epoch it was made in, and is found in no other (A);
 *   - a section that began after a tick and a barrier cannot know what was hidden before (B);
 *   - a sum of pins that is 0 stays 0 for what can no longer be pinned (B);
 *   - who is in a section, and which sections are over, is known (F, J).
 *
 * Locks: the clients lock, innermost but for base's; one sweep of the table at a time has its own,
 * outermost. epoch.h, grace.h, section.[ch] and table.h have none:
 * tests/model compiles them as they are.
 */
#ifndef MAPCACHE_PROTOCOL_H
#define MAPCACHE_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

struct mapcache;
struct show;

/* Counters that belong to one client: only its thread writes them; and the statistics they are. */
#define PROTOCOL_COUNTERS(X)                                                                       \
	X(SLOW_LOOKUPS, slow_lookups)                                                              \
	X(MISSES, misses)                                                                          \
	X(WAITS, waits)                                                                            \
	X(MAPS_OVERTAKEN, maps_overtaken)                                                          \
	X(MAP_CALLS, map_calls)                                                                    \
	X(MAP_ERRORS, map_errors)                                                                  \
	X(PAGES_MAPPED, pages_mapped)                                                              \
	X(HOLES, holes)                                                                            \
	X(REFRESHED_IN_PLACE, refreshed_in_place)                                                  \
	X(REFRESHED_IN_FRESH_SLOT, refreshed_in_fresh_slot)                                        \
	X(MAPPED_WHOLE, mapped_whole)                                                              \
	X(RESCUES, rescues)                                                                        \
	X(BATCHES, batches)                                                                        \
	X(PAGES_BATCHED, pages_batched)

#define PROTOCOL_COUNTER(counter, name) COUNTER_##counter,
enum counter { PROTOCOL_COUNTERS(PROTOCOL_COUNTER) COUNTERS };
#undef PROTOCOL_COUNTER

/* protocol.c */
int protocol_init(struct mapcache *cache);
void protocol_destroy(struct mapcache *cache);
/* In a child after fork(2), where locks must not be touched: the address space only. */
void protocol_abandon(struct mapcache *cache);
/* slots: how many a client's pins may be about; memory is added. */
void protocol_stats(struct mapcache *cache, uint64_t slots, struct mapcache_stats *stats);
/* The table is closed since its tags could be taken for younger ones. True: this thread hides
 * what is older than *epoch, and opens it again. */
bool protocol_sweep_begin(struct mapcache *cache, uint64_t *epoch);
void protocol_sweep_end(struct mapcache *cache, uint64_t epoch);

/* clients.c: the list of all clients, and what is asked of all of them together */
/* From now on it is seen. Its pins and its cache are set, the rest is zero. */
void clients_add(struct mapcache_client *client);
/* Lock held; its pins are in the shared counts. */
void clients_remove_locked(struct mapcache_client *client);
/* Whether anybody has one open but a thread its own, idle. */
bool clients_used(struct mapcache *cache);
/* The client's sections are this thread's from now on / this thread ends: they are whose who
 * begins the next. */
void clients_own(struct mapcache_client *client);
void clients_disown(struct mapcache *cache);
/* Whether this thread is inside a section of any of its clients. */
bool client_in_section(struct mapcache *cache);
/* For who looks at the counts of more than one slot, or at whose slot it is, besides. */
void clients_lock(struct mapcache *cache);
void clients_unlock(struct mapcache *cache);
void client_count(struct mapcache_client *client, enum counter counter, uint64_t n);

/* The heavy half of the asymmetric fence: after it, every section that began before is seen
 * by a scan, and every later one sees what was unpublished before. */
bool client_barrier(struct mapcache *cache);
/* Whether no section older than the epoch is left; remembered, at most one barrier an epoch. */
bool client_quiet(struct mapcache *cache, uint64_t epoch);

/* The pins of a slot, of which those that no client counts are in shared (space.h names them by
 * mapping). Lock held. */
int64_t client_pins_of(struct mapcache *cache, uint64_t slot, const mapcache_atomic_u64 *shared);
/* Before the client's first pin: its counts are looked at from now on. */
void client_add_pinner(struct mapcache_client *client);

/* watch.c */
/* After a scan that a section has stopped: note which sections are open, and tell of one that is
 * for long. No lock is held. */
void watch_sections(struct mapcache *cache);
void watch_show(struct mapcache *cache, struct show *show);

#endif
