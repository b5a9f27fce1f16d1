/* SPDX-License-Identifier: MIT */
/*
 * Statistics, every bucket, every contiguous mapping, every client, and what pins keep besides,
 * for people and for programs. What a lock protects is copied under it and written without it: a
 * file can take any time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lib/base/cancel.h"
#include "lib/base/base.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/pins/ledger.h"
#include "lib/protocol/watch.h"
#include "lib/space/space.h"

#define DUMP_ROOM 64 /* buckets of a stripe, to begin with */

struct dump_bucket {
	uint64_t gpa, epoch, mapped, valid;
	int64_t pins;
	const void *address;
	unsigned int calls;
	bool busy, read_only, probation;
};

/* What is in no index any more, or never was, and is mapped because a pin holds it. */
struct dump_pinned {
	uint64_t gpa, epoch, age; /* age: invalidations since it was mapped */
	int64_t pins;
	const void *address;
};

struct dump {
	struct mapcache *cache;
	FILE *file;
	struct dump_bucket *buckets; /* of one stripe */
	uint64_t room, count;
	uint64_t written;
	void (*bucket)(struct dump *dump, const struct dump_bucket *bucket);
	void (*pinned)(struct dump *dump, const struct dump_pinned *pinned);
	void (*client)(struct dump *dump, const struct client_view *client);
	void (*held)(struct dump *dump, const struct ledger_entry *entry);
	void (*span)(struct dump *dump, const struct span_state *span);
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
	bucket.read_only = mapping_denied(mapping) != 0;
	bucket.probation = !mapping_published(cache, mapping);
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

static void dump_pinned(struct dump *dump)
{
	struct mapcache *cache = dump->cache;
	uint64_t slots = space_slots(cache), now = epoch_now(&cache->shared);

	dump->written = 0;
	for (uint64_t slot = 0; slot < slots; slot++) {
		struct mapping *mapping = mapping_at(cache, slot);
		struct dump_pinned pinned;

		if (mapping_state(mapping) != MAPPING_RETIRED)
			continue;
		pinned.pins = client_pins(cache, mapping);
		pinned.epoch = mapcache_load_relaxed(&mapping->epoch);
		if (!pinned.pins || !pinned.epoch)
			continue;
		pinned.age = now - pinned.epoch;
		pinned.gpa = mapping_gpa(cache, mapping);
		pinned.address = mapping_base(cache, mapping);
		dump->pinned(dump, &pinned);
		dump->written++;
	}
}

static int dump_clients(struct dump *dump)
{
	uint64_t room = watch_clients(dump->cache, NULL, 0) + 1, count;
	struct client_view *views = calloc((size_t)room, sizeof(*views));

	if (!views)
		return -ENOMEM;
	count = watch_clients(dump->cache, views, room);
	dump->written = 0;
	for (uint64_t i = 0; i < count && i < room; i++) {
		dump->client(dump, &views[i]);
		dump->written++;
	}
	free(views);
	return 0;
}

/* With MAPCACHE_DEBUG: each pin that is held, and who pinned it. */
static int dump_held(struct dump *dump)
{
	uint64_t room = ledger_list(dump->cache, NULL, 0) + 16, count;
	struct ledger_entry *entries = calloc((size_t)room, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	count = ledger_list(dump->cache, entries, room);
	dump->written = 0;
	for (uint64_t i = 0; i < count && i < room; i++) {
		dump->held(dump, &entries[i]);
		dump->written++;
	}
	free(entries);
	return 0;
}

static void dump_text_held(struct dump *dump, const struct ledger_entry *entry)
{
	fprintf(dump->file, "held %p, %zu bytes, pinned at %p by thread %d\n",
		(const void *)entry->pointer, entry->len, entry->caller, entry->thread);
}

static void dump_text_pinned(struct dump *dump, const struct dump_pinned *pinned)
{
	fprintf(dump->file,
		"pinned %#" PRIx64 " epoch %" PRIu64 ", %" PRIu64
		" invalidations ago, at %p pins %" PRId64 "\n",
		pinned->gpa, pinned->epoch, pinned->age, pinned->address, pinned->pins);
}

static void dump_text_client(struct dump *dump, const struct client_view *client)
{
	fprintf(dump->file, "client %p thread %d", client->client, client->thread);
	if (client->open)
		fprintf(dump->file, " section of epoch %" PRIu64, client->epoch);
	if (client->open_ns)
		fprintf(dump->file, " holds others back for %" PRIu64 " ms",
			client->open_ns / NS_PER_MS);
	fputc('\n', dump->file);
}

static int dump_spans(struct dump *dump)
{
	struct span_state *spans = NULL;
	uint64_t room = 0, count;

	dump->written = 0;
	while ((count = span_list(dump->cache, spans, room)) > room) {
		free(spans);
		room = count + count / 8;
		spans = calloc((size_t)room, sizeof(*spans));
		if (!spans)
			return -ENOMEM;
	}
	for (uint64_t i = 0; i < count; i++) {
		dump->span(dump, &spans[i]);
		dump->written++;
	}
	free(spans);
	return 0;
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

static void dump_text_span(struct dump *dump, const struct span_state *span)
{
	fprintf(dump->file,
		"span %#" PRIx64 " length %#" PRIx64 " epoch %" PRIu64 " at %p pins %" PRId64
		"%s%s%s%s\n",
		span->gpa, span->len, span->epoch, span->address, span->pins,
		span->writable ? "" : " read-only", span->own ? " own" : "",
		span->busy ? " busy" : "", span->stale ? " stale" : "");
}

int mapcache_dump(struct mapcache *cache, FILE *file)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct dump dump = { .cache = cache,
			     .file = file,
			     .bucket = dump_text_bucket,
			     .span = dump_text_span,
			     .pinned = dump_text_pinned,
			     .client = dump_text_client,
			     .held = dump_text_held };
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
	if (!error)
		error = dump_spans(&dump);
	if (error)
		return error;
	dump_pinned(&dump);
	error = dump_clients(&dump);
	if (!error)
		error = dump_held(&dump);
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

static void dump_json_pinned(struct dump *dump, const struct dump_pinned *pinned)
{
	fprintf(dump->file,
		"%s\n    {\"gpa\": \"%#" PRIx64 "\", \"epoch\": %" PRIu64 ", \"age\": %" PRIu64
		", \"address\": \"%#" PRIxPTR "\", \"pins\": %" PRId64 "}",
		dump->written ? "," : "", pinned->gpa, pinned->epoch, pinned->age,
		(uintptr_t)pinned->address, pinned->pins);
}

static void dump_json_held(struct dump *dump, const struct ledger_entry *entry)
{
	fprintf(dump->file,
		"%s\n    {\"address\": \"%#" PRIxPTR "\", \"len\": %zu, \"caller\": \"%#" PRIxPTR
		"\", \"thread\": %d}",
		dump->written ? "," : "", (uintptr_t)entry->pointer, entry->len,
		(uintptr_t)entry->caller, entry->thread);
}

static void dump_json_client(struct dump *dump, const struct client_view *client)
{
	fprintf(dump->file,
		"%s\n    {\"client\": \"%#" PRIxPTR "\", \"thread\": %d, \"in_section\": %s"
		", \"epoch\": %" PRIu64 ", \"holds_back_ms\": %" PRIu64 "}",
		dump->written ? "," : "", (uintptr_t)client->client, client->thread,
		dump_json_bool(client->open), client->epoch, client->open_ns / NS_PER_MS);
}

static void dump_json_span(struct dump *dump, const struct span_state *span)
{
	fprintf(dump->file,
		"%s\n    {\"gpa\": \"%#" PRIx64 "\", \"length\": \"%#" PRIx64
		"\", \"epoch\": %" PRIu64 ", \"address\": \"%#" PRIxPTR "\", \"pins\": %" PRId64
		", \"read_only\": %s, \"own\": %s, \"busy\": %s, \"stale\": %s}",
		dump->written ? "," : "", span->gpa, span->len, span->epoch,
		(uintptr_t)span->address, span->pins, dump_json_bool(!span->writable),
		dump_json_bool(span->own), dump_json_bool(span->busy), dump_json_bool(span->stale));
}

static int dump_json_rest(struct dump *dump)
{
	int error;

	fprintf(dump->file, "%s],\n  \"spans\": [", dump->written ? "\n  " : "");
	error = dump_spans(dump);
	fprintf(dump->file, "%s],\n  \"pinned\": [", dump->written ? "\n  " : "");
	dump_pinned(dump);
	fprintf(dump->file, "%s],\n  \"clients\": [", dump->written ? "\n  " : "");
	if (!error)
		error = dump_clients(dump);
	fprintf(dump->file, "%s],\n  \"held\": [", dump->written ? "\n  " : "");
	if (!error)
		error = dump_held(dump);
	fprintf(dump->file, "%s]\n}\n", dump->written ? "\n  " : "");
	return error;
}

int mapcache_dump_json(struct mapcache *cache, FILE *file)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct dump dump = { .cache = cache,
			     .file = file,
			     .bucket = dump_json_bucket,
			     .span = dump_json_span,
			     .pinned = dump_json_pinned,
			     .client = dump_json_client,
			     .held = dump_json_held };
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
	if (!error)
		error = dump_json_rest(&dump);
	if (error)
		return error;
	return ferror(file) ? -EIO : 0;
}
