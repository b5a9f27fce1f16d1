/* SPDX-License-Identifier: MIT */
/* Options: defaults, and what is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/api/api.h"
#include "lib/base/base.h"
#include "lib/space/space.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#if UINTPTR_MAX > UINT32_MAX
#define OPTIONS_BUCKET_SHIFT 20
#define OPTIONS_MAX_BYTES (32 * GIB)
#define OPTIONS_GUEST_SHIFT 46
#define OPTIONS_BUCKETS_SHIFT 28
#else
#define OPTIONS_BUCKET_SHIFT 16
#define OPTIONS_MAX_BYTES (512 * MIB)
#define OPTIONS_GUEST_SHIFT 36
#define OPTIONS_BUCKETS_SHIFT 20
#endif
#define OPTIONS_WHOLE_SHIFT 24 /* bucket when the whole guest is mapped at once */
#define OPTIONS_GRANULE_SHIFT 14
#define OPTIONS_STRIPES 64
#define OPTIONS_RECLAIM_MS 40
#define OPTIONS_VMAS_DEFAULT 65530 /* the kernel's own default */
#define OPTIONS_VMAS_MIN UINT64_C(64)
#define OPTIONS_RESERVE_PART 48  /* of the slots: two of them are less than one in twenty */
#define OPTIONS_RESERVE_MAX 1024 /* slots, see slot.c */
#define OPTIONS_SLOTS_MAX (UINT64_C(1) << 26)
#define OPTIONS_BUCKETS_MAX (UINT64_C(1) << 32)
#define OPTIONS_GUEST_MAX (UINT64_C(1) << 52)

static uint64_t options_between(uint64_t least, uint64_t value, uint64_t most)
{
	value = value < most ? value : most;
	return value > least ? value : least;
}

int options_copy(const void *given, void *known, size_t known_size)
{
	const unsigned char *bytes = given;
	size_t given_size;

	memcpy(&given_size, given, sizeof(given_size));
	if (given_size < sizeof(given_size))
		return -EINVAL;
	for (size_t i = known_size; i < given_size; i++) {
		if (bytes[i])
			return -E2BIG;
	}
	memset(known, 0, known_size);
	memcpy(known, given, given_size < known_size ? given_size : known_size);
	return 0;
}

/* What the kernel allows this process. */
static uint64_t options_vmas(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	char text[32] = "";
	unsigned long limit = 0;

	if (file) {
		if (fgets(text, sizeof(text), file))
			limit = strtoul(text, NULL, 10);
		fclose(file);
	}
	limit = limit ? limit : OPTIONS_VMAS_DEFAULT;
	return options_between(2 * OPTIONS_VMAS_MIN, limit, UINT64_MAX);
}

/* Half of what the caches that were opened before leave: all of them never have all. */
static uint64_t options_vmas_share(uint64_t limit)
{
	return options_between(OPTIONS_VMAS_MIN,
			       limit >> options_between(1, UINT64_C(1) + reserve_census(), 63),
			       UINT64_MAX);
}

/* ---- each returns why not, or NULL ----------------------------------------------------------- */

static const char *options_shifts(struct mapcache_options *options, uint32_t backend)
{
	bool fixed = backend & MAPCACHE_BACKEND_FIXED;
	/* One call maps a bucket that nothing can be mapped into later. */
	bool one_call = !fixed || backend & MAPCACHE_BACKEND_READ_ONLY;
	uint32_t usual = options->whole_count ? OPTIONS_WHOLE_SHIFT : OPTIONS_BUCKET_SHIFT;
	uint32_t bucket = options->bucket_shift, granule = options->granule_shift, least;

	if (!bucket)
		bucket = fixed ? usual : PAGE_SHIFT;
	if (bucket < 12 || bucket > 30)
		return "bucket_shift must be 12..30";
	least = bucket < 18 ? 12 : bucket - 6;
	if (!granule)
		granule = one_call
				  ? bucket
				  : (uint32_t)options_between(least, OPTIONS_GRANULE_SHIFT, bucket);
	if (one_call && granule != bucket)
		return "granule_shift must be bucket_shift with this backend";
	if (granule < least || granule > bucket)
		return "granule_shift must be 12..bucket_shift and at least bucket_shift - 6";
	options->bucket_shift = bucket;
	options->granule_shift = granule;
	return NULL;
}

static uint64_t options_stale(const struct mapcache_options *options)
{
	return options_between(UINT64_C(4) << options->bucket_shift, options->max_bytes / 4,
			       UINT64_MAX);
}

static const char *options_budgets(struct mapcache_options *options)
{
	uint64_t bucket = UINT64_C(1) << options->bucket_shift, vmas = options_vmas();

	if (!options->max_bytes)
		options->max_bytes = options_between(4 * bucket, OPTIONS_MAX_BYTES,
						     OPTIONS_SLOTS_MAX / 4 * bucket);
	if (options->max_bytes < 4 * bucket)
		return "max_bytes must hold at least 4 buckets";
	if (options->max_bytes / bucket > OPTIONS_SLOTS_MAX)
		return "max_bytes must not exceed 2^26 buckets";
	if (!options->max_stale_bytes)
		options->max_stale_bytes = options_stale(options);
	if (options->max_stale_bytes < 4 * bucket)
		return "max_stale_bytes must hold at least 4 buckets";
	if (!options->max_vmas)
		options->max_vmas = options_vmas_share(vmas);
	if (options->max_vmas < OPTIONS_VMAS_MIN)
		return "max_vmas must be at least 64";
	/* The process needs some itself. */
	options->max_vmas = options_between(0, options->max_vmas, vmas - vmas / 8);
	return NULL;
}

