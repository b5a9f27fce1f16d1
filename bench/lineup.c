/* SPDX-License-Identifier: MIT */
/* Opening and filling contestants. */
#include "bench/lineup.h"

#include "bench/backend_base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct contestant_config lineup_config(const struct bench *bench, uint64_t buckets)
{
	uint64_t bytes = scenario_bucket_bytes(bench);
	struct contestant_config config = {
		.domid = bench->guest.domid,
		.guest_bytes = buckets * bytes,
		.bucket_shift = bench->options.bucket_shift,
		.granule_shift = bench->options.granule_shift,
		.reclaim_ms = bench->options.reclaim_ms,
		.backend = bench->options.guest_base ? &backend_base : &mapcache_backend_xen,
	};

	return config;
}

static int entry_open(struct lineup_entry *entry, const struct contestant_config *config)
{
	int error = entry->contestant->open(config, &entry->instance);

	if (error)
		return error;
	error = entry->contestant->thread_open(entry->instance, &entry->thread);
	if (error)
		entry->contestant->close(entry->instance);
	return error;
}

int lineup_open(struct lineup *lineup, const struct bench *bench, const char *names,
		const struct contestant_config *config)
{
	char copy[128], *rest = copy, *name;
	int error;

	lineup->count = 0;
	snprintf(copy, sizeof(copy), "%s",
		 bench->options.contestants ? bench->options.contestants : names);
	while ((name = strsep(&rest, ","))) {
		struct lineup_entry *entry = &lineup->entries[lineup->count];

		entry->contestant = contestant_find(name);
		error = entry->contestant && lineup->count < LINEUP_MAX ? entry_open(entry, config)
									: -EINVAL;
		if (error) {
			scenario_error(name, error);
			lineup_close(lineup);
			return error;
		}
		lineup->count++;
	}
	return 0;
}

void lineup_close(struct lineup *lineup)
{
	while (lineup->count) {
		struct lineup_entry *entry = &lineup->entries[--lineup->count];

		if (entry->thread->failures)
			fprintf(stderr, "mapcache-bench: %s: %llu look-ups failed\n",
				entry->contestant->name,
				(unsigned long long)entry->thread->failures);
		entry->contestant->thread_close(entry->thread);
		entry->contestant->close(entry->instance);
	}
}

struct lineup_entry *lineup_find(struct lineup *lineup, const char *name)
{
	for (unsigned int i = 0; i < lineup->count; i++)
		if (!strcmp(lineup->entries[i].contestant->name, name))
			return &lineup->entries[i];
	return NULL;
}

int lineup_populate(struct lineup_entry *entry, const struct bench *bench, uint64_t buckets)
{
	uint64_t bytes = scenario_bucket_bytes(bench);
	int error;

	for (uint64_t i = 0; i < buckets; i++) {
		error = entry->contestant->touch(entry->thread, i * bytes, bytes);
		if (error)
			return scenario_error(entry->contestant->name, error);
	}
	return 0;
}

int lineup_hold(struct lineup_entry *entry, const struct bench *bench, uint64_t buckets,
		void **pointers)
{
	uint64_t bytes = scenario_bucket_bytes(bench);

	for (uint64_t i = 0; i < buckets; i++) {
		pointers[i] = entry->contestant->hold(entry->thread, i * bytes, bytes);
		if (!pointers[i]) {
			lineup_release(entry, bench, i, pointers);
			return scenario_error(entry->contestant->name, -EFAULT);
		}
	}
	return 0;
}

void lineup_release(struct lineup_entry *entry, const struct bench *bench, uint64_t buckets,
		    void **pointers)
{
	uint64_t bytes = scenario_bucket_bytes(bench);

	for (uint64_t i = 0; i < buckets; i++)
		entry->contestant->release(entry->thread, i * bytes, pointers[i]);
}
