/* SPDX-License-Identifier: MIT */
/*
 * protocol: the epoch, the sections and pins of all clients, and the table of what is shown.
 * INVALIDATE touches nothing else. It promises to the rooms above: a section that began after a
 * tick and a barrier cannot know what was unpublished before (B); what is published carries the
 * epoch it was made in (A); a sum of pins that is 0 stays 0 for what can no longer be pinned.
 *
 * Lock: the clients lock (lists of clients), innermost but for base's. The rest is lock-free and
 * compiled as it is by tests/model.
 * Guarantees: A, B, D, F.
 */
#ifndef MAPCACHE_PROTOCOL_H
#define MAPCACHE_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

struct mapcache;
struct mapping;

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

/* protocol.c */
int protocol_init(struct mapcache *cache);
void protocol_destroy(struct mapcache *cache);
/* In a child after fork(2), where locks must not be touched: the address space only. */
void protocol_abandon(struct mapcache *cache);
/* slots: how many a client's pins may be about; memory is added. */
void protocol_stats(struct mapcache *cache, uint64_t slots, struct mapcache_stats *stats);

/* clients.c */
void client_count(struct mapcache_client *client, enum counter counter, uint64_t n);
int client_barrier_register(struct mapcache *cache);
/* The heavy half of the asymmetric fence: after it, every section that began before is seen
 * by a scan, and every later one sees what was unpublished before. */
bool client_barrier(struct mapcache *cache);
/* Whether no section older than the epoch is left; remembered, at most one barrier an epoch. */
bool client_quiet(struct mapcache *cache, uint64_t epoch);
int64_t client_pins(struct mapcache *cache, struct mapping *mapping);
int64_t client_pins_locked(struct mapcache *cache, struct mapping *mapping);
/* For who looks at the counts of more than one slot, or at whose slot it is, besides. */
void clients_lock(struct mapcache *cache);
void clients_unlock(struct mapcache *cache);
/* Whether this thread is inside a section of any of its clients. */
bool client_in_section(struct mapcache *cache);
/* Before the client's first pin: its counts are looked at from now on. */
void client_add_pinner(struct mapcache_client *client);
/* Move a client's own pins of a slot to the shared count. */
void client_fold(struct mapcache_client *client, uint64_t slot);

#endif
