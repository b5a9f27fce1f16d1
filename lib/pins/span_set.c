/* SPDX-License-Identifier: MIT */
/* All spans: those that are kept for later pins, found by address, and the loose ones. */
#include "lib/pins/span.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/pins/pins.h"
#include "lib/protocol/epoch.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

#define SPAN_LOOK 64 /* at most so many are looked at for one to give up; others the next time */

int64_t span_pins_locked(struct mapcache *cache, const struct span *span)
{
	int64_t pins = 0;

	for (uint64_t i = 0; i < span->slots; i++)
		pins += client_pins_locked(cache, &span->first[i]);
	return pins;
}

int64_t span_pins(struct mapcache *cache, const struct span *span)
{
	int64_t pins;

	clients_lock(cache);
	pins = span_pins_locked(cache, span);
	clients_unlock(cache);
	return pins;
}

struct span *span_next(const struct spans *spans, const struct span *span)
{
	if (span && (span->next || !span->kept))
		return span->next;
	return !span && spans->kept ? spans->kept : spans->loose;
}

/* ---- the index. Spans lock held ------------------------------------------------------------ */

/* How many begin at or before an address. What is compared decides no branch. */
static uint64_t span_rank(const struct spans *spans, uint64_t gpa)
{
	const struct span_key *key = spans->index;
	uint64_t count = spans->kept_count;

	for (; count > 1; count -= count / 2)
		key += key[count / 2 - 1].gpa <= gpa ? count / 2 : 0;
	return (uint64_t)(key - spans->index) + (count && key->gpa <= gpa);
}

static void span_doom(struct mapcache *cache, struct span *span)
{
	if (!span->doomed)
		account_retire(cache, span->epoch, span->len);
	span->doomed = true;
}

