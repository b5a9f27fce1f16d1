/* SPDX-License-Identifier: MIT */
/*
 * Statistics, every bucket, every contiguous mapping, every client, and what pins keep besides, as
 * a line of text or a JSON object each. What a lock protects is copied under it and written without
 * it: a file can take any time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/api/api.h"
#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

static void stats_fill(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->memory_bytes = sizeof(*cache);
	stats->range_invalidates = mapcache_load_relaxed(&cache->api.range_invalidates);
	account_stats(cache, stats);
	protocol_stats(cache, space_slots(cache), stats);
	space_stats(cache, stats);
	index_stats(cache, stats);
	reclaim_stats(cache, stats);
	fill_stats(cache, stats);
	pins_stats(cache, stats);
}

int mapcache_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	struct mapcache_stats given, known;
	int error;

	if (!cache || !stats)
		return -EINVAL;
	error = options_copy(stats, &given, sizeof(given));
	if (error)
		return error;
	known = (struct mapcache_stats){ .size = given.size };
	stats_fill(cache, &known);
	memcpy(stats, &known, known.size < sizeof(known) ? known.size : sizeof(known));
	return 0;
}

#define DUMP_ROOM 64 /* in a copy, to begin with */

struct dump {
	struct mapcache *cache;
	FILE *file;
	bool json;
	const char *kind;    /* of what is listed */
	const char *between; /* JSON: before the next one */
};

/* ---- one of them, by its fields ----------------------------------------------------------- */

static void dump_begin(struct dump *dump, const char *name, uint64_t value)
{
	if (dump->json)
		fprintf(dump->file, "%s\n    {\"%s\": \"%#" PRIx64 "\"", dump->between, name,
			value);
	else
		fprintf(dump->file, "%s %#" PRIx64, dump->kind, value);
	dump->between = ",";
}

/* Numbers past 2^53 are not safe with every reader: those that can be are strings. */
static void dump_hex(struct dump *dump, const char *name, uint64_t value)
{
	fprintf(dump->file, dump->json ? ", \"%s\": \"%#" PRIx64 "\"" : " %s %#" PRIx64, name,
		value);
}

static void dump_number(struct dump *dump, const char *name, uint64_t value)
{
	fprintf(dump->file, dump->json ? ", \"%s\": %" PRIu64 : " %s %" PRIu64, name, value);
}

static void dump_flag(struct dump *dump, const char *name, bool value)
{
	if (dump->json)
		fprintf(dump->file, ", \"%s\": %s", name, value ? "true" : "false");
	else if (value)
		fprintf(dump->file, " %s", name);
}

/* ---- what there is ------------------------------------------------------------------------ */

struct dump_bucket {
	uint64_t gpa, epoch, mapped, valid;
	int64_t pins;
	const void *address;
	unsigned int calls;
	bool busy, read_only, probation;
};

