/* SPDX-License-Identifier: MIT */
/* Granted pages through the layer in examples/qemu. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

#define PAGES 32768u
#define FRAMES 1024u

/* Page by page; to give all of it back again takes a while. */
static void map_128_MiB(void)
{
	stage_start(FRAMES, NULL);
	for (unsigned int i = 0; i < PAGES; i++) {
		const uint8_t *page = map_grants(grant(i % FRAMES, false), 1, true, true);

		if (!page || stage_word(page) != bed_value(i % FRAMES))
			_exit(1);
	}
	_exit(0);
}

static void a_guest_can_have_128_MiB_of_grants_in_flight(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		map_128_MiB();
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_only_and_writable_grants_are_mapped_each_for_its_purpose),
		cmocka_unit_test(a_grant_is_unmapped_when_it_is_unlocked),
		cmocka_unit_test(a_grant_locked_twice_is_unmapped_with_the_second),
		cmocka_unit_test(invalidate_leaves_grants_alone),
		cmocka_unit_test(hostile_references_do_no_harm),
		cmocka_unit_test(a_guest_can_have_128_MiB_of_grants_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
