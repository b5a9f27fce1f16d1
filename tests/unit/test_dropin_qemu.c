/* SPDX-License-Identifier: MIT */
/* The interface of QEMU's map cache, feature by feature, through the layer in examples/qemu. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/locks.h>

#include "qemu_stage.h"

#define LEN (BED_BUCKET + 2 * BED_PAGE)

static void put_word(uint8_t *pointer, uint64_t value)
{
	assert_non_null(pointer);
	memcpy(pointer, &value, sizeof(value));
}

static struct mapcache_stats stats(void)
{
	struct mapcache_stats now = { .size = sizeof(now) };

	assert_int_equal(mapcache_stats(stage.cache, &now), 0);
	return now;
}

static uint64_t map_calls(void)
{
	struct xensim_totals totals;

	xensim_totals(&totals);
	return totals.map_calls;
}

static void unlocked_look_ups_read_and_write_guest_memory(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	for (uint64_t gfn = 0; gfn < 1024; gfn++)
		assert_int_equal(stage_word(stage_map(gfn * BED_PAGE, 8, false, false)),
				 bed_value(gfn));
	put_word(stage_map(700 * BED_PAGE, 8, false, false), 5);
	assert_int_equal(stage_guest(700 * BED_PAGE), 5);
	/* Size 0: as far as the page goes. */
	assert_int_equal(stage_word(stage_map(9 * BED_PAGE, 0, false, false)), bed_value(9));
	stage_stop();
}

static void every_hit_is_without_a_map_call_and_without_a_lock(void **state)
{
	uint64_t calls;

	(void)state;
	stage_start(64 * 256, NULL);
	for (uint64_t i = 0; i < 64; i++)
		assert_non_null(stage_map(i * BED_BUCKET, 8, false, false));
	calls = map_calls();
	locks_take(stage.cache);
	for (uint64_t i = 0; i < 10000; i++)
		assert_int_equal(stage_word(stage_map(i * 37 % 64 * BED_BUCKET, 8, false, false)),
				 bed_value(i * 37 % 64 * 256));
	locks_drop(stage.cache);
	assert_int_equal(map_calls(), calls);
	stage_stop();
}

static void a_locked_pointer_is_good_until_it_is_unlocked(void **state)
{
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	pointer = stage_map(BED_BUCKET, 8, true, true);
	xen_invalidate_map_cache();
	mapcache_reclaim(stage.cache, UINT64_MAX);
	assert_int_equal(stage_word(pointer), bed_value(256));
	assert_int_equal(xen_map_cache_close(), -EBUSY);
	xen_invalidate_map_cache_entry(pointer);
	stage_stop();
}

static void a_locked_range_across_buckets_is_one_piece(void **state)
{
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	pointer = stage_map(BED_BUCKET - BED_PAGE, LEN, true, true);
	for (uint64_t i = 0; i < LEN / BED_PAGE; i++)
		assert_int_equal(stage_word(pointer + i * BED_PAGE), bed_value(255 + i));
	/* And is the same memory as its buckets. */
	put_word(stage_map(BED_BUCKET, 8, false, false), 7);
	assert_int_equal(stage_word(pointer + BED_PAGE), 7);
	xen_invalidate_map_cache_entry(pointer);
	stage_stop();
}

static void a_pointer_tells_its_address_wherever_it_points(void **state)
{
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	pointer = stage_map(BED_BUCKET - BED_PAGE, LEN, true, true);
	for (uint64_t offset = 0; offset < LEN; offset += 997)
		assert_int_equal(xen_ram_addr_from_mapcache(pointer + offset),
				 BED_BUCKET - BED_PAGE + offset);
	xen_invalidate_map_cache_entry(pointer);
	pointer = stage_map(5 * BED_PAGE + 3, 1, false, false);
	assert_int_equal(xen_ram_addr_from_mapcache(pointer), 5 * BED_PAGE + 3);
	stage_stop();
}

static void an_invalidation_takes_no_lock_and_later_look_ups_are_fresh(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	for (uint64_t i = 0; i < 4; i++)
		assert_non_null(stage_map(i * BED_BUCKET, 8, false, false));
	stage_exchange(300, 5);
	locks_take(stage.cache);
	mapcache_invalidate(stage.cache);
	locks_drop(stage.cache);
	xen_invalidate_map_cache();
	assert_int_equal(stage_word(stage_map(300 * BED_PAGE, 8, false, false)), 5);
	stage_stop();
}

static void a_hole_is_null_and_the_hook_is_told_and_its_neighbours_are_there(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	stage_remove(300);
	assert_null(stage_map(300 * BED_PAGE, 8, false, false));
	assert_int_equal(stage.failures, 1);
	assert_int_equal(stage.failure, -EFAULT);
	assert_int_equal(stage_word(stage_map(301 * BED_PAGE, 8, false, false)), bed_value(301));
	assert_null(stage_map(299 * BED_PAGE, 2 * BED_PAGE, true, true));
	assert_null(stage_map(UINT64_MAX - 4, 8, true, true));
	/* Memory comes: no invalidation is sent for that. */
	assert_int_equal(xensim_outside_populate(stage.domain, &(uint64_t){ 300 }, 1, 0), 1);
	assert_non_null(stage_map(300 * BED_PAGE, 8, false, false));
	xensim_fail(XENSIM_CALL_MAP, 1, ENOMEM);
	assert_null(stage_map(900 * BED_PAGE, 8, false, false));
	assert_non_null(stage_map(900 * BED_PAGE, 8, false, false));
	stage_stop();
}