/* Those from first on, before end, are loose from now on. */
static void span_loosen(struct spans *spans, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		struct span *span = spans->index[i].span;

		span->kept = false;
		/* The list has it. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		DL_DELETE(spans->kept, span);
		DL_APPEND(spans->loose, span);
	}
	memmove(&spans->index[first], &spans->index[end],
		(size_t)(spans->kept_count - end) * sizeof(*spans->index));
	spans->kept_count -= end - first;
}

static void span_forget(struct mapcache *cache, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		span_doom(cache, cache->pins.spans.index[i].span);
	span_loosen(&cache->pins.spans, first, end);
}

void span_let_go(struct spans *spans, struct span *span)
{
	uint64_t rank = span_rank(spans, span->gpa);

	span_loosen(spans, rank - 1, rank);
}

/* Nobody may find what is stale: all that is kept, if it is of an older epoch. */
static void span_sweep(struct spans *spans, uint64_t epoch)
{
	if (spans->epoch < epoch)
		span_loosen(spans, 0, spans->kept_count);
	spans->epoch = epoch;
}

/* Those that all of it is part of, and those that are parts of it: neighbours in the index. */
static void span_supersede(struct mapcache *cache, const struct span *span)
{
	const struct spans *spans = &cache->pins.spans;
	const struct span_key *index = spans->index;
	uint64_t first = span_rank(spans, span->gpa), end = first;

	while (first > 0 && (index[first - 1].gpa == span->gpa ||
			     span_end(index[first - 1].span) >= span_end(span)))
		first--;
	while (end < spans->kept_count && span_end(index[end].span) <= span_end(span))
		end++;
	span_forget(cache, first, end);
}

void span_keep(struct mapcache *cache, struct span *span)
{
	struct spans *spans = &cache->pins.spans;
	uint64_t at;

	span_sweep(spans, span->epoch);
	span_supersede(cache, span);
	at = span_rank(spans, span->gpa);
	memmove(&spans->index[at + 1], &spans->index[at],
		(size_t)(spans->kept_count - at) * sizeof(*spans->index));
	spans->index[at] = (struct span_key){ .gpa = span->gpa, .span = span };
	spans->kept_count++;
	span->kept = true;
	DL_DELETE(spans->loose, span);
	DL_APPEND(spans->kept, span);
}

struct span *span_look_up(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct spans *spans = &cache->pins.spans;
	uint64_t rank = span_rank(spans, gpa);
	struct span *span = rank ? spans->index[rank - 1].span : NULL;

	return span && gpa < span_end(span) && len <= span_end(span) - gpa ? span : NULL;
}

void span_add(struct mapcache *cache, struct span *span)
{
	DL_APPEND(cache->pins.spans.loose, span);
	cache->pins.spans.count++;
}

static void span_take_out(struct mapcache *cache, struct span *span)
{
	DL_DELETE(cache->pins.spans.loose, span);
	cache->pins.spans.count--;
}

/* ---- giving up. Spans lock not held -------------------------------------------------------- */

uint64_t span_discard(struct mapcache *cache, struct span *span)
{
	uint64_t len = span->len;

	span_notify(cache, span, MAPCACHE_EVENT_REMOVING);
	if (!span_unmap(cache, span)) {
		span_unname(cache, span);
		span_free(cache, span);
		return len;
	}
	pthread_mutex_lock(&cache->pins.spans.lock);
	span_doom(cache, span);
	span_add(cache, span);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	return 0;
}

/* The loose ones that nobody pins, taken out, as a list. Spans lock held. */
static struct span *span_collect(struct mapcache *cache)
{
	uint64_t epoch = epoch_now(&cache->shared), pinned = 0;
	struct spans *spans = &cache->pins.spans;
	struct span *next, *gone = NULL;

	span_sweep(spans, epoch);
	for (struct span *span = spans->loose; span; span = next) {
		next = span->next;
		if (span->mapping || span->moving)
			continue;
		if (span_pins(cache, span)) {
			pinned += span->doomed || span->epoch < epoch ? span->len : 0;
			continue;
		}
		span_take_out(cache, span);
		LL_PREPEND(gone, span);
	}
	spans->pinned_bytes = pinned;
	return gone;
}

/* Round the kept ones: who was used since the last time has another turn. Spans lock held. */
static struct span *span_pick(struct mapcache *cache)
{
	struct spans *spans = &cache->pins.spans;

	for (unsigned int i = 0; i < SPAN_LOOK && spans->kept; i++) {
		struct span *span = spans->kept;

		if (!span->used && !span_pins(cache, span))
			return span;
		span->used = false;
		DL_DELETE(spans->kept, span);
		DL_APPEND(spans->kept, span);
	}
	return NULL;
}

uint64_t span_reclaim(struct mapcache *cache, bool room)
{
	struct spans *spans = &cache->pins.spans;
	struct span *gone, *picked, *next;
	uint64_t released = 0;

	pthread_mutex_lock(&spans->lock);
	gone = span_collect(cache);
	picked = room && !gone ? span_pick(cache) : NULL;
	if (picked) {
		span_let_go(spans, picked);
		span_take_out(cache, picked);
		LL_PREPEND(gone, picked);
	}
	pthread_mutex_unlock(&spans->lock);
	for (; gone; gone = next) {
		next = gone->next;
		released += span_discard(cache, gone);
	}
	return released;
}

/* ---- what others ask ------------------------------------------------------------------------ */

void span_invalidate(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct spans *spans = &cache->pins.spans;
	const struct span_key *index = spans->index;
	uint64_t first, end;

	pthread_mutex_lock(&spans->lock);
	first = end = span_rank(spans, gpa);
	while (first > 0 && span_end(index[first - 1].span) > gpa)
		first--;
	while (end < spans->kept_count && index[end].gpa - gpa < len)
		end++;
	span_forget(cache, first, end);
	/* Those on their way, too: they are not kept. */
	for (struct span *span = spans->loose; span; span = span->next) {
		if (!span->moving && span_touches(span, gpa, len))
			span_doom(cache, span);
	}
	pthread_mutex_unlock(&spans->lock);
}

bool span_pinned(struct mapcache *cache, uint64_t epoch)
{
	struct spans *spans = &cache->pins.spans;
	bool pinned = false;
	struct span *span;

	pthread_mutex_lock(&spans->lock);
	for (span = span_next(spans, NULL); span && !pinned; span = span_next(spans, span))
		pinned = span->epoch < epoch && (span->mapping || span_pins(cache, span));
	pthread_mutex_unlock(&spans->lock);
	return pinned;
}

void span_show(struct mapcache *cache, struct show *show)
{
	struct spans *spans = &cache->pins.spans;
	uint64_t epoch = epoch_now(&cache->shared);
	struct span *span;

	pthread_mutex_lock(&spans->lock);
	for (span = span_next(spans, NULL); span; span = span_next(spans, span)) {
		show_begin(show, "gpa", span->gpa);
		show_hex(show, "length", span->len);
		show_number(show, "epoch", span->epoch);
		show_hex(show, "address", (uintptr_t)span_pointer(cache, span, span->gpa));
		show_number(show, "pins", (uint64_t)span_pins(cache, span));
		/* Of one that is being mapped that is its thread's. */
		show_flag(show, "read_only", !span->mapping && !span->writable);
		show_flag(show, "own", span->own);
		show_flag(show, "busy", span->mapping || span->moving);
		show_flag(show, "stale", span->doomed || span->epoch < epoch);
		show_end(show);
	}
	pthread_mutex_unlock(&spans->lock);
}
