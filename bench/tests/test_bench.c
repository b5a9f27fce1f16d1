/* SPDX-License-Identifier: MIT */
/* The arithmetic that every figure goes through, and the baseline that most are held against. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "bench/histogram.h"
#include "bench/qemu_cache.h"
#include "bench/random.h"
#include "bench/statistics.h"
#include "bench/workload.h"

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void histogram_percentiles_are_within_one_step_of_exact_ones(void **state)
{
	static const double percents[] = { 1, 50, 90, 99, 99.9, 100 };
	enum { COUNT = 10000 };
	static struct histogram histogram;
	static uint64_t values[COUNT];
	uint64_t random = 7;

	(void)state;
	for (unsigned int i = 0; i < COUNT; i++) {
		values[i] = random_next(&random) >> (20 + random_below(&random, 40));
		histogram_record(&histogram, values[i]);
	}
	qsort(values, COUNT, sizeof(*values), compare);
	for (unsigned int i = 0; i < 6; i++) {
		uint64_t exact = values[(unsigned int)(COUNT * percents[i] / 100 + 0.5) - 1];
		uint64_t found = histogram_percentile(&histogram, percents[i]);

		assert_true(found >= exact);
		assert_true(found <= exact + exact / HISTOGRAM_STEPS);
	}
	assert_int_equal(histogram.maximum, values[COUNT - 1]);
	assert_int_equal(histogram.count, COUNT);
}

static void histogram_holds_the_smallest_and_the_largest_value(void **state)
{
	static struct histogram histogram;

	(void)state;
	assert_int_equal(histogram_percentile(&histogram, 50), 0);
	histogram_record(&histogram, 0);
	histogram_record(&histogram, UINT64_MAX);
	assert_int_equal(histogram_percentile(&histogram, 50), 0);
	assert_true(histogram_percentile(&histogram, 100) == UINT64_MAX);
}

static void merged_histograms_are_as_if_recorded_in_one(void **state)
{
	static struct histogram one, two, both;
	uint64_t random = 3;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t value = random_next(&random) >> 40;

		histogram_record(i % 2 ? &one : &two, value);
		histogram_record(&both, value);
	}
	histogram_merge(&one, &two);
	assert_memory_equal(&one, &both, sizeof(both));
}

static void series_median_is_the_middle_and_ratios_go_round_by_round(void **state)
{
	struct series above = { 0 }, below = { 0 };

	(void)state;
	assert_true(series_median(&above) == 0);
	series_add(&above, 30);
	assert_true(series_median(&above) == 30);
	series_add(&above, 10);
	assert_true(series_median(&above) == 20);
	series_add(&above, 80);
	assert_true(series_median(&above) == 30);
	/* The last round was slow for both. */
	series_add(&below, 15);
	series_add(&below, 5);
	series_add(&below, 40);
	assert_true(series_median_ratio(&above, &below) == 2);
	assert_true(series_minimum(&above) == 10);
	assert_true(series_maximum(&above) == 80);
}

static void zipf_prefers_the_first_bucket_as_often_as_its_law_says(void **state)
{
	struct workload_shape shape = { .buckets = 4,
					.bucket_shift = 20,
					.skew = 1,
					.distribution = DISTRIBUTION_ZIPF,
					.addresses = 65536,
					.seed = 5 };
	unsigned int count[4] = { 0 };
	struct workload workload;

	(void)state;
	assert_int_equal(workload_open(&workload, &shape), 0);
	for (uint64_t i = 0; i <= workload.mask; i++)
		count[workload.gpa[i] >> 20]++;
	workload_close(&workload);
	/* 1 : 1/2 : 1/3 : 1/4, of 25/12. */
	assert_in_range(count[0], 65536 * 12 / 25 * 97 / 100, 65536 * 12 / 25 * 103 / 100);
	assert_in_range(count[3], 65536 * 3 / 25 * 95 / 100, 65536 * 3 / 25 * 105 / 100);
}

