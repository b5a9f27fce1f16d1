/* SPDX-License-Identifier: MIT */
/*
 * Statistics and every bucket, for people and for programs. What a stripe holds is copied under
 * its lock and written without it: a file can take any time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lib/base/cancel.h"
#include "lib/index/index.h"
#include "lib/protocol/protocol.h"

#define DUMP_ROOM 64 /* buckets of a stripe, to begin with */

struct dump_bucket {
	uint64_t gpa, epoch, mapped, valid;
	int64_t pins;
	const void *address;
	unsigned int calls;
	bool busy, read_only, probation;
};

struct dump {
	struct mapcache *cache;
	FILE *file;
	struct dump_bucket *buckets; /* of one stripe */
	uint64_t room, count;
	uint64_t written;
	void (*bucket)(struct dump *dump, const struct dump_bucket *bucket);
};

static struct dump_bucket dump_describe(struct mapcache *cache, struct mapping *mapping)
{
	struct dump_bucket bucket = {
		.gpa = mapcache_load_relaxed(&mapping->index) << cache->settings.bucket_shift,
		.address = mapping_base(cache, mapping),
		.busy = mapping->busy,
	};

	/* The rest of a busy one is its owner's. */
	if (bucket.busy)
		return bucket;
	bucket.epoch = mapcache_load_relaxed(&mapping->epoch);
	bucket.mapped = mapping->mapped;
	bucket.valid = mapping_valid(cache, mapping);
	bucket.pins = client_pins(cache, mapping);
	bucket.calls = mapping->calls;
	bucket.read_only = mapping->read_only;
	bucket.probation = mapping->probation;
	return bucket;
}

/* Copies the stripe's buckets, as many as there is room for. Returns how many there are. */
static uint64_t dump_copy(struct dump *dump, struct stripe *stripe)
{
	struct mapping *mapping;
	uint64_t count;

	dump->count = 0;
	pthread_mutex_lock(&stripe->lock);
	count = stripe_count(stripe);
	for (mapping = stripe_oldest(stripe); mapping && dump->count < dump->room;
	     mapping = stripe_newer(mapping))
		dump->buckets[dump->count++] = dump_describe(dump->cache, mapping);
	pthread_mutex_unlock(&stripe->lock);
	return count;
}

static int dump_make_room(struct dump *dump, uint64_t count)
{
	free(dump->buckets);
	dump->room = count + count / 8;
	dump->buckets = calloc((size_t)dump->room, sizeof(*dump->buckets));
	return dump->buckets ? 0 : -ENOMEM;
}

static int dump_stripe(struct dump *dump, struct stripe *stripe)
{
	uint64_t count;
	int error;

	while ((count = dump_copy(dump, stripe)) > dump->room) {
		error = dump_make_room(dump, count);
		if (error)
			return error;
	}
	for (uint64_t i = 0; i < dump->count; i++) {
		dump->bucket(dump, &dump->buckets[i]);
		dump->written++;
	}
	return 0;
}

static int dump_buckets(struct dump *dump)
{
	int error = dump_make_room(dump, DUMP_ROOM);

	for (uint32_t i = 0; i < dump->cache->settings.stripes && !error; i++)
		error = dump_stripe(dump, stripe_at(dump->cache, i));
	free(dump->buckets);
	return error;
}

static void dump_text_bucket(struct dump *dump, const struct dump_bucket *bucket)
{
	if (bucket->busy) {
		fprintf(dump->file, "bucket %#" PRIx64 " busy\n", bucket->gpa);
		return;
	}
	fprintf(dump->file,
		"bucket %#" PRIx64 " epoch %" PRIu64 " at %p mapped %#" PRIx64 " valid %#" PRIx64
		" calls %u pins %" PRId64 "%s%s\n",
		bucket->gpa, bucket->epoch, bucket->address, bucket->mapped, bucket->valid,
		bucket->calls, bucket->pins, bucket->read_only ? " read-only" : "",
		bucket->probation ? " on probation" : "");
}

int mapcache_dump(struct mapcache *cache, FILE *file)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct dump dump = { .cache = cache, .file = file, .bucket = dump_text_bucket };
	CANCEL_DEFERRED;
	int error;

	if (!cache || !file)
		return -EINVAL;
	error = mapcache_stats(cache, &stats);
	if (error)
		return error;
#define DUMP_TEXT(name, text) fprintf(file, "%-24s %20" PRIu64 "  %s\n", #name, stats.name, text);
	MAPCACHE_STATISTICS(DUMP_TEXT)
#undef DUMP_TEXT
	error = dump_buckets(&dump);
	if (error)
		return error;
	return ferror(file) ? -EIO : 0;
}

static const char *dump_json_bool(bool value)
{
	return value ? "true" : "false";
}

/* Numbers past 2^53 are not safe with every reader: those that can be are strings. */
static void dump_json_bucket(struct dump *dump, const struct dump_bucket *bucket)
{
	fprintf(dump->file, "%s\n    {\"gpa\": \"%#" PRIx64 "\", \"busy\": %s",
		dump->written ? "," : "", bucket->gpa, dump_json_bool(bucket->busy));
	if (!bucket->busy)
		fprintf(dump->file,
			", \"epoch\": %" PRIu64 ", \"address\": \"%#" PRIxPTR
			"\", \"mapped\": \"%#" PRIx64 "\", \"valid\": \"%#" PRIx64
			"\", \"calls\": %u, \"pins\": %" PRId64
			", \"read_only\": %s, \"probation\": %s",
			bucket->epoch, (uintptr_t)bucket->address, bucket->mapped, bucket->valid,
			bucket->calls, bucket->pins, dump_json_bool(bucket->read_only),
			dump_json_bool(bucket->probation));
	fputc('}', dump->file);
}

int mapcache_dump_json(struct mapcache *cache, FILE *file)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct dump dump = { .cache = cache, .file = file, .bucket = dump_json_bucket };
	const char *comma = "";
	CANCEL_DEFERRED;
	int error;

	if (!cache || !file)
		return -EINVAL;
	error = mapcache_stats(cache, &stats);
	if (error)
		return error;
	fprintf(file, "{\n  \"version\": \"%s\",\n  \"statistics\": {", mapcache_version());
#define DUMP_JSON(name, text)                                                                      \
	fprintf(file, "%s\n    \"%s\": %" PRIu64, comma, #name, stats.name);                       \
	comma = ",";
	MAPCACHE_STATISTICS(DUMP_JSON)
#undef DUMP_JSON
	fprintf(file, "\n  },\n  \"bucket_shift\": %u,\n  \"granule_shift\": %u,\n  \"buckets\": [",
		cache->settings.bucket_shift, cache->settings.granule_shift);
	error = dump_buckets(&dump);
	if (error)
		return error;
	fprintf(file, "%s]\n}\n", dump.written ? "\n  " : "");
	return ferror(file) ? -EIO : 0;
}
