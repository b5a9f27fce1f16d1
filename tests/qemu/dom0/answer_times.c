/* SPDX-License-Identifier: MIT */
/* answer-times FILE: what the probe noted, as one line of key and value. */
#include <stdio.h>
#include <stdlib.h>

#include "../probe.h"

static struct probe probe;

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double at(uint32_t count, double part)
{
	return count ? probe.nanoseconds[(uint32_t)((count - 1) * part)] / 1e3 : 0;
}

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
	uint32_t count;

	if (!file || fread(&probe, sizeof(probe), 1, file) != 1)
		return 1;
	fclose(file);
	count = probe.count < PROBE_TIMES ? probe.count : PROBE_TIMES;
	qsort(probe.nanoseconds, count, sizeof(uint32_t), by_time);
	printf("map_calls %llu map_pages %llu map_ms %.0f unmap_calls %llu unmap_pages %llu unmap_ms %.0f storm_cpu_ms %.0f ",
	       (unsigned long long)probe.map.calls, (unsigned long long)probe.map.pages,
	       (double)probe.map.nanoseconds / 1e6, (unsigned long long)probe.unmap.calls,
	       (unsigned long long)probe.unmap.pages, (double)probe.unmap.nanoseconds / 1e6,
	       (double)probe.storm_cpu / 1e6);
	printf("invalidates %u answer_median_us %.1f answer_p99_us %.1f answer_worst_us %.1f\n",
	       probe.count, at(count, 0.5), at(count, 0.99), at(count, 1));
	return 0;
}
