/* SPDX-License-Identifier: MIT */
/* Contiguous pins and look-ups that want the same address space: each makes room for the other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define EDGE (BED_BUCKET - 2 * BED_PAGE)
#define LEN                                                                                        \
	(BED_BUCKET + 4 * BED_PAGE) /* the last two pages of the first to the third's first two */

static volatile uint64_t *pin(struct mapcache_client *client, uint64_t gpa, size_t len)
{
	return bed_pin_range(client, gpa, len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
}

/* Buckets that nobody pins make room; those that are pinned do not, and that is an error. */
static void a_contiguous_pin_gets_room_in_a_full_cache(void **state)
{
	struct rig_options options = { .cache = { .max_bytes = 16 * BED_BUCKET,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD },
				       .ram_pages = 20 * 256 };
	volatile uint64_t *pointer, *pins[16];
	size_t much = 8 * BED_BUCKET;
	unsigned int got = 0;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(bed_read(bed.client, i * BED_BUCKET), bed_value(i * 256));
	pointer = pin(bed.client, EDGE, LEN);
	assert_int_equal(*bed_at(pointer, LEN - BED_PAGE), bed_value((EDGE + LEN) / BED_PAGE - 1));
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
	while (got < 16) {
		size_t len = 8;

		pins[got] = mapcache_pin(bed.client, got * BED_BUCKET, &len, PROT_READ, 0);
		if (pins[got] == NULL)
			break;
		got++;
	}
	assert_null(mapcache_pin(bed.client, EDGE, &much, PROT_READ, MAPCACHE_PIN_CONTIGUOUS));
	assert_int_equal(errno, ENOMEM);
	while (got-- > 0)
		assert_int_equal(mapcache_client_unpin(bed.client, (void *)pins[got], 0), 0);
	bed_stop(&bed);
}

static void a_contiguous_pin_of_most_of_the_budget_gets_room(void **state)
{
	struct rig_options options = { .cache = { .max_bytes = 7 * BED_BUCKET,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD },
				       .ram_pages = 20 * 256 };
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	for (uint64_t buckets = 2; buckets <= 6; buckets++) {
		volatile uint64_t *pointer;

		for (uint64_t i = 0; i < 20; i++)
			assert_int_equal(bed_read(bed.client, i * BED_BUCKET), bed_value(i * 256));
		pointer = pin(bed.client, BED_BUCKET, buckets * BED_BUCKET);
		assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
	}
	bed_stop(&bed);
}

static void look_ups_get_room_beside_contiguous_pins_and_from_those_that_nobody_pins(void **state)
{
	struct rig_options options = { .cache = { .max_bytes = 5 * BED_BUCKET,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD },
				       .ram_pages = 20 * 256 };
	volatile uint64_t *pointer, *pins[4];
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	pointer = pin(bed.client, BED_BUCKET, 3 * BED_BUCKET);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(bed_read(bed.client, i * BED_BUCKET), bed_value(i * 256));
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
	assert_int_equal(bed_stats(&bed).spans, 1);
	for (uint64_t i = 0; i < 4; i++)
		pins[i] = bed_pin(bed.client, i * BED_BUCKET);
	assert_int_equal(bed_stats(&bed).spans, 0);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(mapcache_client_unpin(bed.client, (void *)pins[i], 0), 0);
	bed_stop(&bed);
}

/* However many slots were used before, and in whatever order they were given back. */
static void a_contiguous_pin_finds_room_in_an_idle_cache(void **state)
{
	(void)state;
	for (uint64_t used = 0; used <= 40; used += 10) {
		struct rig_options options = { .cache = { .max_bytes = 64 * BED_BUCKET,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD },
					       .ram_pages = 64 * 256 };
		volatile uint64_t *pointer;
		struct bed bed;

		bed_start(&bed, &options);
		for (uint64_t i = 0; i < used; i++)
			bed_read(bed.client, i * BED_BUCKET);
		mapcache_invalidate(bed.cache);
		assert_int_equal(bed_reclaim(&bed), 0);
		pointer = pin(bed.client, 8 * BED_BUCKET, 40 * BED_BUCKET);
		assert_int_equal(bed_stats(&bed).evictions, 0);
		assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
		bed_stop(&bed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_contiguous_pin_gets_room_in_a_full_cache),
		cmocka_unit_test(a_contiguous_pin_of_most_of_the_budget_gets_room),
		cmocka_unit_test(a_contiguous_pin_finds_room_in_an_idle_cache),
		cmocka_unit_test(
			look_ups_get_room_beside_contiguous_pins_and_from_those_that_nobody_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
