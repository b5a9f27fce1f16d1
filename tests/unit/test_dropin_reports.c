/* SPDX-License-Identifier: MIT */
/*
 * What users of other map caches have reported, each as a test that it does not happen here,
 * through QEMU's interface.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/locks.h>

#include "qemu_stage.h"

#define LEN (BED_BUCKET + 2 * BED_PAGE)

/* ---- INVALIDATE --------------------------------------------------------------------------- */

/* Half a minute of lock-up, most of the time in walking what is not mapped. */
static void an_invalidation_of_an_empty_cache_maps_and_unmaps_nothing(void **state)
{
	struct xensim_totals before;

	(void)state;
	stage_start(256, NULL);
	before = bed_totals();
	locks_take(stage.cache);
	for (unsigned int i = 0; i < 100000; i++)
		xen_invalidate_map_cache();
	locks_drop(stage.cache);
	assert_int_equal(bed_totals().map_calls, before.map_calls);
	assert_int_equal(bed_totals().unmap_calls, before.unmap_calls);
	assert_int_equal(stage_stats().grace_periods, 0);
	stage_stop();
}

/* Millions of heads were scanned: here no lock is taken and nothing is looked at. */
static void an_invalidation_does_not_walk_what_is_mapped(void **state)
{
	uint8_t *locked[128];
	uint64_t unmaps;

	(void)state;
	stage_start(128 * 256, NULL);
	for (uint64_t i = 0; i < 128; i++)
		locked[i] = stage_map(i * BED_BUCKET, 8, true, true);
	unmaps = bed_totals().unmap_calls;
	locks_take(stage.cache);
	xen_invalidate_map_cache();
	locks_drop(stage.cache);
	assert_int_equal(bed_totals().unmap_calls, unmaps);
	for (uint64_t i = 0; i < 128; i++) {
		assert_int_equal(stage_word(locked[i]), bed_value(i * 256));
		xen_invalidate_map_cache_entry(locked[i]);
	}
	stage_stop();
}

/* An unlocked entry chained behind a locked head survived an invalidation. */
static void an_unlocked_look_up_behind_a_locked_one_is_fresh_after_an_invalidation(void **state)
{
	uint8_t *locked;

	(void)state;
	stage_start(1024, NULL);
	locked = stage_map(9 * BED_PAGE, 8, true, true);
	assert_int_equal(stage_word(stage_map(10 * BED_PAGE, 8, false, false)), bed_value(10));
	assert_non_null(stage_map(10 * BED_PAGE, LEN, false, false));
	stage_exchange(10, 5);
	xen_invalidate_map_cache();
	assert_int_equal(stage_word(stage_map(10 * BED_PAGE, 8, false, false)), 5);
	assert_int_equal(stage_word(stage_map(10 * BED_PAGE, LEN, false, false)), 5);
	xen_invalidate_map_cache_entry(locked);
	stage_stop();
}

/* A pin on one page kept the whole bucket findable. */
static void a_locked_page_does_not_keep_its_ballooned_neighbour(void **state)
{
	uint8_t *locked;

	(void)state;
	stage_start(1024, NULL);
	locked = stage_map(9 * BED_PAGE, 8, true, true);
	stage_exchange(10, 6);
	xen_invalidate_map_cache();
	assert_int_equal(stage_word(stage_map(10 * BED_PAGE, 8, false, false)), 6);
	assert_int_equal(stage_word(stage_map(9 * BED_PAGE, 8, false, false)), bed_value(9));
	assert_int_equal(stage_word(locked), bed_value(9));
	xen_invalidate_map_cache_entry(locked);
	stage_stop();
}

static void invalidating_with_locked_dma_logs_nothing(void **state)
{
	uint8_t *locked;

	(void)state;
	stage_start(1024, NULL);
	locked = stage_map(0, LEN, true, true);
	for (unsigned int i = 0; i < 1000; i++)
		xen_invalidate_map_cache();
	assert_int_equal(stage.messages, 0);
	xen_invalidate_map_cache_entry(locked);
	stage_stop();
}

