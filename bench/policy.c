/* SPDX-License-Identifier: MIT */
/*
 * The list of policies. What is no option of mapcache_open(3) is set in the open cache: the
 * program is linked with the library's objects, and one binary can compare them in turn.
 */
#include "bench/policy.h"

#include <string.h>

#include "lib/fill/filling.h"

#define CHANGE(...) .change = { __VA_ARGS__ }
#define TO(knob, n)                                                                                \
	{                                                                                          \
		POLICY_##knob, n                                                                   \
	}

#define LATER(calls)                                                                               \
	CHANGE(TO(DENSE_CALLS, calls), TO(AT_ONCE, 0), TO(WHOLE_IN_PLACE, 1), TO(MAP_OVER, 1))

const struct policy policies[] = {
	{ .name = "default", .text = "as it comes" },
	/* When a bucket is dense, and for how long. */
	{ .name = "granules",
	  .text = "by the granule, always",
	  CHANGE(TO(DENSE_CALLS, 255), TO(AT_ONCE, 0)) },
	{ .name = "whole",
	  .text = "the whole bucket, in its slot",
	  CHANGE(TO(DENSE_CALLS, 1), TO(AT_ONCE, 0), TO(WHOLE_IN_PLACE, 1), TO(MAP_OVER, 1)) },
	{ .name = "whole-fresh",
	  .text = "the whole bucket, in a fresh slot",
	  CHANGE(TO(DENSE_CALLS, 1), TO(AT_ONCE, 0), TO(EMPTY, 0)) },
	{ .name = "later-8", .text = "8 calls: whole in the next 8 epochs, in place", LATER(8) },
	{ .name = "later-16", .text = "the same, 16 calls", LATER(16) },
	{ .name = "later-32", .text = "32 calls", LATER(32) },
	{ .name = "at-once-8",
	  .text = "8 calls, then whole there and then",
	  CHANGE(TO(DENSE_CALLS, 8)) },
	{ .name = "at-once-16", .text = "16 calls", CHANGE(TO(DENSE_CALLS, 16)) },
	{ .name = "at-once-32", .text = "32 calls", CHANGE(TO(DENSE_CALLS, 32)) },
	/* In place or in a fresh slot. */
	{ .name = "fresh", .text = "always a fresh slot", CHANGE(TO(EMPTY, 0)) },
	{ .name = "dense-in-place",
	  .text = "dense buckets in place",
	  CHANGE(TO(WHOLE_IN_PLACE, 1)) },
	{ .name = "map-over",
	  .text = "a fresh slot, but mapped over what is retired",
	  CHANGE(TO(MAP_OVER, 1)) },
	{ .name = "in-place",
	  .text = "in place, whatever has to be released for it",
	  CHANGE(TO(EMPTY, 64), TO(WHOLE_IN_PLACE, 1)) },
	{ .name = "small-0", .text = "nothing stale stays in a slot", CHANGE(TO(SMALL, 0)) },
	{ .name = "small-16", .text = "16 stale granules may stay", CHANGE(TO(SMALL, 16)) },
	/* Options. */
	{ .name = "granule-32K", .text = "granules of 32 KiB", .granule_shift = 15 },
	{ .name = "granule-64K", .text = "of 64 KiB", .granule_shift = 16 },
	{ .name = "bucket-64K", .text = "buckets of 64 KiB, granules of 16", .bucket_shift = 16 },
	{ .name = "bucket-64K-4K",
	  .text = "buckets of 64 KiB, granules of 4",
	  .bucket_shift = 16,
	  .granule_shift = 12 },
	{ .name = "bucket-256K", .text = "buckets of 256 KiB", .bucket_shift = 18 },
	{ .name = "reclaim-5", .text = "reclaim_ms 5", .reclaim_ms = 5 },
	{ .name = "reclaim-20", .text = "20", .reclaim_ms = 20 },
	{ .name = "reclaim-200", .text = "200", .reclaim_ms = 200 },
};
const unsigned int policies_count = sizeof(policies) / sizeof(policies[0]);

bool policy_wanted(const struct policy *policy, const char *names)
{
	size_t length = strlen(policy->name);

	for (const char *at = names; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, policy->name, length) && (!at[length] || at[length] == ','))
			return true;
	}
	return !names;
}

bool policy_known(const char *name)
{
	for (unsigned int i = 0; i < policies_count; i++)
		if (!strcmp(policies[i].name, name))
			return true;
	return false;
}

void policy_configure(const struct policy *policy, struct contestant_config *config)
{
	if (policy->bucket_shift)
		config->bucket_shift = policy->bucket_shift;
	if (policy->granule_shift)
		config->granule_shift = policy->granule_shift;
	if (policy->reclaim_ms)
		config->reclaim_ms = policy->reclaim_ms;
}

static void apply(struct fill_policy *fill, const struct policy_change *change)
{
	switch (change->knob) {
	case POLICY_DENSE_CALLS:
		fill->dense_calls = change->value;
		break;
	case POLICY_DENSE_EPOCHS:
		fill->dense_epochs = change->value;
		break;
	case POLICY_SMALL:
		fill->small = change->value;
		break;
	case POLICY_EMPTY:
		fill->empty = change->value;
		break;
	case POLICY_WHOLE_IN_PLACE:
		fill->whole_in_place = change->value;
		break;
	case POLICY_AT_ONCE:
		fill->at_once = change->value;
		break;
	case POLICY_MAP_OVER:
		fill->map_over = change->value;
		break;
	case POLICY_NOTHING:
		break;
	}
}

void policy_apply(const struct policy *policy, struct mapcache *cache)
{
	for (unsigned int i = 0; i < POLICY_CHANGES; i++)
		apply(&cache->settings.fill, &policy->change[i]);
}