#if QEMU_VERSION_MAJOR >= 9
static void read_only_memory_is_mapped_for_reading_and_upgraded_when_it_can_be(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	assert_int_equal(xensim_p2m_set_type(stage.domain, 9, 1, XENSIM_DENIED), 0);
	assert_int_equal(stage_word(xen_map_cache(NULL, 9 * BED_PAGE, 8, 0, 0, false, false)),
			 bed_value(9));
	assert_null(xen_map_cache(NULL, 9 * BED_PAGE, 8, 0, 0, false, true));
	assert_int_equal(xensim_p2m_set_type(stage.domain, 9, 1, XENSIM_RAM), 0);
	put_word(xen_map_cache(NULL, 9 * BED_PAGE, 8, 0, 0, false, true), 4);
	assert_int_equal(stage_guest(9 * BED_PAGE), 4);
	stage_stop();
}
#endif

/* ---- around it -------------------------------------------------------------------------- */

/* Its consumers want the main thread: stage_stop() looks that there was no call. */
static void nobody_is_notified_of_what_is_mapped(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	assert_non_null(stage_map(0, 8, false, false));
	xen_invalidate_map_cache_entry(stage_map(BED_BUCKET, LEN, true, true));
	assert_int_equal(stage.notified, 0);
	stage_stop();
}

/* QEMU reports what it has written: a page is not reported twice. */
static void an_unlock_reports_nothing(void **state)
{
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	assert_int_equal(mapcache_dirty_log(stage.cache, true), 0);
	pointer = stage_map(9 * BED_PAGE, 2 * BED_PAGE, true, true);
	put_word(pointer, 5);
	xen_invalidate_map_cache_entry(pointer);
	assert_int_equal(xensim_dirty_pages(stage.domain), 0);
	stage_stop();
}

/* INVALIDATEs of the time when QEMU's ioreq server was disabled never came. */
static void what_was_mapped_before_the_guest_stopped_is_stale_when_it_runs(void **state)
{
	uint8_t *locked;

	(void)state;
	stage_start(1024, NULL);
	assert_int_equal(stage_word(stage_map(300 * BED_PAGE, 8, false, false)), bed_value(300));
	locked = stage_map(301 * BED_PAGE, 8, true, true);
	stage_runs(false);
	/* What a device still does then is mapped meanwhile. */
	assert_int_equal(stage_word(stage_map(300 * BED_PAGE, 8, false, false)), bed_value(300));
	stage_exchange(300, 5);
	stage_runs(true);
	assert_int_equal(stage_word(stage_map(300 * BED_PAGE, 8, false, false)), 5);
	assert_int_equal(stage_word(locked), bed_value(301));
	xen_invalidate_map_cache_entry(locked);
	stage_stop();
}

static void statistics_and_a_dump_are_there(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file;

	(void)state;
	stage_start(1024, NULL);
	assert_non_null(stage_map(0, 8, false, false));
	assert_int_equal(stats().buckets, 1);
	assert_int_equal(stats().mapped_bytes, BED_BUCKET);
	file = open_memstream(&text, &size);
	assert_int_equal(mapcache_dump(stage.cache, file), 0);
	fclose(file);
	assert_non_null(strstr(text, "bucket 0 "));
	free(text);
	stage_stop();
}

static void a_closed_cache_answers_with_nothing(void **state)
{
	(void)state;
	assert_false(xen_map_cache_enabled());
	assert_null(stage_map(0, 8, false, false));
	assert_int_equal(xen_ram_addr_from_mapcache(&stage), RAM_ADDR_INVALID);
	xen_invalidate_map_cache();
	xen_invalidate_map_cache_entry(NULL);
	assert_null(xen_replace_cache_entry(0, 0, BED_PAGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unlocked_look_ups_read_and_write_guest_memory),
		cmocka_unit_test(every_hit_is_without_a_map_call_and_without_a_lock),
		cmocka_unit_test(a_locked_pointer_is_good_until_it_is_unlocked),
		cmocka_unit_test(a_locked_range_across_buckets_is_one_piece),
		cmocka_unit_test(a_pointer_tells_its_address_wherever_it_points),
		cmocka_unit_test(an_invalidation_takes_no_lock_and_later_look_ups_are_fresh),
		cmocka_unit_test(a_hole_is_null_and_the_hook_is_told_and_its_neighbours_are_there),
#if QEMU_VERSION_MAJOR >= 9
		cmocka_unit_test(
			read_only_memory_is_mapped_for_reading_and_upgraded_when_it_can_be),
#endif
		cmocka_unit_test(nobody_is_notified_of_what_is_mapped),
		cmocka_unit_test(an_unlock_reports_nothing),
		cmocka_unit_test(what_was_mapped_before_the_guest_stopped_is_stale_when_it_runs),
		cmocka_unit_test(statistics_and_a_dump_are_there),
		cmocka_unit_test(a_closed_cache_answers_with_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
