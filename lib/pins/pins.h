/* SPDX-License-Identifier: MIT */
/*
 * pins: pointers that outlive sections: into one bucket (pin.c), in one piece (span*.c), of the
 * ranges of a request (sgl.c); copies, relocation, the log of modified pages. It promises to the
 * room above: what a pin shows stays mapped until it is given up (B), shows what was there in its
 * epoch or later (A), and its pinners only once it is stale (C); a drain sees all of them, those on
 * their way, too (F); what is written is reported after it was written.
 *
 * Lock: the spans lock, outside of a stripe's: contiguous mappings are found and pinned under it.
 * Guarantees: A, B, C, F.
 */
#ifndef MAPCACHE_PINS_H
#define MAPCACHE_PINS_H

#include "lib/cache.h"

struct mapping;
struct span;

int pins_init(struct mapcache *cache);
void pins_destroy(struct mapcache *cache);
void pins_stats(struct mapcache *cache, struct mapcache_stats *stats);
/* Whether a pin of an older epoch is held or, contiguous, on its way. Once no section of before is
 * left nothing is missed: other pins are taken inside one (F). */
bool pins_held(struct mapcache *cache, uint64_t epoch);

/* dirty.c: modified pages */
/* In a section that shows [pointer, pointer + len): it is going to be written, or has been. */
void dirty_note(struct mapcache_client *client, const void *pointer, uint64_t len);
/* What was noted is reported: at the end of the section that is open, or at once. */
void dirty_flush(struct mapcache_client *client);
/* What a pin has let be written is reported, while it is held: at the end of the section that the
 * client is in, else at once; client: whose thread this is, or NULL. -errno of the report. */
int dirty_unpin(struct mapcache *cache, struct mapcache_client *client, void *pointer,
		size_t written);
/* The same of the first bytes of segments, in one report. */
int dirty_unpin_iov(struct mapcache *cache, struct mapcache_client *client, const struct iovec *iov,
		    int count, uint64_t written);

/* pin.c: how many segments a range takes: one in each bucket. */
uint64_t pin_segments(const struct mapcache *cache, uint64_t gpa, uint64_t len);
/* -EMSGSIZE, and says in the first segment, if there is one, how many it takes. */
int pin_too_few(struct iovec *iov, int iovcnt, uint64_t segments);

/* Take a pin of a slot: inside a section, or under the lock that who counts them holds. */
void pin_take(struct mapcache_client *client, uint64_t slot);

/* mapcache_pin() of all of len, in one bucket, for a call whose own caller the ledger is to name. */
void *pin_piece(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		const void *caller);

/* A pin of what is mapped and shown, in one bucket; or NULL. */
void *pin_try(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);

/* span*.c: contiguous pins */
/* own: in address space that no other pin gets. */
void *span_pin(struct mapcache_client *client, uint64_t gpa, uint64_t len, int prot, bool own,
	       const void *caller);
/* What is stale and nobody pins goes; room: or one that was not used for long. Returns the bytes
 * unmapped. */
uint64_t span_reclaim(struct mapcache *cache, bool room);
/* Whatever nobody pins. */
void span_reclaim_all(struct mapcache *cache);
/* Those that touch the range are not to be found any more. */
void span_invalidate(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* Bytes of the span from a pointer into one of its slots on; a pin holds it. */
uint64_t span_rest(const struct mapcache *cache, const struct mapping *mapping,
		   const void *pointer);
/* As client_pins_locked(), of all its slots. */
int64_t span_pins_locked(struct mapcache *cache, const struct span *span);
/* What a dump says of one. */
struct span_state {
	uint64_t gpa, len, epoch;
	const void *address;
	int64_t pins;
	bool writable, own, stale;
	bool busy; /* being mapped or relocated */
};
/* Copies as many of these as there is room for; returns how many there are. */
uint64_t span_list(struct mapcache *cache, void *copies, uint64_t room);

#endif
