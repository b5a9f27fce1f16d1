/* SPDX-License-Identifier: MIT */
/*
 * A map call that takes longer than it takes the tags of the table to come round: a page that
 * is paged out, in a guest that invalidates all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <lib/cache.h>

#define TAGS (UINT64_C(1) << (64 - MAPCACHE_TAG_SHIFT))
#define SWEEP (UINT64_C(1) << EPOCH_SWEEP_SHIFT)
#define GFN 5u
#define GPA (GFN * BED_PAGE)

/* As if so many invalidations had come and each had closed the table when it should. */
static void move_epoch(struct mapcache *cache, uint64_t by)
{
	mapcache_add_relaxed(&cache->shared.stamp, by);
	mapcache_store_relaxed(&cache->shared.limit, 0);
}

struct meanwhile {
	struct bed *bed;
	uint64_t by;
	bool done;
};

static void let_epochs_pass(void *data, bool end, uint64_t gfn, size_t pages)
{
	struct meanwhile *meanwhile = data;
	struct bed *bed = meanwhile->bed;

	if (!end || meanwhile->done || GFN - gfn >= pages)
		return;
	meanwhile->done = true;
	move_epoch(bed->cache, meanwhile->by);
	/* Somebody else sweeps the table and opens it. */
	mapcache_begin(bed->other);
	(void)!mapcache_ptr(bed->other, 3 * BED_BUCKET, 8, PROT_READ);
	mapcache_end(bed->other);
}

static void try_map_call_that_takes(uint64_t epochs)
{
	struct bed bed;
	struct meanwhile meanwhile = { &bed, epochs, false };
	volatile uint64_t *pointer;

	bed_start(&bed, BED_QUIET);
	xensim_set_map_hook(let_epochs_pass, &meanwhile);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, GPA, PROT_READ);
	xensim_set_map_hook(NULL, NULL);
	assert_true(meanwhile.done);
	assert_int_not_equal(mapcache_load_relaxed(&bed.cache->shared.limit), 0);
	/* Whoever asked for it began before all that. */
	assert_int_equal(*pointer, bed_value(GFN));
	bed_exchange(&bed, GFN, 1);
	/* Its tag comes round before another sweep is due. */
	while (mapcache_epoch(bed.cache) < TAGS + 1)
		mapcache_invalidate(bed.cache);
	assert_int_not_equal(mapcache_load_relaxed(&bed.cache->shared.limit), 0);
	assert_int_equal(bed_read(bed.other, GPA), 1);
	assert_int_equal(*pointer, bed_value(GFN));
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

static void what_took_a_round_of_tags_to_map_is_not_shown(void **state)
{
	(void)state;
	try_map_call_that_takes(TAGS - 1);
	try_map_call_that_takes(TAGS);
}

/* With any number of epochs in between, what was mapped is shown as stale or not at all. */
static void what_took_long_to_map_is_stale(void **state)
{
	(void)state;
	for (uint64_t epochs = 1; epochs < TAGS; epochs = epochs * 4 + 3) {
		struct bed bed;
		struct meanwhile meanwhile = { &bed, epochs, false };

		bed_start(&bed, BED_QUIET);
		xensim_set_map_hook(let_epochs_pass, &meanwhile);
		assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
		xensim_set_map_hook(NULL, NULL);
		bed_exchange(&bed, GFN, 1);
		assert_int_equal(bed_read(bed.client, GPA), 1);
		bed_stop(&bed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_took_a_round_of_tags_to_map_is_not_shown),
		cmocka_unit_test(what_took_long_to_map_is_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
