/* SPDX-License-Identifier: MIT */
/*
 * Guarantee B: a pointer stays mapped until its section ends, a pinned one until it is
 * unpinned, whatever invalidation, eviction, replacement or reclaim happens meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define GFN 9u
#define GPA (GFN * BED_PAGE)
#define NEW UINT64_C(0xb)

/* Six buckets of 64 KiB for a guest of 64: evictions all the time. */
#define TINY                                                                                       \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.ram_pages = 1024,                                                                 \
		.cache = { .bucket_shift = 16,                                                     \
			   .max_bytes = 6 << 16,                                                   \
			   .flags = MAPCACHE_NO_RECLAIM_THREAD },                                  \
	}

/* It shows the page that it showed, which the guest has given back since. */
static void assert_shows_the_old_page(struct bed *bed, volatile uint64_t *pointer)
{
	assert_int_equal(xensim_is_mapping_of(bed->domain, (const void *)pointer, GPA), 0);
	assert_int_equal(*pointer, bed_value(GFN));
	assert_true(bed_totals().pages_held >= 1);
}

static void assert_nothing_holds_it(struct bed *bed)
{
	bed_reclaim(bed);
	assert_int_equal(bed_totals().pages_held, 0);
}

static void a_pointer_outlives_invalidation_replacement_and_reclaim(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, GPA, PROT_READ);
	for (unsigned int i = 0; i < 20; i++) {
		bed_exchange(&bed, GFN, NEW + i);
		if (i % 2)
			mapcache_invalidate(bed.cache);
		else
			assert_int_equal(mapcache_invalidate_range(bed.cache, GPA, 8), 0);
		assert_int_equal(bed_read(bed.other, GPA), NEW + i);
		bed_reclaim(&bed);
		assert_shows_the_old_page(&bed, pointer);
	}
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_nothing_holds_it(&bed);
	bed_stop(&bed);
}

static void a_pointer_outlives_the_end_of_inner_sections(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	mapcache_begin(bed.client);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, GPA, PROT_READ);
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(mapcache_end(bed.client), 0);
		bed_reclaim(&bed);
		assert_shows_the_old_page(&bed, pointer);
	}
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_nothing_holds_it(&bed);
	bed_stop(&bed);
}

/* One that began after the retirement cannot know the mapping: it must not keep it. */
static void a_section_begun_later_does_not_keep_what_was_retired_before(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, GPA);
	bed_remove(&bed, GFN);
	mapcache_invalidate(bed.cache);
	mapcache_begin(bed.other);
	mapcache_reclaim(bed.cache, UINT64_MAX); /* retired here: it might be known */
	assert_int_equal(mapcache_end(bed.other), 0);
	mapcache_begin(bed.client);
	mapcache_reclaim(bed.cache, UINT64_MAX);
	assert_int_equal(bed_totals().pages_held, 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

static void a_pointer_outlives_eviction(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	unsigned int served = 0;

	(void)state;
	bed_start(&bed, TINY);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, GPA, PROT_READ);
	bed_exchange(&bed, GFN, NEW);
	for (uint64_t gfn = 16; gfn < 1024; gfn += 16) {
		/* With this section open room may run out; that is said, and no harm done. */
		int error = bed_error(bed.other, gfn * BED_PAGE, 8, PROT_READ);

		served += error == 0;
		assert_int_equal(xensim_is_mapping_of(bed.domain, (const void *)pointer, GPA), 0);
		assert_int_equal(*pointer, bed_value(GFN));
	}
	assert_in_range(served, 4, 63);
	assert_int_equal(mapcache_end(bed.client), 0);
	for (uint64_t gfn = 0; gfn < 1024; gfn += 16)
		assert_int_equal(bed_read(bed.other, gfn * BED_PAGE), bed_value(gfn));
	mapcache_invalidate(bed.cache);
	assert_nothing_holds_it(&bed);
	bed_stop(&bed);
}

static void a_pin_outlives_everything_but_its_unpin(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = bed_pin(bed.client, GPA);
	bed_exchange(&bed, GFN, NEW);
	for (unsigned int i = 0; i < 20; i++) {
		mapcache_invalidate(bed.cache);
		assert_int_equal(bed_read(bed.client, GPA), NEW);
		assert_int_equal(mapcache_invalidate_range(bed.cache, 0, UINT64_MAX), 0);
		bed_reclaim(&bed);
		assert_shows_the_old_page(&bed, pointer);
		assert_int_equal(bed_totals().pages_held, 1);
	}
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	assert_nothing_holds_it(&bed);
	bed_stop(&bed);
}