/* ---- locks ---------------------------------------------------------------------------------- */

#define LOCKS 70000u /* more than 8 and than 16 bits count */

static void a_bucket_can_be_locked_more_often_than_small_counters_count(void **state)
{
	static uint8_t *locked[LOCKS];

	(void)state;
	stage_start(1024, NULL);
	for (unsigned int i = 0; i < LOCKS; i++)
		locked[i] = stage_map(i % 256 * BED_PAGE, 8, true, true);
	xen_invalidate_map_cache();
	for (unsigned int i = 0; i < LOCKS; i++) {
		assert_int_equal(stage_word(locked[i]), bed_value(i % 256));
		xen_invalidate_map_cache_entry(locked[i]);
	}
	assert_int_equal(mapcache_unpin(stage.cache, locked[0], 0), -EINVAL);
	stage_stop();
}

/* Every DMA mapped and unmapped 256 pages. */
static void unlocking_does_not_unmap(void **state)
{
	struct xensim_totals before;

	(void)state;
	stage_start(1024, NULL);
	xen_invalidate_map_cache_entry(stage_map(0, LEN, true, true));
	xen_invalidate_map_cache_entry(stage_map(0, 8, true, true));
	before = bed_totals();
	for (unsigned int i = 0; i < 1000; i++) {
		xen_invalidate_map_cache_entry(stage_map(i % 256 * BED_PAGE, 8, true, true));
		xen_invalidate_map_cache_entry(stage_map(i % 2 * BED_PAGE, BED_BUCKET, true, true));
	}
	assert_int_equal(bed_totals().map_calls, before.map_calls);
	assert_int_equal(bed_totals().unmap_calls, before.unmap_calls);
	stage_stop();
}

/* Two entries of the same size: the wrong one was unlocked, and its count went below zero. */
static void entries_of_equal_size_are_unlocked_each_for_itself(void **state)
{
	uint8_t *stale, *fresh;

	(void)state;
	stage_start(1024, NULL);
	stale = stage_map(BED_PAGE, LEN, true, true);
	stage_exchange(1, 5);
	xen_invalidate_map_cache();
	fresh = stage_map(BED_PAGE, LEN, true, true);
	xen_invalidate_map_cache_entry(fresh);
	assert_int_equal(mapcache_unpin(stage.cache, fresh, 0), -EINVAL);
	mapcache_reclaim(stage.cache, UINT64_MAX);
	assert_int_equal(stage_word(stale), bed_value(1));
	assert_int_equal(stage_word(stage_map(BED_PAGE, 8, false, false)), 5);
	xen_invalidate_map_cache_entry(stale);
	stage_stop();
}

static void *unlock(void *pointer)
{
	xen_invalidate_map_cache_entry(pointer);
	return NULL;
}

