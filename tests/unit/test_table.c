/* SPDX-License-Identifier: MIT */
/*
 * The translation table: what a huge guest space costs, and epoch tags that come round. The
 * counter is set near its turning points from inside; nobody waits for 2^24 invalidations.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/index/index.h>
#include <tests/support/bed.h>

#define SWEEP (UINT64_C(1) << EPOCH_SWEEP_SHIFT)
#define TAGS (UINT64_C(1) << (64 - MAPCACHE_TAG_SHIFT))
#define GFN 5u
#define GPA (GFN * BED_PAGE)

/* ---- size ----------------------------------------------------------------------------------- */

static void a_huge_guest_space_costs_what_is_touched(void **state)
{
	struct bed bed;
	uint64_t empty;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .guest_limit = UINT64_C(1) << 52,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	empty = bed_stats(&bed).memory_bytes;
	assert_in_range(empty, 1, 1 << 20);
	/* Far apart, so that each needs a chunk of its own. */
	for (unsigned int shift = 21; shift < 34; shift++) {
		uint64_t gfn = UINT64_C(1) << shift;

		bed_populate(&bed, gfn, shift);
		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), shift);
	}
	assert_in_range(bed_stats(&bed).memory_bytes, empty, empty + 13 * 3 * 4096);
	/* Looked at, and nothing there: nothing is kept. */
	empty = bed_stats(&bed).memory_bytes;
	for (uint64_t gpa = UINT64_C(1) << 40; gpa < UINT64_C(1) << 52; gpa *= 2)
		assert_int_equal(bed_error(bed.client, gpa + (UINT64_C(1) << 37), 8, PROT_READ),
				 EFAULT);
	assert_in_range(bed_stats(&bed).memory_bytes, empty, empty + 12 * 2 * 4096);
	bed_stop(&bed);
}

static void the_last_bucket_below_the_limit_is_served(void **state)
{
	const uint64_t limit = UINT64_C(1) << 40;
	const uint64_t gfn = limit / BED_PAGE - 1;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .guest_limit = limit } });
	bed_populate(&bed, gfn, 1);
	assert_int_equal(bed_read(bed.client, limit - BED_PAGE), 1);
	assert_int_equal(bed_error(bed.client, limit - 1, 1, PROT_READ), 0);
	assert_int_equal(bed_error(bed.client, limit - 1, 2, PROT_READ), ERANGE);
	assert_int_equal(bed_error(bed.client, limit, 1, PROT_READ), ERANGE);
	bed_stop(&bed);
}

/* ---- tags --------------------------------------------------------------------------------- */

static void set_epoch(struct bed *bed, uint64_t epoch)
{
	uint64_t stamp = mapcache_load_relaxed(&bed->cache->shared.stamp);

	mapcache_store_relaxed(&bed->cache->shared.stamp, (stamp & ~MAPCACHE_EPOCH_MASK) | epoch);
}

static bool table_is_open(struct bed *bed)
{
	return mapcache_load_relaxed(&bed->cache->shared.limit) != 0;
}

static uint64_t word_of(struct bed *bed, uint64_t bucket)
{
	return mapcache_load_relaxed(&bed->cache->protocol.table.entries[bucket].word);
}

/* The control: were the table never swept, an old tag would be met again. */
static void a_tag_that_came_round_unswept_would_be_taken_for_current(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, GPA);
	bed_exchange(&bed, GFN, 1);
	set_epoch(&bed, TAGS);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_epoch(bed.cache), TAGS + 1);
	mapcache_store_relaxed(&bed.cache->shared.limit, UINT64_MAX >> 18);
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	bed_stop(&bed);
}

static void the_table_is_closed_and_swept_before_tags_come_round(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, GPA);
	bed_read(bed.client, BED_BUCKET);
	bed_exchange(&bed, GFN, 1);
	set_epoch(&bed, SWEEP - 2);
	mapcache_invalidate(bed.cache);
	assert_true(table_is_open(&bed));
	assert_int_not_equal(word_of(&bed, 0), 0);
	assert_int_equal(mapcache_invalidate(bed.cache), SWEEP);
	assert_false(table_is_open(&bed));
	/* The next look-up, whatever it asks for, opens it. */
	assert_int_equal(bed_read(bed.client, 2 * BED_BUCKET), bed_value(512));
	assert_true(table_is_open(&bed));
	assert_int_equal(word_of(&bed, 0), 0);
	assert_int_equal(word_of(&bed, 1), 0);
	assert_int_equal(bed_stats(&bed).table_sweeps, 1);
	/* Where the tag of the first epoch comes round, its mapping is not met. */
	set_epoch(&bed, TAGS + 1);
	assert_int_equal(bed_read(bed.client, GPA), 1);
	bed_stop(&bed);
}

static void what_is_current_when_the_table_is_closed_stays_so(void **state)
{
	struct bed bed;
	uint64_t calls, slow;

	(void)state;
	bed_start(&bed, BED_QUIET);
	set_epoch(&bed, SWEEP - 1);
	mapcache_invalidate(bed.cache);
	assert_false(table_is_open(&bed));
	bed_read(bed.client, GPA);
	calls = bed_stats(&bed).map_calls;
	mapcache_store_relaxed(&bed.cache->shared.limit, 0);
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	assert_int_equal(bed_stats(&bed).map_calls, calls);
	assert_int_equal(bed_stats(&bed).table_sweeps, 2);
	slow = bed_stats(&bed).slow_lookups;
	bed_read(bed.client, GPA);
	assert_int_equal(bed_stats(&bed).slow_lookups, slow);
	bed_stop(&bed);
}

