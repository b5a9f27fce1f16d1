/* SPDX-License-Identifier: MIT */
/* Granted pages, and pages that DMA has written, through the layer in examples/qemu. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "qemu_stage.h"

#define OFFSET (UINT64_C(7) << 40) /* of the grants' RAM block */

static uint8_t *map_grants(uint32_t reference, uint64_t pages, bool lock, bool write)
{
	return xen_map_cache(STAGE_GRANTS, OFFSET + mapcache_grant_address(reference, 0),
			     pages * BED_PAGE, OFFSET, lock, true, write);
}

static uint32_t grant(uint64_t gfn, bool read_only)
{
	uint32_t reference = xensim_grant(stage.domain, gfn, read_only);

	assert_true(reference != 0);
	return reference;
}

static void read_only_and_writable_grants_are_mapped_each_for_its_purpose(void **state)
{
	uint32_t readable, writable;
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	readable = grant(5, true);
	writable = grant(6, false);
	pointer = map_grants(readable, 1, true, false);
	assert_int_equal(stage_word(pointer), bed_value(5));
	assert_int_equal(xen_ram_addr_from_mapcache(pointer + 7),
			 OFFSET + mapcache_grant_address(readable, 7));
	xen_invalidate_map_cache_entry(pointer);
	assert_null(map_grants(readable, 1, true, true));
	assert_int_equal(stage.failure, -EFAULT);
	pointer = map_grants(writable, 1, true, true);
	memcpy(pointer, &(uint64_t){ 99 }, 8);
	assert_int_equal(stage_guest(6 * BED_PAGE), 99);
	xen_invalidate_map_cache_entry(pointer);
	/* Nobody would say when it is done with. */
	assert_null(map_grants(writable, 1, false, true));
	assert_int_equal(stage.failure, -EINVAL);
	stage_stop();
}

static void a_grant_is_unmapped_when_it_is_unlocked(void **state)
{
	uint32_t reference[3];
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	for (uint64_t request = 0; request < 300; request++) {
		bool write = request % 2;

		for (uint64_t i = 0; i < 3; i++)
			reference[i] = grant(request + 100 * i, !write);
		if (reference[2] != reference[0] + 2)
			continue; /* the table came round */
		pointer = map_grants(reference[0], 3, true, write);
		for (uint64_t i = 0; i < 3; i++)
			assert_int_equal(stage_word(pointer + i * BED_PAGE),
					 bed_value(request + 100 * i));
		assert_int_equal(xensim_grant_end(stage.domain, reference[1]), -EBUSY);
		xen_invalidate_map_cache_entry(pointer);
		for (int i = 0; i < 3; i++)
			assert_int_equal(xensim_grant_end(stage.domain, reference[i]), 0);
	}
	stage_stop();
}

static void a_grant_locked_twice_is_unmapped_with_the_second(void **state)
{
	uint8_t *first, *second;
	uint32_t reference;

	(void)state;
	stage_start(1024, NULL);
	reference = grant(5, false);
	first = map_grants(reference, 1, true, true);
	second = map_grants(reference, 1, true, true);
	xen_invalidate_map_cache_entry(first);
	assert_int_equal(stage_word(second), bed_value(5));
	assert_int_equal(xensim_grant_end(stage.domain, reference), -EBUSY);
	xen_invalidate_map_cache_entry(second);
	assert_int_equal(xensim_grant_end(stage.domain, reference), 0);
	stage_stop();
}

static void invalidate_leaves_grants_alone(void **state)
{
	uint32_t reference;
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	reference = grant(5, false);
	pointer = map_grants(reference, 1, true, true);
	xen_invalidate_map_cache();
	mapcache_reclaim(stage.cache, UINT64_MAX);
	assert_ptr_equal(map_grants(reference, 1, true, true), pointer);
	xen_invalidate_map_cache_entry(pointer);
	xen_invalidate_map_cache_entry(pointer);
	assert_int_equal(xensim_grant_end(stage.domain, reference), 0);
	stage_stop();
}

static void hostile_references_do_no_harm(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	for (uint32_t reference = 0; reference < 3000; reference += 7)
		assert_null(map_grants(reference, 1, true, reference % 2));
	assert_null(map_grants(UINT32_MAX, 1, true, true));
	assert_null(xen_map_cache(STAGE_GRANTS, 0, 8, OFFSET, 1, true, true));
	assert_int_equal(bed_totals().foreign_mappings, 0);
	stage_stop();
}

/* ---- what DMA has written ------------------------------------------------------------------ */

static void unlocking_reports_what_was_locked_for_writing(void **state)
{
	uint8_t *written, *read;

	(void)state;
	stage_start(1024, NULL);
	assert_int_equal(mapcache_dirty_log(stage.cache, true), 0);
	written = stage_map(250 * BED_PAGE + 100, 9 * BED_PAGE, true, true);
	read = xen_map_cache(NULL, 700 * BED_PAGE, 9 * BED_PAGE, 0, 1, true, false);
	assert_non_null(read);
	memset(written, 1, 9 * BED_PAGE);
	assert_int_equal(xensim_dirty_pages(stage.domain), 0);
	xen_invalidate_map_cache_entry(read);
	assert_int_equal(xensim_dirty_pages(stage.domain), 0);
	xen_invalidate_map_cache_entry(written);
	for (uint64_t gfn = 250; gfn < 260; gfn++)
		assert_true(xensim_dirty(stage.domain, gfn));
	assert_int_equal(xensim_dirty_pages(stage.domain), 10);
	stage_stop();
}

/* The pointer does not say which of the two it was. */
static void a_short_and_a_long_lock_of_one_pointer_lose_nothing(void **state)
{
	uint8_t *shorter, *longer;

	(void)state;
	stage_start(1024, NULL);
	assert_int_equal(mapcache_dirty_log(stage.cache, true), 0);
	longer = stage_map(300 * BED_PAGE, 4 * BED_PAGE, true, true);
	shorter = stage_map(300 * BED_PAGE, 8, true, true);
	assert_ptr_equal(shorter, longer);
	xen_invalidate_map_cache_entry(shorter);
	xensim_dirty_clear(stage.domain);
	memset(longer, 1, 4 * BED_PAGE);
	xen_invalidate_map_cache_entry(longer);
	for (uint64_t gfn = 300; gfn < 304; gfn++)
		assert_true(xensim_dirty(stage.domain, gfn));
	assert_int_equal(xensim_dirty_pages(stage.domain), 4);
	stage_stop();
}

static void a_lock_from_before_the_log_is_reported_too(void **state)
{
	uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	pointer = stage_map(400 * BED_PAGE, 2 * BED_PAGE, true, true);
	assert_int_equal(mapcache_dirty_log(stage.cache, true), 0);
	memset(pointer, 1, 2 * BED_PAGE);
	xen_invalidate_map_cache_entry(pointer);
	assert_true(xensim_dirty(stage.domain, 400) && xensim_dirty(stage.domain, 401));
	assert_int_equal(xensim_dirty_pages(stage.domain), 2);
	stage_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_only_and_writable_grants_are_mapped_each_for_its_purpose),
		cmocka_unit_test(a_grant_is_unmapped_when_it_is_unlocked),
		cmocka_unit_test(a_grant_locked_twice_is_unmapped_with_the_second),
		cmocka_unit_test(invalidate_leaves_grants_alone),
		cmocka_unit_test(hostile_references_do_no_harm),
		cmocka_unit_test(unlocking_reports_what_was_locked_for_writing),
		cmocka_unit_test(a_short_and_a_long_lock_of_one_pointer_lose_nothing),
		cmocka_unit_test(a_lock_from_before_the_log_is_reported_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