static void rings_use_four_aligned_neighbours_of_each_bucket(void **state)
{
	struct workload_shape shape = { .buckets = 8,
					.bucket_shift = 20,
					.pattern = PATTERN_RINGS,
					.addresses = 8192,
					.seed = 9 };
	uint64_t used[8] = { 0 }, other[8] = { 0 };
	struct workload workload;

	(void)state;
	for (shape.stream = 0; shape.stream < 2; shape.stream++) {
		assert_int_equal(workload_open(&workload, &shape), 0);
		for (uint64_t i = 0; i <= workload.mask; i++) {
			uint64_t bucket = workload.gpa[i] >> 20, page = workload.gpa[i] >> 12 & 255;

			other[bucket] |= used[bucket] && used[bucket] != page / 4 + 1;
			used[bucket] = page / 4 + 1;
		}
		workload_close(&workload);
	}
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_not_equal(used[i], 0);
		assert_int_equal(other[i], 0);
	}
}

/* A backend that counts. */
static unsigned int mapped, unmapped;

static int counting_open(void *data, uint32_t domid, void **state)
{
	(void)data;
	(void)domid;
	*state = NULL;
	return 0;
}

static void counting_close(void *state)
{
	(void)state;
}

static void *counting_map(void *state, void *address, uint64_t gfn, size_t pages, int prot,
			  int *error)
{
	(void)state;
	(void)address;
	(void)gfn;
	memset(error, 0, pages * sizeof(*error));
	mapped++;
	return mmap(NULL, pages << 12, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int counting_unmap(void *state, void *address, size_t pages, int keep)
{
	(void)state;
	(void)keep;
	unmapped++;
	return munmap(address, pages << 12);
}

static const struct mapcache_backend counting = {
	.size = sizeof(counting),
	.open = counting_open,
	.close = counting_close,
	.map = counting_map,
	.unmap = counting_unmap,
};

static void baseline_hits_evicts_on_collision_and_unmaps_at_the_last_unlock(void **state)
{
	struct qemu_cache cache;
	bool missed = false;
	char *first, *again, *pinned;

	(void)state;
	mapped = unmapped = 0;
	assert_int_equal(qemu_cache_open(&cache, &counting, 1, 20), 0);
	first = qemu_cache_map(&cache, 0x100010, 4, false, &missed);
	assert_non_null(first);
	assert_true(missed);
	missed = false;
	again = qemu_cache_map(&cache, 0x100020, 4, false, &missed);
	assert_false(missed);
	assert_ptr_equal(again, first + 0x10);
	/* 32 GiB on, the same chain: the unlocked entry is mapped anew in place. */
	assert_non_null(qemu_cache_map(&cache, 0x100010 + (UINT64_C(32) << 30), 4, false, &missed));
	assert_true(missed);
	assert_int_equal(unmapped, 1);
	pinned = qemu_cache_map(&cache, 0x300000, 4, true, &missed);
	assert_non_null(pinned);
	assert_int_equal(mapped, 3);
	/* A locked entry survives; the other does not. */
	qemu_cache_invalidate(&cache);
	assert_int_equal(unmapped, 2);
	assert_false(qemu_cache_unlock(&cache, pinned + 4));
	assert_true(qemu_cache_unlock(&cache, pinned));
	assert_int_equal(unmapped, 3);
	qemu_cache_close(&cache);
	assert_int_equal(mapped, unmapped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histogram_percentiles_are_within_one_step_of_exact_ones),
		cmocka_unit_test(histogram_holds_the_smallest_and_the_largest_value),
		cmocka_unit_test(merged_histograms_are_as_if_recorded_in_one),
		cmocka_unit_test(series_median_is_the_middle_and_ratios_go_round_by_round),
		cmocka_unit_test(zipf_prefers_the_first_bucket_as_often_as_its_law_says),
		cmocka_unit_test(rings_use_four_aligned_neighbours_of_each_bucket),
		cmocka_unit_test(baseline_hits_evicts_on_collision_and_unmaps_at_the_last_unlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
