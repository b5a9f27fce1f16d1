/* SPDX-License-Identifier: MIT */
/* mapcache_ptr(): what it returns, and every error that its header names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/space/own.h>
#include <tests/support/bed.h>

#define BOTH (PROT_READ | PROT_WRITE)

static void every_page_shows_its_frame(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (uint64_t gfn = 0; gfn < 1024; gfn++) {
		volatile uint64_t *pointer;
		uint64_t gpa;

		mapcache_begin(bed.client);
		pointer = bed_ptr(bed.client, gfn * BED_PAGE, PROT_READ);
		assert_int_equal(*pointer, bed_value(gfn));
		assert_int_equal(
			xensim_is_mapping_of(bed.domain, (const void *)pointer, gfn * BED_PAGE), 1);
		assert_int_equal(mapcache_gpa(bed.cache, (const void *)pointer, &gpa), 0);
		assert_int_equal(gpa, gfn * BED_PAGE);
		assert_int_equal(mapcache_end(bed.client), 0);
	}
	/* One call for each bucket of 256 pages. */
	assert_int_equal(bed_stats(&bed).map_calls, 4);
	assert_int_equal(bed_stats(&bed).slow_lookups, 4);
	bed_stop(&bed);
}

static void what_is_written_is_the_guests(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (uint64_t gpa = 8; gpa < 4 * BED_BUCKET; gpa += 81920) {
		bed_write(bed.client, gpa, ~gpa);
		assert_int_equal(bed_guest(&bed, gpa), ~gpa);
		assert_int_equal(bed_read(bed.other, gpa), ~gpa);
	}
	bed_stop(&bed);
}

/* PROT_WRITE alone means both. */
static void write_access_allows_reading(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	assert_int_equal(*bed_ptr(bed.client, 0, PROT_WRITE), bed_value(0));
	assert_int_equal(*bed_ptr(bed.client, 0, BOTH), bed_value(0));
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

static void every_offset_and_length_inside_a_bucket_is_served(void **state)
{
	static const uint64_t offsets[] = {
		0, 1, 4095, 4096, 16383, 16384, 65535, 524288, 1048575
	};
	static const size_t lengths[] = { 1, 2, 8, 4096, 4097, 16384, 65536, 524288, 1048576 };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 81; i++) {
			uint64_t offset = offsets[i / 9];
			size_t len = lengths[i % 9];
			int error = bed_error(bed.client, BED_BUCKET + offset, len, PROT_READ);

			assert_int_equal(error, offset + len > BED_BUCKET ? E2BIG : 0);
			if (round == 2)
				mapcache_invalidate(bed.cache);
		}
	}
	bed_stop(&bed);
}

static void nothing_is_given_out_for_an_empty_range_or_a_wrong_protection(void **state)
{
	static const int wrong[] = { 0, PROT_EXEC, PROT_READ | PROT_EXEC, -1, 1 << 30 };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(bed_error(bed.client, 0, 0, PROT_READ), EINVAL);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(bed_error(bed.client, 0, 8, wrong[i]), EINVAL);
	assert_int_equal(bed_stats(&bed).map_calls, 0);
	bed_read(bed.client, 0);
	assert_int_equal(bed_error(bed.client, 0, 0, PROT_READ), EINVAL);
	bed_stop(&bed);
}

static void a_miss_outside_of_sections_is_refused(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	errno = 0;
	assert_null(mapcache_ptr(bed.client, 0, 8, PROT_READ));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(bed_stats(&bed).map_calls, 0);
	bed_stop(&bed);
}

static void addresses_past_the_limit_are_out_of_range(void **state)
{
	const uint64_t limit = 3 * BED_BUCKET;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .guest_limit = limit - 5,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	/* It was rounded up to whole buckets. */
	assert_int_equal(bed_error(bed.client, limit - 8, 8, PROT_READ), 0);
	assert_int_equal(bed_error(bed.client, limit - 8, 9, PROT_READ), ERANGE);
	assert_int_equal(bed_error(bed.client, limit, 8, PROT_READ), ERANGE);
	assert_int_equal(bed_error(bed.client, UINT64_MAX - 7, 8, PROT_READ), ERANGE);
	bed_stop(&bed);
}

