/* SPDX-License-Identifier: MIT */
/*
 * Where memory comes from: from the guest, by way of the embedder's translation; or from a
 * placeholder, which is shared memory of this process, so that a bucket and a contiguous pin
 * that both show it see the same.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* a guest is larger than a 32-bit process */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/space/own.h"

/* A map call that fails with EINTR or EAGAIN is made so often, with longer and longer pauses. */
#define SOURCE_TRIES 4
#define SOURCE_PAUSE_NS UINT64_C(20000)

struct placeholder {
	struct placeholder *next;
	uint64_t gpa, len;
	int file;
};

int source_init(struct mapcache *cache)
{
	return -pthread_mutex_init(&cache->space.placeholders.lock, NULL);
}

/* All of a list. */
static void source_free(struct placeholder *each)
{
	while (each) {
		struct placeholder *gone = each;

		each = each->next;
		if (gone->file >= 0)
			close(gone->file);
		free(gone);
	}
}

void source_destroy(struct mapcache *cache)
{
	source_free(cache->space.placeholders.first);
	pthread_mutex_destroy(&cache->space.placeholders.lock);
}

static bool source_overlaps(const struct placeholder *placeholder, uint64_t gpa, uint64_t len)
{
	return gpa < placeholder->gpa + placeholder->len && placeholder->gpa < gpa + len;
}

static bool source_inside(const struct placeholder *placeholder, uint64_t gpa, uint64_t len)
{
	return placeholder->gpa >= gpa && placeholder->gpa + placeholder->len <= gpa + len;
}

/* Placeholders lock held. */
static bool source_any(const struct placeholder *each, uint64_t gpa, uint64_t len, bool whole)
{
	while (each &&
	       (!source_overlaps(each, gpa, len) || (!whole && source_inside(each, gpa, len))))
		each = each->next;
	return each;
}

bool source_stands(struct mapcache *cache, uint64_t gpa, uint64_t len, bool whole)
{
	bool any;

	pthread_mutex_lock(&cache->space.placeholders.lock);
	any = source_any(cache->space.placeholders.first, gpa, len, whole);
	pthread_mutex_unlock(&cache->space.placeholders.lock);
	return any;
}

/* Where it is for the guest. */
static int source_translate(struct mapcache *cache, uint64_t gpa, uint64_t len, uint64_t *guest)
{
	int error;

	*guest = gpa;
	if (!cache->embedder.options.translate)
		return 0;
	error = cache->embedder.options.translate(cache->embedder.options.translate_data, gpa, len,
						  guest);
	if (!error && ((*guest & ((UINT64_C(1) << PAGE_SHIFT) - 1)) || *guest + len < *guest))
		error = -EINVAL;
	return error > 0 ? -EINVAL : error;
}

/* Before it is shown to anybody; whoever asks later holds it mapped. */
static void source_note(const struct source *source, uint64_t guest)
{
	for (size_t page = 0; page < source->pages; page++)
		mapcache_store_relaxed(&source->frames[page], (guest >> PAGE_SHIFT) + page);
}

/* One call. NULL: *failed, and the source knows what is there. */
static void *source_call(struct mapcache *cache, struct source *source, uint64_t guest, int *failed)
{
	const struct mapcache_backend *backend = cache->embedder.backend;
	void *mapped;

	errno = 0;
	if (source->list)
		mapped = backend->map_frames(cache->embedder.backend_state, source->address,
					     (const uint64_t *)source->list, source->pages,
					     source->prot, source->error);
	else
		mapped = backend->map(cache->embedder.backend_state, source->address,
				      guest >> PAGE_SHIFT, source->pages, source->prot,
				      source->error);
	if (mapped)
		return mapped;
	*failed = errno ? -errno : -ENOMEM;
	/* What has failed of Xen's library leaves nothing of its own behind. */
	if (source->address)
		source->found = reserve_find(&cache->space.arena.reserve, source->address,
					     (uint64_t)source->pages << PAGE_SHIFT,
					     source->found == RESERVE_LEFT ||
						     backend->map != mapcache_backend_xen.map);
	return NULL;
}

