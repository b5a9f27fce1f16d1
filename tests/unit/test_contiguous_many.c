/* SPDX-License-Identifier: MIT */
/* Contiguous pins by the hundred: found by address, kept while there is room, each its own price. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define SHIFT 16
#define BUCKET (UINT64_C(1) << SHIFT)
#define BUFFERS 300u
#define HALF (2 * BED_PAGE)
#define RW (PROT_READ | PROT_WRITE)

static const struct rig_options many = {
	.cache = { .bucket_shift = SHIFT, .flags = MAPCACHE_NO_RECLAIM_THREAD },
	.ram_pages = (BUFFERS + 2) * BUCKET / BED_PAGE,
};

/* A buffer across the end of a bucket. */
static uint64_t buffer(unsigned int number)
{
	return (number + 1) * BUCKET - HALF;
}

static volatile uint64_t *pin(struct bed *bed, uint64_t gpa, size_t len, int prot)
{
	return bed_pin_range(bed->client, gpa, len, prot, MAPCACHE_PIN_CONTIGUOUS);
}

static void unpin(struct bed *bed, volatile uint64_t *pointer)
{
	assert_int_equal(mapcache_client_unpin(bed->client, (void *)(uintptr_t)pointer, 0), 0);
}

static void use(struct bed *bed, uint64_t gpa, size_t len, int prot)
{
	volatile uint64_t *pointer = pin(bed, gpa, len, prot);

	for (uint64_t offset = 0; offset < len; offset += BED_PAGE)
		assert_int_equal(*bed_at(pointer, offset), bed_value((gpa + offset) / BED_PAGE));
	unpin(bed, pointer);
}

static void buffers_used_in_turn_are_mapped_once_however_many_there_are(void **state)
{
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed, &many);
	for (unsigned int i = 0; i < BUFFERS; i++)
		use(&bed, buffer(i), 2 * HALF, RW);
	calls = bed_totals().map_calls;
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < BUFFERS; i++)
			use(&bed, buffer(round == 1 ? BUFFERS - 1 - i : i), 2 * HALF, RW);
		(void)bed_reclaim(&bed);
	}
	assert_int_equal(bed_totals().map_calls, calls);
	assert_int_equal(bed_stats(&bed).spans, BUFFERS);
	bed_stop(&bed);
}

static void buffers_in_flight_are_found_however_many_there_are(void **state)
{
	volatile uint64_t *pins[BUFFERS];
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed, &many);
	for (unsigned int i = 0; i < BUFFERS; i++)
		pins[i] = pin(&bed, buffer(i), 2 * HALF, PROT_READ);
	calls = bed_totals().map_calls;
	for (unsigned int i = 0; i < BUFFERS; i++) {
		volatile uint64_t *again = pin(&bed, buffer(i), 2 * HALF, PROT_READ);

		assert_ptr_equal(again, pins[i]);
		unpin(&bed, again);
		unpin(&bed, pins[i]);
	}
	assert_int_equal(bed_totals().map_calls, calls);
	bed_stop(&bed);
}

/* Many across the same end of a bucket, of all lengths. */
static void use_across_an_end(struct bed *bed)
{
	for (uint64_t before = 1; before < 8; before++)
		for (uint64_t after = 1; after < 8; after++)
			use(bed, BUCKET - before * BED_PAGE, (before + after) * BED_PAGE, RW);
}

/* Whatever is inside another one is found. */
static void overlapping_buffers_are_found_wherever_they_are_held(void **state)
{
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed, &many);
	use_across_an_end(&bed);
	calls = bed_totals().map_calls;
	use_across_an_end(&bed);
	assert_int_equal(bed_totals().map_calls, calls);
	(void)bed_reclaim(&bed);
	/* Those that are parts of others are not kept. */
	assert_int_equal(bed_stats(&bed).spans, 1);
	assert_int_equal(bed_stats(&bed).stale_bytes, 0);
	bed_stop(&bed);
}

/* A part that was read and a part that is written, in turn. */
static void reading_a_buffer_and_writing_parts_of_it_maps_it_once(void **state)
{
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed, &many);
	use(&bed, buffer(3), 2 * HALF, PROT_READ);
	calls = bed_totals().map_calls;
	for (unsigned int i = 0; i < 10; i++) {
		use(&bed, buffer(3) + BED_PAGE, HALF, RW);
		use(&bed, buffer(3), 2 * HALF, PROT_READ);
	}
	assert_int_equal(bed_totals().map_calls, calls);
	bed_stop(&bed);
}

static void E_stale_buffers_go_in_one_reclaim_but_for_those_in_flight(void **state)
{
	volatile uint64_t *flying;
	struct bed bed;

	(void)state;
	bed_start(&bed, &many);
	for (unsigned int i = 0; i < BUFFERS; i++)
		use(&bed, buffer(i), 2 * HALF, RW);
	flying = pin(&bed, buffer(BUFFERS / 2), 2 * HALF, RW);
	mapcache_invalidate(bed.cache);
	(void)mapcache_reclaim(bed.cache, UINT64_MAX);
	assert_int_equal(bed_stats(&bed).spans, 1);
	assert_int_equal(bed_stats(&bed).pinned_stale_bytes, 2 * HALF);
	assert_int_equal(bed_stats(&bed).mapped_bytes, 2 * HALF);
	unpin(&bed, flying);
	(void)mapcache_reclaim(bed.cache, UINT64_MAX);
	assert_int_equal(bed_stats(&bed).spans, 0);
	assert_int_equal(bed_stats(&bed).slots_used, 0);
	bed_stop(&bed);
}

