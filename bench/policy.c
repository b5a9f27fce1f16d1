/* SPDX-License-Identifier: MIT */
/* The list of policies: options of mapcache_open(3). */
#include "bench/policy.h"

#include <string.h>

const struct policy policies[] = {
	{ .name = "default", .text = "as it comes" },
	{ .name = "no-batches", .text = "each bucket by calls of its own", .no_batches = true },
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
	config->no_batches = policy->no_batches;
	if (policy->reclaim_ms)
		config->reclaim_ms = policy->reclaim_ms;
}