static void a_hole_is_no_memory(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(bed_error(bed.client, 4 * BED_BUCKET, 8, PROT_READ), EFAULT);
	assert_int_equal(bed_error(bed.client, 4 * BED_BUCKET, 8, BOTH), EFAULT);
	bed_remove(&bed, 7);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(bed_error(bed.client, 7 * BED_PAGE, 8, PROT_READ), EFAULT);
		assert_int_equal(bed_error(bed.client, 7 * BED_PAGE, 8, BOTH), EFAULT);
		/* A range is refused for any page of it, and only for those. */
		assert_int_equal(bed_error(bed.client, 8 * BED_PAGE - 1, 2, PROT_READ), EFAULT);
		assert_int_equal(bed_error(bed.client, 7 * BED_PAGE - 1, 2, PROT_READ), EFAULT);
		assert_int_equal(bed_error(bed.client, 0, 7 * BED_PAGE, PROT_READ), 0);
		assert_int_equal(bed_error(bed.client, 8 * BED_PAGE, 8 * BED_PAGE, BOTH), 0);
		mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

static void memory_that_can_only_be_read_is_not_written(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_true(xensim_p2m_set_type(bed.domain, 7, 1, XENSIM_DENIED) >= 0);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(bed_error(bed.client, 7 * BED_PAGE, 8, BOTH), EACCES);
		assert_int_equal(bed_read(bed.client, 7 * BED_PAGE), bed_value(7));
		assert_int_equal(bed_error(bed.client, 7 * BED_PAGE, 8, PROT_WRITE), EACCES);
		mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

static void memory_of_other_kinds_gives_an_error(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_true(xensim_p2m_set_type(bed.domain, 7, 1, XENSIM_GRANT) >= 0);
	assert_true(xensim_p2m_set_type(bed.domain, 8, 1, XENSIM_MMIO) >= 0);
	assert_int_equal(bed_error(bed.client, 7 * BED_PAGE, 8, PROT_READ), EFAULT);
	assert_int_equal(bed_error(bed.client, 8 * BED_PAGE, 8, PROT_READ), EFAULT);
	assert_int_equal(bed_read(bed.client, 9 * BED_PAGE), bed_value(9));
	bed_stop(&bed);
}

static void a_budget_used_up_by_pins_is_no_memory(void **state)
{
	struct bed bed;
	volatile uint64_t *pins[4 + ARENA_SPARES];
	unsigned int pinned;
	size_t len = 8;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 12,
							  .max_bytes = 4 << 12,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	/* The four of the budget, and what is kept for clients' own use. */
	for (pinned = 0; pinned < 4 + ARENA_SPARES; pinned++) {
		pins[pinned] = mapcache_pin(bed.client, pinned * BED_PAGE, &len, PROT_READ, 0);
		if (!pins[pinned])
			break;
		assert_int_equal(*pins[pinned], bed_value(pinned));
	}
	assert_true(pinned >= 4);
	assert_null(mapcache_pin(bed.client, 200 * BED_PAGE, &len, PROT_READ, 0));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(bed_error(bed.client, 200 * BED_PAGE, 8, PROT_READ), ENOMEM);
	for (unsigned int i = 0; i < pinned; i++)
		assert_int_equal(*pins[i], bed_value(i));
	while (pinned-- > 0)
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pins[pinned], 0), 0);
	assert_int_equal(bed_read(bed.client, 200 * BED_PAGE), bed_value(200));
	bed_stop(&bed);
}

static void a_hit_survives_other_epochs_of_the_grace_clock(void **state)
{
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < 100; i++) {
		/* Retiring moves the clock, not the epoch: what is current stays so. */
		bed_read(bed.client, BED_BUCKET);
		assert_int_equal(mapcache_invalidate_range(bed.cache, BED_BUCKET, 1), 0);
		mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	calls = bed_stats(&bed).slow_lookups;
	assert_true(bed_stats(&bed).grace_periods >= 100);
	assert_int_equal(mapcache_epoch(bed.cache), 1);
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	assert_int_equal(bed_stats(&bed).slow_lookups, calls);
	bed_stop(&bed);
}

#define MAX_BUCKET (UINT64_C(1) << 24)

static void a_bucket_is_any_power_of_two_from_one_page_up(void **state)
{
	static const uint32_t shifts[] = { 12, 13, 16, 19, 22, 24 };
	const uint64_t gpa = BED_BUCKET - 2 * BED_PAGE, len = BED_BUCKET + 4 * BED_PAGE;

	(void)state;
	for (unsigned int i = 0; i < sizeof(shifts) / sizeof(*shifts); i++) {
		/* Little room, so that 32-bit processes can reserve it. */
		struct rig_options options = { .cache = { .bucket_shift = shifts[i],
							  .max_bytes = 16 * MAX_BUCKET,
							  .guest_limit = UINT64_C(1) << 32,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } };
		volatile uint64_t *pointer;
		struct bed bed;

		bed_start(&bed, &options);
		for (uint64_t gfn = 0; gfn < 1024; gfn += 5)
			assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
		pointer = bed_pin_range(bed.client, gpa, len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
		for (uint64_t offset = 0; offset < len; offset += BED_PAGE)
			assert_int_equal(*bed_at(pointer, offset),
					 bed_value((gpa + offset) / BED_PAGE));
		assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
		bed_stop(&bed);
	}
}

static void one_convention_serves_a_whole_program(void **state)
{
	size_t len = 8;
	void *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	assert_int_equal(mapcache_get_ptr(bed.client, 5 * BED_PAGE, 8, PROT_READ, &pointer), 0);
	assert_int_equal(*(uint64_t *)pointer, bed_value(5));
	assert_int_equal(mapcache_get_ptr(bed.client, 0, 0, PROT_READ, &pointer), -EINVAL);
	mapcache_end(bed.client);
	assert_int_equal(mapcache_get_pin(bed.client, 5 * BED_PAGE, &len, PROT_READ, 0, &pointer),
			 0);
	assert_int_equal(mapcache_unpin(bed.cache, pointer, 0), 0);
	assert_int_equal(mapcache_get_pin(bed.client, UINT64_MAX, &len, PROT_READ, 0, &pointer),
			 -ERANGE);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_shows_its_frame),
		cmocka_unit_test(what_is_written_is_the_guests),
		cmocka_unit_test(write_access_allows_reading),
		cmocka_unit_test(every_offset_and_length_inside_a_bucket_is_served),
		cmocka_unit_test(nothing_is_given_out_for_an_empty_range_or_a_wrong_protection),
		cmocka_unit_test(a_miss_outside_of_sections_is_refused),
		cmocka_unit_test(addresses_past_the_limit_are_out_of_range),
		cmocka_unit_test(a_hole_is_no_memory),
		cmocka_unit_test(memory_that_can_only_be_read_is_not_written),
		cmocka_unit_test(memory_of_other_kinds_gives_an_error),
		cmocka_unit_test(a_budget_used_up_by_pins_is_no_memory),
		cmocka_unit_test(a_hit_survives_other_epochs_of_the_grace_clock),
		cmocka_unit_test(one_convention_serves_a_whole_program),
		cmocka_unit_test(a_bucket_is_any_power_of_two_from_one_page_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
