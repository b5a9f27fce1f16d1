/* SPDX-License-Identifier: MIT */
/* Statistics, and dumps, which are written to memory first: a file can take any time. */
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

static void dump_bucket(struct mapcache *cache, struct mapping *mapping, struct show *show)
{
	show_begin(show, "gpa", place_gpa(cache, mapping, 0));
	show_flag(show, "busy", mapping->busy);
	/* The rest of a busy one is its owner's. */
	if (!mapping->busy) {
		show_number(show, "epoch", mapcache_load_relaxed(&mapping->epoch));
		show_hex(show, "address", (uintptr_t)mapping_base(cache, mapping));
		show_hex(show, "mapped", mapping->mapped);
		show_hex(show, "valid", mapping_valid(cache, mapping));
		show_number(show, "calls", mapping->calls);
		show_number(show, "pins", (uint64_t)client_pins(cache, mapping));
		show_flag(show, "read_only", mapping_denied(mapping) != 0);
		show_flag(show, "probation", !mapping_published(cache, mapping));
	}
	show_end(show);
}

static void dump_buckets(struct mapcache *cache, struct show *show)
{
	for (uint32_t i = 0; i < cache->settings.stripes; i++) {
		struct stripe *stripe = stripe_at(cache, i);
		struct mapping *mapping;

		pthread_mutex_lock(&stripe->lock);
		for (mapping = stripe->oldest; mapping; mapping = stripe_newer(mapping))
			dump_bucket(cache, mapping, show);
		pthread_mutex_unlock(&stripe->lock);
	}
}

/* What is in no index any more, or never was, and is mapped because a pin holds it. */
static void dump_pinned(struct mapcache *cache, struct show *show)
{
	uint64_t slots = space_slots(cache);

	for (uint64_t slot = 0; slot < slots; slot++) {
		struct mapping *mapping = mapping_at(cache, slot);
		uint64_t epoch = mapcache_load_relaxed(&mapping->epoch);
		int64_t pins = client_pins(cache, mapping);

		if (mapping_state(mapping) != MAPPING_RETIRED || !epoch || !pins)
			continue;
		show_begin(show, "gpa", place_gpa(cache, mapping, 0));
		show_number(show, "epoch", epoch);
		/* Invalidations since it was mapped. */
		show_number(show, "age", epoch_now(&cache->shared) - epoch);
		show_hex(show, "address", (uintptr_t)mapping_base(cache, mapping));
		show_number(show, "pins", (uint64_t)pins);
		show_end(show);
	}
}

static const struct {
	const char *name, *list; /* of one of them, of all */
	void (*show)(struct mapcache *cache, struct show *show);
} dump_kinds[] = {
	{ "bucket", "buckets", dump_buckets }, { "span", "spans", span_show },
	{ "pinned", "pinned", dump_pinned },   { "client", "clients", watch_show },
	{ "held", "held", ledger_show },
};

static void dump_statistics(struct mapcache *cache, struct show *show)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	const char *between = "";

	(void)mapcache_stats(cache, &stats);
#define DUMP_TEXT(name, text)                                                                      \
	fprintf(show->file, "%-24s %20" PRIu64 "  %s\n", #name, stats.name, text);
#define DUMP_JSON(name, text)                                                                      \
	fprintf(show->file, "%s\n    \"%s\": %" PRIu64, between, #name, stats.name);               \
	between = ",";
	if (show->json) {
		MAPCACHE_STATISTICS(DUMP_JSON)
	} else {
		MAPCACHE_STATISTICS(DUMP_TEXT)
	}
#undef DUMP_TEXT
#undef DUMP_JSON
}

static void dump_write(struct mapcache *cache, struct show *show)
{
	if (show->json)
		fprintf(show->file, "{\n  \"version\": \"%s\",\n  \"statistics\": {",
			mapcache_version());
	dump_statistics(cache, show);
	if (show->json)
		fprintf(show->file, "\n  },\n  \"bucket_shift\": %u,\n  \"granule_shift\": %u",
			cache->settings.bucket_shift, cache->settings.granule_shift);
	for (size_t i = 0; i < sizeof(dump_kinds) / sizeof(dump_kinds[0]); i++) {
		show->kind = dump_kinds[i].name;
		show->between = "";
		if (show->json)
			fprintf(show->file, ",\n  \"%s\": [", dump_kinds[i].list);
		dump_kinds[i].show(cache, show);
		if (show->json)
			fputs("]", show->file);
	}
	if (show->json)
		fputs("\n}\n", show->file);
}

static int dump(struct mapcache *cache, FILE *file, bool json)
{
	struct show show = { .json = json };
	CANCEL_DEFERRED;
	char *text = NULL;
	size_t size = 0;
	int error;

	if (!cache || !file)
		return -EINVAL;
	show.file = open_memstream(&text, &size);
	if (!show.file)
		return -ENOMEM;
	dump_write(cache, &show);
	error = ferror(show.file) ? -ENOMEM : 0;
	if (fclose(show.file))
		error = -ENOMEM;
	else if (!error && (fwrite(text, 1, size, file) != size || ferror(file)))
		error = -EIO;
	free(text);
	return error;
}

int mapcache_dump(struct mapcache *cache, FILE *file)
{
	return dump(cache, file, false);
}

int mapcache_dump_json(struct mapcache *cache, FILE *file)
{
	return dump(cache, file, true);
}
