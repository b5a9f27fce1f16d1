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

#include <errno.h>

#include "lib/cache.h"

struct mapping;
struct show;
struct span;

int pins_init(struct mapcache *cache);
void pins_destroy(struct mapcache *cache);
/* In a child after fork(2), where locks must not be touched: the address space only. */
void pins_abandon(struct mapcache *cache);
void pins_stats(struct mapcache *cache, struct mapcache_stats *stats);
/* Whether a pin of an older epoch is held or, contiguous, on its way. Once no section of before is
 * left nothing is missed: other pins are taken inside one (F). */
bool pins_held(struct mapcache *cache, uint64_t epoch);

/* dirty.c: modified pages */
/* In a section that shows [pointer, pointer + len): it is going to be written, or has been. */
void dirty_note(struct mapcache_client *client, const void *pointer, uint64_t len);
/* What was noted is reported: at the end of the section that is open, or at once. */
int dirty_flush(struct mapcache_client *client);
/* What a pin has let be written is reported, while it is held: at the end of the section that the
 * client is in, else at once; client: whose thread this is, or NULL. -errno of the report. */
int dirty_unpin(struct mapcache *cache, struct mapcache_client *client, void *pointer,
		size_t written);
/* The same of the first bytes of segments, in one report. */
int dirty_unpin_iov(struct mapcache *cache, struct mapcache_client *client, const struct iovec *iov,
		    int count, uint64_t written);

/*
 * report.c: from when something that is to be reported may be written until Xen has been told;
 * drain and the end of the log wait for what is on its way (F). The reports lock is taken last of
 * all and never held across the backend's call (G).
 */
/* Before what it reports can be seen to be over: before the section ends, before the pin goes. */
void report_begin(struct mapcache *cache, struct report *report, uint64_t epoch);
/* The backend has been told, or there is nothing to tell. */
void report_end(struct mapcache *cache, struct report *report);

/* Whether none is on its way whose number is at most that, and what it reports from before the
 * epoch. UINT64_MAX: of any number, of any epoch. */
bool report_over(struct mapcache *cache, uint64_t epoch, uint64_t number);

/*
 * Tell the backend. One extent that is refused does not lose the others, nor its own pages that
 * are not: 0, or the error of what fails for good, which the embedder has been told.
 */
int report_send(struct mapcache *cache, const struct mapcache_extent *extents, size_t count);

/*
 * ledger.c: with MAPCACHE_DEBUG every pin that is held, by its pointer, and misuse that a hit cannot
 * afford to notice. There the table stays closed and sections begin and end by the slow path, so
 * that every call comes by here; a pin is counted with its slot, not with its client.
 */
static inline bool ledger_on(const struct mapcache *cache)
{
	return mapcache_unlikely(cache->settings.flags & MAPCACHE_DEBUG);
}

void ledger_destroy(struct ledger *ledger);
/* Caller: an address in the embedder's code. What memory is missing for is not noticed. */
void ledger_pin(struct mapcache_client *client, const void *pointer, size_t len,
		const void *caller);
/* Whether a pin that is held covers the pointer; if not, that is told. */
bool ledger_unpin(struct mapcache *cache, const void *pointer, const void *caller);
/* A look-up is asked for: tells what is wrong with it. */
void ledger_look_up(struct mapcache_client *client, uint64_t gpa, int prot, const void *caller);

void ledger_show(struct mapcache *cache, struct show *show);

/* pin.c: 0 or -errno, for any kind of pin. */
static inline int pin_check(const struct mapcache *cache, uint64_t gpa, uint64_t len, int prot)
{
	if (len == 0 || prot == 0 || (prot & ~(PROT_READ | PROT_WRITE)))
		return -EINVAL;
	if (!settings_reach(&cache->settings, gpa, len))
		return -ERANGE;
	if ((prot & PROT_WRITE) && (cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY))
		return -EACCES;
	return 0;
}

/* How much of [gpa, gpa + len) is in its first bucket. */
static inline size_t pin_part(const struct mapcache_client *client, uint64_t gpa, uint64_t len)
{
	uint64_t mask = client->fast.bucket_mask, rest = mask - (gpa & mask) + 1;

	return (size_t)(rest < len ? rest : len);
}

/* Take a pin of a slot: inside a section, or under the lock that who counts them holds. */
void pin_take(struct mapcache_client *client, uint64_t slot);

/* mapcache_pin() of all of len, in one bucket, for a call whose own caller the ledger is to name. */
void *pin_piece(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		const void *caller);

/* span*.c: contiguous pins */
/* own: in address space that no other pin gets. */
void *span_pin(struct mapcache_client *client, uint64_t gpa, uint64_t len, int prot, bool own,
	       const void *caller);
/* What is stale and nobody pins goes; room: or one that was not used for long. Returns the bytes
 * unmapped. */
uint64_t span_reclaim(struct mapcache *cache, bool room);
/* Those that touch the range are not to be found any more. */
void span_invalidate(struct mapcache *cache, uint64_t gpa, uint64_t len);
/* Bytes of the span from a pointer into one of its slots on; a pin holds it. */
uint64_t span_rest(const struct mapcache *cache, const struct mapping *mapping,
		   const void *pointer);
/* As client_pins_locked(), of all its slots. */
int64_t span_pins_locked(struct mapcache *cache, const struct span *span);
void span_show(struct mapcache *cache, struct show *show);

#endif
