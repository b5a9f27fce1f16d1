/* SPDX-License-Identifier: MIT */
/*
 * Relocation: pinned spans show other guest memory at the same host addresses. Their slots stay
 * ours throughout and are mapped over one by one, so that no other thread's mmap can get in
 * between. All of the new memory is mapped elsewhere first: what is not there is found out
 * before anything has been changed.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/pins/pins.h"
#include "lib/pins/span.h"
#include "lib/protocol/entry.h"
#include "lib/protocol/protocol.h"
#include "lib/space/space.h"

struct moved {
	struct span *span;
	uint64_t gpa; /* where it was */
};

struct relocation {
	struct mapcache *cache;
	uint64_t old_gpa, new_gpa, len;
	struct moved *moved;
	size_t count;
};

/* The pinned ones there, which must be all there and nobody else's. Spans lock held. */
static int replace_gather(struct relocation *relocation)
{
	const struct spans *spans = &relocation->cache->pins.spans;
	struct span *span;

	for (span = span_next(spans, NULL); span; span = span_next(spans, span)) {
		if (!span_touches(span, relocation->old_gpa, relocation->len) ||
		    !span_pins(relocation->cache, span))
			continue;
		if (span->moving || span->gpa < relocation->old_gpa ||
		    span_end(span) > relocation->old_gpa + relocation->len)
			return -EBUSY;
		relocation->moved[relocation->count++] = (struct moved){ span, span->gpa };
	}
	return 0;
}

/* Make those to be relocated ours. */
static int replace_begin(struct relocation *relocation)
{
	struct spans *spans = &relocation->cache->pins.spans;
	int error = -ENOMEM;

	pthread_mutex_lock(&spans->lock);
	relocation->moved = calloc((size_t)spans->count + 1, sizeof(*relocation->moved));
	if (relocation->moved)
		error = replace_gather(relocation);
	for (size_t i = 0; i < relocation->count && !error; i++) {
		struct span *span = relocation->moved[i].span;

		if (span->kept)
			span_let_go(spans, span);
		span->moving = true;
	}
	pthread_mutex_unlock(&spans->lock);
	return error;
}

static void replace_end(struct relocation *relocation)
{
	struct spans *spans = &relocation->cache->pins.spans;

	pthread_mutex_lock(&spans->lock);
	for (size_t i = 0; i < relocation->count; i++)
		relocation->moved[i].span->moving = false;
	pthread_mutex_unlock(&spans->lock);
}

/* Whether all of what one span is to show can be mapped. */
static int replace_try(struct relocation *relocation, const struct span *span)
{
	struct mapcache *cache = relocation->cache;
	uint64_t gpa = relocation->new_gpa + (span->gpa - relocation->old_gpa);
	struct span *trial;
	int error;

	trial = span_new(cache, gpa, span->len, &error);
	if (!trial)
		return error;
	trial->writable = span->writable;
	span_name(cache, trial, gpa);
	error = span_map(cache, trial, NULL);
	span_discard(cache, trial);
	return error;
}

/*
 * The span shows gpa from now on. At another offset in a bucket the parts of it are others, which
 * would split those that are mapped: so these go first. back: try it all the same.
 */
static int replace_span(struct mapcache *cache, struct span *span, uint64_t gpa, bool back)
{
	int error;

	/* Whoever unpins it will report what it shows then. */
	if (span->writable && entry_logging(cache))
		dirty_unpin(cache, NULL, span_pointer(cache, span, span->gpa), (size_t)span->len);
	span_notify(cache, span, MAPCACHE_EVENT_REMOVING);
	error = span_unmap(cache, span);
	if (!error || back) {
		pthread_mutex_lock(&cache->pins.spans.lock);
		span_unname(cache, span);
		span_name(cache, span, gpa);
		pthread_mutex_unlock(&cache->pins.spans.lock);
		error = span_map(cache, span, NULL);
	}
	span_notify(cache, span, MAPCACHE_EVENT_ADDED);
	return error;
}

/*
 * Back to where they were. What cannot be mapped again, for the guest may have taken it away meanwhile,
 * shows memory of this process: its holder goes on using the pointer (H).
 */
static void replace_undo(struct relocation *relocation, size_t count)
{
	struct mapcache *cache = relocation->cache;

	while (count-- > 0) {
		struct span *span = relocation->moved[count].span;
		uint64_t gpa = relocation->moved[count].gpa;

		if (!replace_span(cache, span, gpa, true))
			continue;
		log_message(cache, MAPCACHE_LOG_ERROR,
			    "mapcache_replace: 0x%llx cannot be mapped again",
			    (unsigned long long)gpa);
		if (mapcache_placeholder(cache, gpa, span->len))
			continue;
		(void)replace_span(cache, span, gpa, true);
		mapcache_placeholder_end(cache, gpa, span->len);
	}
}

/* The ranges may overlap: of what is to be shown nothing comes from a placeholder that goes. */
static int replace_all(struct relocation *relocation)
{
	struct mapcache *cache = relocation->cache;
	struct placeholder *hidden = source_hide(cache, relocation->old_gpa, relocation->len);
	size_t done = 0;
	int error = 0;

	for (size_t i = 0; i < relocation->count && !error; i++)
		error = replace_try(relocation, relocation->moved[i].span);
	for (; done < relocation->count && !error; done++) {
		const struct moved *moved = &relocation->moved[done];

		error = replace_span(cache, moved->span,
				     moved->gpa - relocation->old_gpa + relocation->new_gpa, false);
	}
	source_settle(cache, hidden, error != 0);
	if (error)
		replace_undo(relocation, done);
	if (!error || hidden)
		mapcache_invalidate_range(cache, relocation->old_gpa, relocation->len);
	return error;
}

static int replace_check(struct mapcache *cache, uint64_t old_gpa, uint64_t new_gpa, uint64_t len)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT;

	if (!cache || len == 0 || ((old_gpa | new_gpa | len) & (page - 1)))
		return -EINVAL;
	if (!space_fixed(cache))
		return -EOPNOTSUPP;
	if (!settings_reach(&cache->settings, old_gpa, len) ||
	    !settings_reach(&cache->settings, new_gpa, len))
		return -ERANGE;
	if (client_in_section(cache))
		return -EDEADLK;
	return source_stands(cache, old_gpa, len, false) ? -EBUSY : 0;
}

int mapcache_replace(struct mapcache *cache, uint64_t old_gpa, uint64_t new_gpa, uint64_t len)
{
	struct relocation relocation = {
		.cache = cache, .old_gpa = old_gpa, .new_gpa = new_gpa, .len = len
	};
	int error = replace_check(cache, old_gpa, new_gpa, len);
	CANCEL_DEFERRED;

	if (error)
		return error;
	error = replace_begin(&relocation);
	if (!error) {
		error = replace_all(&relocation);
		replace_end(&relocation);
	}
	free(relocation.moved);
	return error ? error : (int)relocation.count;
}