static void A_a_range_invalidation_hides_all_that_touch_it_and_no_others(void **state)
{
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed, &many);
	for (unsigned int i = 0; i < BUFFERS; i++)
		use(&bed, buffer(i), 2 * HALF, RW);
	/* The last page of one, the first of another, and what is between them. */
	bed_exchange(&bed, (buffer(10) + 2 * HALF) / BED_PAGE - 1, 1);
	assert_int_equal(mapcache_invalidate_range(bed.cache, buffer(10) + 2 * HALF - 1,
						   buffer(13) + 2 - buffer(10) - 2 * HALF),
			 0);
	calls = bed_totals().map_calls;
	for (unsigned int i = 0; i < BUFFERS; i++) {
		volatile uint64_t *pointer = pin(&bed, buffer(i), 2 * HALF, RW);

		assert_int_equal(*bed_at(pointer, 2 * HALF - BED_PAGE),
				 i == 10 ? 1 : bed_value(buffer(i + 1) / BED_PAGE - 13));
		unpin(&bed, pointer);
	}
	assert_int_equal(bed_totals().map_calls - calls, 4 * 2);
	bed_stop(&bed);
}

/* The next one takes the place of the one that was not used for longest. */
static void what_is_kept_leaves_room_for_others(void **state)
{
	struct rig_options options = many;
	struct bed bed;
	uint64_t calls;

	(void)state;
	options.cache.max_bytes = 64 * BUCKET;
	bed_start(&bed, &options);
	for (unsigned int i = 0; i < 40; i++) {
		use(&bed, buffer(7), 2 * HALF, RW);
		use(&bed, buffer(2 * i + 20), 2 * HALF, RW);
	}
	assert_in_range(bed_stats(&bed).spans, 4, 8);
	calls = bed_totals().map_calls;
	use(&bed, buffer(7), 2 * HALF, RW);
	use(&bed, buffer(2 * 39 + 20), 2 * HALF, RW);
	assert_int_equal(bed_totals().map_calls, calls);
	bed_stop(&bed);
}

/* ---- pins with address space of their own ------------------------------------------------------ */

static volatile uint64_t *pin_own(struct bed *bed, uint64_t gpa, size_t len)
{
	return bed_pin_range(bed->client, gpa, len, RW, MAPCACHE_PIN_OWN_MAPPING);
}

static bool apart(volatile uint64_t *left, volatile uint64_t *right)
{
	uintptr_t distance = left < right ? (uintptr_t)right - (uintptr_t)left
					  : (uintptr_t)left - (uintptr_t)right;

	return distance >= BUCKET;
}

static void a_pin_of_its_own_is_no_part_of_what_was_there_before(void **state)
{
	volatile uint64_t *dma, *own;
	struct bed bed;

	(void)state;
	bed_start(&bed, &many);
	dma = pin(&bed, buffer(0), 2 * HALF, RW);
	own = pin_own(&bed, buffer(0) + BED_PAGE, HALF);
	assert_true(apart(dma, own));
	unpin(&bed, dma);
	assert_int_equal(mapcache_replace(bed.cache, buffer(0) + BED_PAGE, buffer(9), HALF), 1);
	assert_int_equal(*own, bed_value(buffer(9) / BED_PAGE));
	unpin(&bed, own);
	bed_stop(&bed);
}

static void a_pin_of_its_own_is_shared_with_nobody_later(void **state)
{
	volatile uint64_t *own, *other, *dma;
	struct bed bed;

	(void)state;
	bed_start(&bed, &many);
	own = pin_own(&bed, buffer(0), 2 * HALF);
	other = pin_own(&bed, buffer(0), 2 * HALF);
	dma = pin(&bed, buffer(0), 2 * HALF, RW);
	assert_true(apart(own, other));
	assert_true(apart(own, dma));
	assert_true(apart(other, dma));
	*own = 5;
	assert_int_equal(*other, 5);
	assert_int_equal(*dma, 5);
	unpin(&bed, own);
	own = pin_own(&bed, buffer(0), 2 * HALF);
	assert_true(apart(own, other));
	unpin(&bed, own);
	unpin(&bed, other);
	unpin(&bed, dma);
	/* Nobody would find those two: they are not kept. */
	(void)bed_reclaim(&bed);
	assert_int_equal(bed_stats(&bed).spans, 1);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_used_in_turn_are_mapped_once_however_many_there_are),
		cmocka_unit_test(buffers_in_flight_are_found_however_many_there_are),
		cmocka_unit_test(overlapping_buffers_are_found_wherever_they_are_held),
		cmocka_unit_test(reading_a_buffer_and_writing_parts_of_it_maps_it_once),
		cmocka_unit_test(E_stale_buffers_go_in_one_reclaim_but_for_those_in_flight),
		cmocka_unit_test(A_a_range_invalidation_hides_all_that_touch_it_and_no_others),
		cmocka_unit_test(what_is_kept_leaves_room_for_others),
		cmocka_unit_test(a_pin_of_its_own_is_no_part_of_what_was_there_before),
		cmocka_unit_test(a_pin_of_its_own_is_shared_with_nobody_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