static bool source_passes(int error)
{
	return error == -EINTR || error == -EAGAIN;
}

/* Whether to make the call again: it failed for a moment, or a page of it did. */
static bool source_again(struct source *source, const void *mapped, int failed)
{
	size_t page = 0;

	if (!mapped)
		return source_passes(failed) && source->found != RESERVE_LOST;
	/* What a call has mapped where it chose cannot be mapped over. */
	while (source->address && page < source->pages && !source_passes(source->error[page]))
		page++;
	if (!source->address || page == source->pages)
		return false;
	source->found = RESERVE_LEFT;
	return true;
}

static void *source_map_guest(struct mapcache *cache, struct source *source)
{
	uint64_t guest, bytes = (uint64_t)source->pages << PAGE_SHIFT;
	int failed = source_translate(cache, source->gpa, bytes, &guest);
	void *mapped = NULL;

	if (!failed && source->frames)
		source_note(source, guest);
	for (unsigned int tries = 1; !failed; tries++) {
		mapped = source_call(cache, source, guest, &failed);
		if (tries == SOURCE_TRIES || !source_again(source, mapped, failed))
			break;
		failed = 0;
		clock_sleep_ns(SOURCE_PAUSE_NS << tries);
	}
	/* Of the call, or of every page. */
	if (mapcache_unlikely(failed == -ESRCH || (mapped && source->error[0] == -ESRCH)))
		notify_gone(cache);
	errno = -failed;
	return mapped;
}

/*
 * The first piece of a range that is all in one placeholder, which is then mapped, or in none.
 * Returns its pages. mmap(2) of memory of our own waits for nobody but the process's page tables, so
 * the lock may be held; it keeps the file open.
 */
static size_t source_piece(struct mapcache *cache, void *address, uint64_t gpa, size_t pages,
			   int prot, void **mapped)
{
	uint64_t len = (uint64_t)pages << PAGE_SHIFT;
	struct placeholder *each;

	*mapped = NULL;
	pthread_mutex_lock(&cache->space.placeholders.lock);
	for (each = cache->space.placeholders.first; each; each = each->next) {
		if (!source_overlaps(each, gpa, len))
			continue;
		if (each->gpa > gpa) {
			len = each->gpa - gpa;
			continue;
		}
		if (len > each->gpa + each->len - gpa)
			len = each->gpa + each->len - gpa;
		*mapped = mmap(address, (size_t)len, prot, MAP_SHARED | MAP_FIXED, each->file,
			       (off_t)(gpa - each->gpa));
		break;
	}
	pthread_mutex_unlock(&cache->space.placeholders.lock);
	return (size_t)(len >> PAGE_SHIFT);
}

/* The first piece of what is to be mapped, into the reservation. Its pages; 0: errno and found. */
static size_t source_map_piece(struct mapcache *cache, struct source *piece)
{
	void *mapped;

	piece->pages =
		source_piece(cache, piece->address, piece->gpa, piece->pages, piece->prot, &mapped);
	if (!mapped)
		return source_map_guest(cache, piece) ? piece->pages : 0;
	if (mapped == MAP_FAILED) {
		int failed = errno;

		piece->found = reserve_find(&cache->space.arena.reserve, piece->address,
					    (uint64_t)piece->pages << PAGE_SHIFT, false);
		errno = failed;
		return 0;
	}
	memset(piece->error, 0, piece->pages * sizeof(*piece->error));
	return piece->pages;
}