static uint64_t options_guest_limit(const struct mapcache_options *options)
{
	return UINT64_C(1) << options_between(0, options->bucket_shift + OPTIONS_BUCKETS_SHIFT,
					      OPTIONS_GUEST_SHIFT);
}

/* Room for all that is mapped in advance at once, with what eviction keeps free. */
static const char *options_whole(struct mapcache_options *options)
{
	uint64_t bucket = UINT64_C(1) << options->bucket_shift, buckets = 4, limit = 0;

	if (options->whole_count && !options->whole)
		return "whole is NULL";
	for (size_t i = 0; i < options->whole_count; i++) {
		const struct mapcache_range *range = &options->whole[i];
		uint64_t end = range->gpa + range->len;

		if (range->len == 0 || end < range->gpa || end > OPTIONS_GUEST_MAX)
			return "a range of whole is empty or ends past 2^52";
		if (options->guest_limit && options->guest_limit < end)
			return "whole must not exceed guest_limit";
		limit = limit > end ? limit : end;
		buckets += (end - 1) / bucket - range->gpa / bucket + 1;
		if (buckets > OPTIONS_SLOTS_MAX)
			return "whole must not exceed 2^26 buckets";
	}
	if (options->whole_count && options->max_bytes / bucket < 2 * buckets)
		options->max_bytes = 2 * buckets * bucket;
	if (!options->guest_limit)
		options->guest_limit =
			options_between(limit, options_guest_limit(options), UINT64_MAX);
	if (options->guest_limit > OPTIONS_GUEST_MAX)
		return "guest_limit must not exceed 2^52";
	/* Rounded up to whole buckets, so that every bucket below the limit is whole. */
	options->guest_limit = (options->guest_limit + bucket - 1) & ~(bucket - 1);
	if (options->guest_limit / bucket > OPTIONS_BUCKETS_MAX)
		return "guest_limit must not exceed 2^32 buckets";
	return NULL;
}

static const char *options_others(struct mapcache_options *options)
{
	if (options->flags & ~(MAPCACHE_NO_RECLAIM_THREAD | MAPCACHE_NO_MEMBARRIER |
			       MAPCACHE_DEBUG | MAPCACHE_NO_BATCHES))
		return "unknown flags";
	/* Xen's names of domains have 16 bits: another domain's must not come of it (I). */
	if (options->domid > UINT16_MAX)
		return "domid must not exceed 65535";
	if (!options->stripes)
		options->stripes = OPTIONS_STRIPES;
	if (options->stripes > 4096 || (options->stripes & (options->stripes - 1)))
		return "stripes must be a power of two, 1..4096";
	if (!options->reclaim_ms)
		options->reclaim_ms = OPTIONS_RECLAIM_MS;
	if (options->reclaim_ms > 3600000)
		return "reclaim_ms must not exceed an hour";
	return NULL;
}

static void options_settle(struct mapcache *cache, const struct mapcache_options *options)
{
	struct settings *settings = &cache->settings;

	settings->domid = options->domid;
	settings->bucket_shift = options->bucket_shift;
	settings->granule_shift = options->granule_shift;
	settings->stripes = options->stripes;
	settings->reclaim_ms = options->reclaim_ms;
	settings->flags = options->flags;
	settings->slots = options->max_bytes >> options->bucket_shift;
	settings->reserve =
		options_between(1, settings->slots / OPTIONS_RESERVE_PART, OPTIONS_RESERVE_MAX);
	settings->stale_max = options->max_stale_bytes;
	settings->vmas_max = options->max_vmas;
	settings->guest_limit = options->guest_limit;
	settings->granules = 1u << (options->bucket_shift - options->granule_shift);
	settings->granule_pages = 1u << (options->granule_shift - PAGE_SHIFT);
	settings->bucket_pages = 1u << (options->bucket_shift - PAGE_SHIFT);
}

int options_check(struct mapcache *cache, struct mapcache_options *options)
{
	const char *why = options_others(options);

	if (!why)
		why = options_shifts(options, cache->embedder.backend->flags);
	if (!why)
		why = options_whole(options);
	if (!why)
		why = options_budgets(options);
	if (why) {
		log_message(cache, MAPCACHE_LOG_ERROR, "mapcache_open: %s", why);
		return -EINVAL;
	}
	options_settle(cache, options);
	return 0;
}

void options_room(struct mapcache *cache, const struct mapcache_options *asked,
		  struct mapcache_options *options)
{
	const struct embedder *embedder = &cache->embedder;
	uint64_t room = UINT64_MAX;
	bool kept = asked->max_bytes || asked->whole_count;

	if (embedder->backend->room)
		room = embedder->backend->room(embedder->backend_state);
	if (room == UINT64_MAX)
		return;
	/* Half: the others are still to come, and have seen the same. */
	room = options_between(UINT64_C(4) << options->bucket_shift, room / 2, UINT64_MAX);
	if (!kept) {
		options->max_bytes = options_between(0, options->max_bytes, room);
		if (!asked->max_stale_bytes)
			options->max_stale_bytes = options_stale(options);
		options_settle(cache, options);
	} else if (options->max_bytes <= room) {
		return;
	}
	log_message(
		cache, kept ? MAPCACHE_LOG_WARNING : MAPCACHE_LOG_INFO,
		"each page that is mapped costs this system one of its own, or may: max_bytes is "
		"%llu MiB, %s",
		(unsigned long long)options->max_bytes >> 20,
		kept ? "more than half of what is free" : "half of what is free at most");
}