static struct dump_bucket dump_describe(struct mapcache *cache, struct mapping *mapping)
{
	struct dump_bucket bucket = {
		.gpa = place_gpa(cache, mapping, 0),
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

static uint64_t dump_copy_buckets(struct mapcache *cache, void *copies, uint64_t room)
{
	struct dump_bucket *buckets = copies;
	uint64_t copied = 0, count = 0;

	for (uint32_t i = 0; i < cache->settings.stripes; i++) {
		struct stripe *stripe = stripe_at(cache, i);
		struct mapping *mapping;

		pthread_mutex_lock(&stripe->lock);
		count += stripe->count;
		for (mapping = stripe->oldest; mapping && copied < room;
		     mapping = stripe_newer(mapping))
			buckets[copied++] = dump_describe(cache, mapping);
		pthread_mutex_unlock(&stripe->lock);
	}
	return count;
}

static void dump_bucket(struct dump *dump, const void *copy)
{
	const struct dump_bucket *bucket = copy;

	dump_begin(dump, "gpa", bucket->gpa);
	dump_flag(dump, "busy", bucket->busy);
	if (bucket->busy)
		return;
	dump_number(dump, "epoch", bucket->epoch);
	dump_hex(dump, "address", (uintptr_t)bucket->address);
	dump_hex(dump, "mapped", bucket->mapped);
	dump_hex(dump, "valid", bucket->valid);
	dump_number(dump, "calls", bucket->calls);
	dump_number(dump, "pins", (uint64_t)bucket->pins);
	dump_flag(dump, "read_only", bucket->read_only);
	dump_flag(dump, "probation", bucket->probation);
}

static void dump_span(struct dump *dump, const void *copy)
{
	const struct span_state *span = copy;

	dump_begin(dump, "gpa", span->gpa);
	dump_hex(dump, "length", span->len);
	dump_number(dump, "epoch", span->epoch);
	dump_hex(dump, "address", (uintptr_t)span->address);
	dump_number(dump, "pins", (uint64_t)span->pins);
	dump_flag(dump, "read_only", !span->writable);
	dump_flag(dump, "own", span->own);
	dump_flag(dump, "busy", span->busy);
	dump_flag(dump, "stale", span->stale);
}

/* What is in no index any more, or never was, and is mapped because a pin holds it. */
static uint64_t dump_copy_pinned(struct mapcache *cache, void *copies, uint64_t room)
{
	uint64_t slots = space_slots(cache), count = 0;
	struct dump_bucket *buckets = copies;

	for (uint64_t slot = 0; slot < slots; slot++) {
		struct mapping *mapping = mapping_at(cache, slot);
		struct dump_bucket bucket = { .gpa = place_gpa(cache, mapping, 0),
					      .epoch = mapcache_load_relaxed(&mapping->epoch),
					      .address = mapping_base(cache, mapping) };

		if (mapping_state(mapping) != MAPPING_RETIRED || !bucket.epoch)
			continue;
		bucket.pins = client_pins(cache, mapping);
		if (bucket.pins && count++ < room)
			buckets[count - 1] = bucket;
	}
	return count;
}

static void dump_pinned(struct dump *dump, const void *copy)
{
	const struct dump_bucket *bucket = copy;

	dump_begin(dump, "gpa", bucket->gpa);
	dump_number(dump, "epoch", bucket->epoch);
	/* Invalidations since it was mapped. */
	dump_number(dump, "age", epoch_now(&dump->cache->shared) - bucket->epoch);
	dump_hex(dump, "address", (uintptr_t)bucket->address);
	dump_number(dump, "pins", (uint64_t)bucket->pins);
}

static void dump_client(struct dump *dump, const void *copy)
{
	const struct client_view *client = copy;

	dump_begin(dump, "client", (uintptr_t)client->client);
	dump_number(dump, "thread", (uint64_t)client->thread);
	dump_flag(dump, "in_section", client->open);
	dump_number(dump, "epoch", client->epoch);
	dump_number(dump, "holds_back_ms", client->open_ns / NS_PER_MS);
}

/* With MAPCACHE_DEBUG: a pin, and who pinned it. */
static void dump_held(struct dump *dump, const void *copy)
{
	const struct ledger_entry *entry = copy;

	dump_begin(dump, "address", (uintptr_t)entry->pointer);
	dump_number(dump, "len", entry->len);
	dump_hex(dump, "caller", (uintptr_t)entry->caller);
	dump_number(dump, "thread", (uint64_t)entry->thread);
}

/* ---- all of it ---------------------------------------------------------------------------- */

static const struct dump_kind {
	const char *name, *list; /* of one of them, of all */
	size_t size;
	/* Copies as many as there is room for; returns how many there are. */
	uint64_t (*copy)(struct mapcache *cache, void *copies, uint64_t room);
	void (*write)(struct dump *dump, const void *copy);
} dump_kinds[] = {
	{ "bucket", "buckets", sizeof(struct dump_bucket), dump_copy_buckets, dump_bucket },
	{ "span", "spans", sizeof(struct span_state), span_list, dump_span },
	{ "pinned", "pinned", sizeof(struct dump_bucket), dump_copy_pinned, dump_pinned },
	{ "client", "clients", sizeof(struct client_view), watch_clients, dump_client },
	{ "held", "held", sizeof(struct ledger_entry), ledger_list, dump_held },
};

static int dump_list(struct dump *dump, const struct dump_kind *kind)
{
	uint64_t room = DUMP_ROOM, count;
	char *copies;

	for (;; room = count + count / 8) {
		copies = calloc((size_t)room, kind->size);
		if (!copies)
			return -ENOMEM;
		count = kind->copy(dump->cache, copies, room);
		if (count <= room)
			break;
		free(copies);
	}
	dump->kind = kind->name;
	dump->between = "";
	for (uint64_t i = 0; i < count; i++) {
		kind->write(dump, copies + i * kind->size);
		fputs(dump->json ? "}" : "\n", dump->file);
	}
	free(copies);
	return 0;
}

static void dump_statistics(const struct dump *dump)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	const char *between = "";

	(void)mapcache_stats(dump->cache, &stats);
#define DUMP_TEXT(name, text)                                                                      \
	fprintf(dump->file, "%-24s %20" PRIu64 "  %s\n", #name, stats.name, text);
#define DUMP_JSON(name, text)                                                                      \
	fprintf(dump->file, "%s\n    \"%s\": %" PRIu64, between, #name, stats.name);               \
	between = ",";
	if (dump->json) {
		MAPCACHE_STATISTICS(DUMP_JSON)
	} else {
		MAPCACHE_STATISTICS(DUMP_TEXT)
	}
#undef DUMP_TEXT
#undef DUMP_JSON
}

static int dump_all(struct mapcache *cache, FILE *file, bool json)
{
	struct dump dump = { .cache = cache, .file = file, .json = json };
	CANCEL_DEFERRED;
	int error = 0;

	if (!cache || !file)
		return -EINVAL;
	if (json)
		fprintf(file, "{\n  \"version\": \"%s\",\n  \"statistics\": {", mapcache_version());
	dump_statistics(&dump);
	if (json)
		fprintf(file, "\n  },\n  \"bucket_shift\": %u,\n  \"granule_shift\": %u",
			cache->settings.bucket_shift, cache->settings.granule_shift);
	for (size_t i = 0; i < sizeof(dump_kinds) / sizeof(dump_kinds[0]) && !error; i++) {
		if (json)
			fprintf(file, ",\n  \"%s\": [", dump_kinds[i].list);
		error = dump_list(&dump, &dump_kinds[i]);
		if (json)
			fputs("]", file);
	}
	if (json)
		fputs("\n}\n", file);
	return error || !ferror(file) ? error : -EIO;
}

int mapcache_dump(struct mapcache *cache, FILE *file)
{
	return dump_all(cache, file, false);
}

int mapcache_dump_json(struct mapcache *cache, FILE *file)
{
	return dump_all(cache, file, true);
}
