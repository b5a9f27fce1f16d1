/* SPDX-License-Identifier: MIT */
/* What is done in virtual storms. See the header. */
#include "bench/virtual.h"

#include <string.h>

#define ADDRESSES 65536
#define STREAM_LEN (UINT64_C(64) << 10)
/* INVALIDATEs until the cache knows its guest, and those that count. */
#define WARM_UP 120
#define EPOCHS 200

const struct virtual_load virtual_loads[] = {
	{ "rings", 0, 4, PATTERN_RINGS, false },
	{ "scattered", 0, 4, PATTERN_SCATTERED, false },
	{ "runs", 0, 4, PATTERN_RUNS, false },
	{ "uniform", 0, 4, PATTERN_UNIFORM, false },
	{ "uniform-2048", 2048, 4, PATTERN_UNIFORM, false },
	{ "disk", 16, 4096, PATTERN_UNIFORM, false },
	{ "stream", 32, STREAM_LEN, PATTERN_UNIFORM, true },
};
const unsigned int virtual_loads_count = sizeof(virtual_loads) / sizeof(virtual_loads[0]);

const struct virtual_load *virtual_load_find(const char *name)
{
	for (unsigned int i = 0; i < virtual_loads_count; i++)
		if (!strcmp(virtual_loads[i].name, name))
			return &virtual_loads[i];
	return NULL;
}

static int open_workload(const struct virtual_load *load, uint64_t buckets, uint64_t seed,
			 struct workload *workload)
{
	struct workload_shape shape = { .buckets = buckets,
					.bucket_shift = 20,
					.pattern = load->pattern,
					.addresses = ADDRESSES,
					.seed = seed };
	int error = workload_open(workload, &shape);

	for (uint64_t i = 0; !error && i < ADDRESSES; i++) {
		if (load->stream)
			workload->gpa[i] = i * STREAM_LEN % (buckets << 20);
		else if (load->len > 4)
			workload->gpa[i] &= ~(load->len - 1);
	}
	return error;
}

int virtual_load_run(const struct virtual_load *load, uint64_t seed, struct virtual_storm *storm,
		     struct virtual_result *result)
{
	struct workload workload;
	int error = open_workload(load, storm->buckets, seed, &workload);

	if (error)
		return error;
	storm->workload = &workload;
	storm->len = load->len;
	storm->populate = !load->burst;
	storm->requests = load->burst ? storm->rate : 0;
	storm->burst = load->burst;
	if (!storm->epochs) {
		storm->warm_up = WARM_UP;
		storm->epochs = EPOCHS;
	}
	error = virtual_run(storm, result);
	storm->workload = NULL;
	workload_close(&workload);
	return error;
}