/* A coroutine may go on elsewhere. */
static void a_lock_can_be_released_on_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	stage_start(1024, NULL);
	for (unsigned int i = 0; i < 100; i++) {
		uint8_t *pointer = stage_map(i * BED_PAGE, i % 2 ? LEN : 8, true, true);

		assert_int_equal(pthread_create(&thread, NULL, unlock, pointer), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	stage_stop();
}

static void unlocking_what_nobody_locked_is_harmless(void **state)
{
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	pointer = stage_map(0, 8, true, true);
	xen_invalidate_map_cache_entry((uint8_t *)&stage);
	xen_invalidate_map_cache_entry(NULL);
	xen_invalidate_map_cache_entry(pointer + 512 * BED_BUCKET);
	/* Inside what somebody else has locked. */
	xen_invalidate_map_cache_entry(pointer + 8);
	xen_invalidate_map_cache_entry(stage_map(BED_PAGE, 8, false, false));
	xen_invalidate_map_cache();
	mapcache_reclaim(stage.cache, UINT64_MAX);
	assert_int_equal(stage_word(pointer), bed_value(0));
	xen_invalidate_map_cache_entry(pointer);
	stage_stop();
}

/* ---- pointers, sizes ------------------------------------------------------------------------- */

static void the_address_of_an_unknown_pointer_is_unknown(void **state)
{
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	pointer = stage_map(0, LEN, true, true);
	assert_int_equal(xen_ram_addr_from_mapcache(&stage), RAM_ADDR_INVALID);
	assert_int_equal(xen_ram_addr_from_mapcache(NULL), RAM_ADDR_INVALID);
	assert_int_equal(xen_ram_addr_from_mapcache(pointer + 1000 * BED_BUCKET), RAM_ADDR_INVALID);
	assert_int_equal(xen_ram_addr_from_mapcache(pointer + LEN - 1), LEN - 1);
	xen_invalidate_map_cache_entry(pointer);
	stage_stop();
}

/* The page count forgot the offset inside the first page; a mapping was used past its page. */
static void a_size_that_runs_over_a_page_is_mapped_to_its_last_byte(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	for (uint64_t offset = 1; offset < BED_PAGE; offset += 337) {
		uint64_t gpa = 2 * BED_BUCKET - BED_PAGE + offset;
		uint8_t *locked = stage_map(gpa, BED_PAGE, true, true);
		uint8_t *unlocked = stage_map(gpa, BED_PAGE, false, false);
		uint8_t byte = (uint8_t)offset;

		assert_non_null(locked);
		assert_non_null(unlocked);
		locked[BED_PAGE - 1] = byte;
		assert_int_equal(unlocked[BED_PAGE - 1], byte);
		assert_int_equal(xensim_guest_read(stage.domain, gpa + BED_PAGE - 1, &byte, 1), 0);
		assert_int_equal(byte, (uint8_t)offset);
		xen_invalidate_map_cache_entry(locked);
	}
	stage_stop();
}

/* The next page may not be there: then there is no pointer, rather than half a one. */
static void a_range_with_a_hole_is_refused_and_its_pages_are_not(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	stage_remove(256);
	assert_null(stage_map(255 * BED_PAGE, 2 * BED_PAGE, true, true));
	assert_null(stage_map(255 * BED_PAGE + 4, BED_PAGE, false, false));
	assert_int_equal(stage_word(stage_map(255 * BED_PAGE, BED_PAGE, false, false)),
			 bed_value(255));
	assert_int_equal(stage_stats().spans, 0);
	stage_stop();
}

/* Page by page it took half a minute for 4 GiB. */
static void a_guest_is_mapped_in_chunks(void **state)
{
	(void)state;
	stage_start(64 * 256, NULL);
	for (uint64_t gfn = 0; gfn < 64 * 256; gfn++)
		assert_non_null(stage_map(gfn * BED_PAGE, 8, false, false));
	assert_int_equal(bed_totals().map_calls, 64);
	stage_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_invalidation_of_an_empty_cache_maps_and_unmaps_nothing),
		cmocka_unit_test(an_invalidation_does_not_walk_what_is_mapped),
		cmocka_unit_test(
			an_unlocked_look_up_behind_a_locked_one_is_fresh_after_an_invalidation),
		cmocka_unit_test(a_locked_page_does_not_keep_its_ballooned_neighbour),
		cmocka_unit_test(invalidating_with_locked_dma_logs_nothing),
		cmocka_unit_test(a_bucket_can_be_locked_more_often_than_small_counters_count),
		cmocka_unit_test(unlocking_does_not_unmap),
		cmocka_unit_test(entries_of_equal_size_are_unlocked_each_for_itself),
		cmocka_unit_test(a_lock_can_be_released_on_another_thread),
		cmocka_unit_test(unlocking_what_nobody_locked_is_harmless),
		cmocka_unit_test(the_address_of_an_unknown_pointer_is_unknown),
		cmocka_unit_test(a_size_that_runs_over_a_page_is_mapped_to_its_last_byte),
		cmocka_unit_test(a_range_with_a_hole_is_refused_and_its_pages_are_not),
		cmocka_unit_test(a_guest_is_mapped_in_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