/* It was being mapped while the table was swept, and is shown afterwards with its old epoch. */
struct overtaken {
	struct bed *bed;
	unsigned int calls;
};

static void sweep_in_the_middle(void *data, bool end, uint64_t gfn, size_t pages)
{
	struct overtaken *overtaken = data;
	volatile void *pointer;

	(void)gfn;
	(void)pages;
	if (!end || overtaken->calls++)
		return;
	mapcache_invalidate(overtaken->bed->cache);
	mapcache_begin(overtaken->bed->other);
	pointer = mapcache_ptr(overtaken->bed->other, 3 * BED_BUCKET, 8, PROT_READ);
	if (!pointer)
		overtaken->calls = 100;
	(void)mapcache_end(overtaken->bed->other);
}

static void a_mapping_overtaken_by_the_sweep_is_swept_by_the_next(void **state)
{
	struct bed bed;
	struct overtaken overtaken = { &bed, 0 };

	(void)state;
	bed_start(&bed, BED_QUIET);
	set_epoch(&bed, SWEEP - 1);
	xensim_set_map_hook(sweep_in_the_middle, &overtaken);
	bed_read(bed.client, GPA);
	xensim_set_map_hook(NULL, NULL);
	assert_int_equal(overtaken.calls, 2);
	assert_int_equal(bed_stats(&bed).table_sweeps, 1);
	assert_int_not_equal(word_of(&bed, 0), 0);
	bed_exchange(&bed, GFN, 1);
	set_epoch(&bed, 2 * SWEEP - 1);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, 3 * BED_BUCKET);
	assert_int_equal(bed_stats(&bed).table_sweeps, 2);
	assert_int_equal(word_of(&bed, 0), 0);
	set_epoch(&bed, TAGS + SWEEP - 1);
	assert_int_equal(bed_read(bed.client, GPA), 1);
	bed_stop(&bed);
}

/* Hidden entries keep their validity; a word of 0 and a tag of 0 must not make a pointer. */
static void a_hidden_entry_is_hidden_in_an_epoch_whose_tag_is_0(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 1; i <= 3; i++) {
		bed_read(bed.client, 0);
		bed_read(bed.client, GPA);
		bed_read(bed.client, BED_BUCKET);
		bed_exchange(&bed, GFN, i);
		/* One stays in the index, and one leaves it. */
		set_epoch(&bed, i * TAGS - SWEEP - 1);
		mapcache_invalidate(bed.cache);
		assert_int_equal(mapcache_invalidate_range(bed.cache, BED_BUCKET, 1), 0);
		bed_read(bed.client, 2 * BED_BUCKET);
		set_epoch(&bed, i * TAGS - 1);
		mapcache_invalidate(bed.cache);
		bed_read(bed.client, 2 * BED_BUCKET);
		assert_true(table_is_open(&bed));
		assert_int_equal(word_of(&bed, 0), 0);
		assert_int_equal(bed_read(bed.client, GPA), i);
		assert_int_equal(bed_read(bed.client, 0), bed_value(0));
		assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	}
	bed_stop(&bed);
}

static void whole_rounds_of_tags_change_nothing_for_who_looks(void **state)
{
	struct bed bed;
	uint64_t value = 1;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (uint64_t epoch = SWEEP - 1; epoch < 3 * TAGS; epoch += SWEEP) {
		set_epoch(&bed, epoch);
		for (unsigned int i = 0; i < 3; i++) {
			bed_exchange(&bed, GFN, ++value);
			mapcache_invalidate(bed.cache);
			assert_int_equal(bed_read(bed.client, GPA), value);
			assert_int_equal(bed_read(bed.other, BED_BUCKET), bed_value(256));
		}
		mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	assert_int_equal(bed_stats(&bed).table_sweeps, 3 * TAGS / SWEEP);
	bed_stop(&bed);
}

/* The grace clock has fewer bits than there are grace periods in a day. */
static void the_grace_clock_comes_round_unnoticed(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_store_relaxed(&bed.cache->shared.stamp,
			       ((uint64_t)(EPOCH_CLOCK_MASK - 3) << MAPCACHE_EPOCH_BITS) | 1);
	for (unsigned int i = 0; i < 8; i++) {
		mapcache_begin(bed.client);
		pointer = bed_ptr(bed.client, GPA, PROT_READ);
		assert_int_equal(*pointer, i ? i : bed_value(GFN));
		bed_exchange(&bed, GFN, i + 1);
		assert_int_equal(mapcache_invalidate_range(bed.cache, GPA, 1), 0);
		bed_reclaim(&bed);
		assert_int_equal(*pointer, i ? i : bed_value(GFN));
		assert_int_equal(bed_totals().pages_held, 1);
		assert_int_equal(mapcache_end(bed.client), 0);
		assert_int_equal(bed_reclaim(&bed), 0);
		assert_int_equal(bed_totals().pages_held, 0);
	}
	assert_int_equal(mapcache_epoch(bed.cache), 1);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_huge_guest_space_costs_what_is_touched),
		cmocka_unit_test(the_last_bucket_below_the_limit_is_served),
		cmocka_unit_test(a_tag_that_came_round_unswept_would_be_taken_for_current),
		cmocka_unit_test(the_table_is_closed_and_swept_before_tags_come_round),
		cmocka_unit_test(what_is_current_when_the_table_is_closed_stays_so),
		cmocka_unit_test(a_mapping_overtaken_by_the_sweep_is_swept_by_the_next),
		cmocka_unit_test(a_hidden_entry_is_hidden_in_an_epoch_whose_tag_is_0),
		cmocka_unit_test(whole_rounds_of_tags_change_nothing_for_who_looks),
		cmocka_unit_test(the_grace_clock_comes_round_unnoticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