/* Beside placeholders. What is mapped must not be cut by the edge of one: it goes first. */
static void *source_map_pieces(struct mapcache *cache, struct source *source)
{
	uint64_t bytes = (uint64_t)source->pages << PAGE_SHIFT;
	struct source piece = *source;
	size_t left = source->pages, part;
	int failed = 0;

	if (source->found == RESERVE_LEFT)
		failed = space_unmap(cache, source->address, bytes, 1);
	if (failed) {
		errno = -failed;
		return NULL;
	}
	piece.found = RESERVE_OURS;
	do {
		piece.pages = left;
		part = source_map_piece(cache, &piece);
		left -= part;
		piece.gpa += (uint64_t)part << PAGE_SHIFT;
		piece.address += part << PAGE_SHIFT;
		piece.error += part;
		if (piece.frames)
			piece.frames += part;
	} while (part && left);
	source->found = piece.found;
	if (part)
		return source->address;
	failed = errno;
	bytes -= (uint64_t)left << PAGE_SHIFT;
	if (bytes && space_unmap(cache, source->address, bytes, 1) && source->found == RESERVE_OURS)
		source->found = RESERVE_LEFT;
	errno = failed;
	return NULL;
}

void *source_map(struct mapcache *cache, struct source *source)
{
	uint64_t len = (uint64_t)source->pages << PAGE_SHIFT;

	if (mapcache_unlikely(!source->list && source_stands(cache, source->gpa, len, true)))
		return source_map_pieces(cache, source);
	return source_map_guest(cache, source);
}

struct placeholder *source_hide(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct placeholder **link = &cache->space.placeholders.first, *hidden = NULL, *each;

	pthread_mutex_lock(&cache->space.placeholders.lock);
	while ((each = *link)) {
		if (source_inside(each, gpa, len)) {
			*link = each->next;
			LL_PREPEND(hidden, each);
		} else {
			link = &each->next;
		}
	}
	pthread_mutex_unlock(&cache->space.placeholders.lock);
	return hidden;
}

void source_settle(struct mapcache *cache, struct placeholder *hidden, bool back)
{
	struct placeholders *all = &cache->space.placeholders;

	if (!back) {
		source_free(hidden);
		return;
	}
	pthread_mutex_lock(&all->lock);
	LL_CONCAT(all->first, hidden);
	pthread_mutex_unlock(&all->lock);
}

static int source_check(const struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	if (!cache || len == 0 || ((gpa | len) & ((UINT64_C(1) << PAGE_SHIFT) - 1)))
		return -EINVAL;
	if (!settings_reach(&cache->settings, gpa, len))
		return -ERANGE;
	return space_fixed(cache) ? 0 : -EOPNOTSUPP;
}

int mapcache_placeholder_end(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	CANCEL_DEFERRED;
	int error = source_check(cache, gpa, len);

	if (error)
		return error;
	if (source_stands(cache, gpa, len, false))
		return -EBUSY;
	source_settle(cache, source_hide(cache, gpa, len), false);
	return mapcache_invalidate_range(cache, gpa, len);
}

int mapcache_placeholder(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct placeholder *placeholder;
	struct placeholders *all;
	CANCEL_DEFERRED;
	int error = source_check(cache, gpa, len);

	if (error)
		return error;
	all = &cache->space.placeholders;
	placeholder = malloc(sizeof(*placeholder));
	if (!placeholder)
		return -ENOMEM;
	*placeholder = (struct placeholder){ .gpa = gpa, .len = len };
	placeholder->file = memfd_create("mapcache placeholder", MFD_CLOEXEC);
	if (placeholder->file < 0 || ftruncate(placeholder->file, (off_t)len)) {
		error = -errno;
		goto free;
	}
	pthread_mutex_lock(&all->lock);
	error = source_any(all->first, gpa, len, true) ? -EEXIST : 0;
	if (!error)
		LL_PREPEND(all->first, placeholder);
	pthread_mutex_unlock(&all->lock);
	if (error)
		goto free;
	return mapcache_invalidate_range(cache, gpa, len);
free:
	source_free(placeholder);
	return error;
}
