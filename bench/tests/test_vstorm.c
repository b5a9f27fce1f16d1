/* SPDX-License-Identifier: MIT */
/*
 * What an INVALIDATE costs its guest, by counts: the library as it is, in virtual time
 * (bench/virtual.h). The bounds are a little above what was found: they are to be lowered when
 * it gets less, and never raised.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/virtual.h"

static struct virtual_result storm(const char *load, const char *cost, uint64_t buckets,
				   uint32_t rate)
{
	struct virtual_storm storm = {
		.cost = virtual_cost_find(cost),
		.buckets = buckets,
		.processors = 1,
		.rate = rate,
	};
	struct virtual_result result;

	assert_int_equal(virtual_load_run(virtual_load_find(load), 1, &storm, &result), 0);
	print_message("%-9s %-12s %4u buckets %4u Hz: %6.1f calls of %7.1f pages, %5.1f unmaps of "
		      "%7.1f, %.4f M/s\n",
		      load, cost, (unsigned int)buckets, (unsigned int)rate, result.calls,
		      result.pages, result.unmaps, result.unmapped,
		      result.accesses_per_second / 1e6);
	return result;
}

#define assert_at_most(value, bound) assert_true((value) <= (bound))

static void rings_cost_a_call_each_and_no_unmap(void **state)
{
	struct virtual_result result;

	(void)state;
	result = storm("rings", "pv", 64, 100);
	assert_at_most(result.calls, 64);
	assert_at_most(result.pages, 4 * 64);
	assert_at_most(result.unmaps, 0);
	result = storm("rings", "arm-emulated", 512, 100);
	assert_at_most(result.calls, 512);
	assert_at_most(result.pages, 4 * 512);
}

/* Not all are refreshed within a period, so that some are reclaimed before their next use. */
static void rings_that_are_reclaimed_are_not_mapped_whole(void **state)
{
	struct virtual_result result;

	(void)state;
	result = storm("rings", "arm", 512, 100);
	assert_at_most(result.pages, 4.1 * result.calls);
	assert_true(result.accesses_per_second > 0.09e6);
}

static void neighbours_are_refreshed_by_one_call(void **state)
{
	struct virtual_result result;

	(void)state;
	result = storm("runs", "pv", 64, 100);
	assert_at_most(result.calls, 70);
	assert_at_most(result.pages, 16 * 64 + 1);
	result = storm("runs", "arm", 64, 100);
	assert_at_most(result.calls, 70);
}

static void scattered_granules_cost_a_call_each(void **state)
{
	struct virtual_result result;

	(void)state;
	result = storm("scattered", "pv", 64, 100);
	assert_at_most(result.calls, 242);
	assert_at_most(result.pages, 1017);
}

/* A disk under a guest that balloons: one request of 16 pages after each INVALIDATE. */
static void a_disk_maps_what_it_uses(void **state)
{
	struct virtual_result result;

	(void)state;
	result = storm("disk", "pv-emulated", 256, 20);
	assert_at_most(result.calls, 16);
	assert_at_most(result.pages, 4 * 16);
	assert_at_most(result.unmapped, 4 * 16);
	assert_at_most(result.stale_peak, 1 << 20);
	result = storm("disk", "arm", 64, 20);
	assert_at_most(result.pages, 68);
}

/* 2 MiB after each INVALIDATE, of which no page is used twice. */
static void a_stream_is_mapped_in_large_pieces(void **state)
{
	struct virtual_result result;

	(void)state;
	result = storm("stream", "pv-emulated", 64, 20);
	assert_at_most(result.calls, 6);
	assert_at_most(result.pages, 1.6 * 512);
}

static void buckets_used_everywhere_are_mapped_whole(void **state)
{
	struct virtual_result result;

	(void)state;
	result = storm("uniform", "pv", 64, 100);
	assert_at_most(result.calls, 96);
	assert_true(result.accesses_per_second > 2.4e6);
	result = storm("uniform", "pv-emulated", 64, 100);
	assert_at_most(result.calls, 78);
}

static void the_same_run_gives_the_same_figures(void **state)
{
	struct virtual_result first = storm("uniform", "arm", 32, 1000);
	struct virtual_result second = storm("uniform", "arm", 32, 1000);

	(void)state;
	assert_memory_equal(&first, &second, sizeof(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rings_cost_a_call_each_and_no_unmap),
		cmocka_unit_test(rings_that_are_reclaimed_are_not_mapped_whole),
		cmocka_unit_test(neighbours_are_refreshed_by_one_call),
		cmocka_unit_test(scattered_granules_cost_a_call_each),
		cmocka_unit_test(a_disk_maps_what_it_uses),
		cmocka_unit_test(a_stream_is_mapped_in_large_pieces),
		cmocka_unit_test(buckets_used_everywhere_are_mapped_whole),
		cmocka_unit_test(the_same_run_gives_the_same_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