/* Also when nothing of the bucket has been touched in its slot's epoch but the pin. */
static void a_pinned_slot_is_not_refreshed_in_place(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, GPA);
	mapcache_invalidate(bed.cache);
	pointer = bed_pin(bed.client, GPA); /* one granule, so little that it would be */
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, GPA), NEW);
	assert_shows_the_old_page(&bed, pointer);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 0);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
	assert_nothing_holds_it(&bed);
	bed_stop(&bed);
}

static void a_slot_that_a_section_may_use_is_not_refreshed_in_place(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, GPA);
	mapcache_invalidate(bed.cache);
	mapcache_begin(bed.other);
	pointer = bed_ptr(bed.other, GPA, PROT_READ);
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, GPA), NEW);
	assert_shows_the_old_page(&bed, pointer);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 0);
	assert_true(bed_stats(&bed).grace_failures > 0);
	assert_int_equal(mapcache_end(bed.other), 0);
	/* The other way round: with nobody in an older section it is. */
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, GPA), NEW);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 1);
	assert_nothing_holds_it(&bed);
	bed_stop(&bed);
}

static void a_pin_outlives_eviction_and_its_client(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, TINY);
	pointer = bed_pin(bed.client, GPA);
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_client_close(bed.client), 0);
	bed.client = NULL;
	for (uint64_t gfn = 16; gfn < 1024; gfn += 16) {
		assert_int_equal(bed_read(bed.other, gfn * BED_PAGE), bed_value(gfn));
		assert_shows_the_old_page(&bed, pointer);
	}
	assert_int_equal(mapcache_client_unpin(bed.other, (void *)pointer, 0), 0);
	assert_nothing_holds_it(&bed);
	bed_stop(&bed);
}

static void a_pin_taken_by_one_thread_holds_until_another_releases_it(void **state)
{
	struct peer_look look = { .gpa = GPA };
	struct peer first, second;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&first, bed.cache);
	peer_open(&second, bed.cache);
	assert_int_equal(peer_run(&first, peer_pin, &look), 0);
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_shows_the_old_page(&bed, look.pointer);
	assert_int_equal(peer_run(&second, peer_unpin, &look), 0);
	assert_nothing_holds_it(&bed);
	peer_close(&first);
	peer_close(&second);
	bed_stop(&bed);
}

#define ROUNDS 500

struct holder {
	uint64_t wrong, rounds;
};

/* Look, let others run, look again: the page is still the one it was. */
static int hold_pointers(struct peer *peer, void *data)
{
	struct holder *holder = data;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct peer_look look = { .gpa = (i % 64 * 16 + 9) * BED_PAGE };
		bool pin = i % 3 == 0;

		if (!pin)
			mapcache_begin(peer->client);
		if ((pin ? peer_pin : peer_ptr)(peer, &look) == 0) {
			sched_yield();
			holder->wrong += *look.pointer != look.value;
			holder->wrong += look.value != bed_value(look.gpa / BED_PAGE);
			if (pin)
				holder->wrong += peer_unpin(peer, &look) != 0;
			holder->rounds++;
		}
		if (!pin)
			holder->wrong += mapcache_end(peer->client) != 0;
	}
	return 0;
}

static void pointers_hold_while_everything_is_evicted_and_reclaimed(void **state)
{
	struct holder holders[2] = { { 0, 0 }, { 0, 0 } };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, TINY);
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], hold_pointers, &holders[i]);
	}
	while (peer_busy(&peers[0]) || peer_busy(&peers[1])) {
		mapcache_invalidate(bed.cache);
		mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	for (unsigned int i = 0; i < 2; i++) {
		peer_close(&peers[i]);
		assert_int_equal(holders[i].wrong, 0);
		assert_true(holders[i].rounds > ROUNDS / 2);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pointer_outlives_invalidation_replacement_and_reclaim),
		cmocka_unit_test(a_pointer_outlives_the_end_of_inner_sections),
		cmocka_unit_test(a_section_begun_later_does_not_keep_what_was_retired_before),
		cmocka_unit_test(a_pointer_outlives_eviction),
		cmocka_unit_test(a_pin_outlives_everything_but_its_unpin),
		cmocka_unit_test(a_pinned_slot_is_not_refreshed_in_place),
		cmocka_unit_test(a_slot_that_a_section_may_use_is_not_refreshed_in_place),
		cmocka_unit_test(a_pin_outlives_eviction_and_its_client),
		cmocka_unit_test(a_pin_taken_by_one_thread_holds_until_another_releases_it),
		cmocka_unit_test(pointers_hold_while_everything_is_evicted_and_reclaimed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
