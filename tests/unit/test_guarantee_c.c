/* SPDX-License-Identifier: MIT */
/*
 * Guarantee C: a stale mapping that is still pinned serves its pinners only; a new look-up of
 * the same bucket maps afresh.
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
#define NEW UINT64_C(0xc)

static void what_a_stale_pin_writes_is_not_what_others_read(void **state)
{
	volatile uint64_t *stale, *fresh;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	stale = bed_pin(bed.client, GPA);
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	fresh = bed_pin(bed.client, GPA);
	assert_ptr_not_equal(stale, fresh);
	*stale = 1;
	assert_int_equal(*fresh, NEW);
	assert_int_equal(bed_read(bed.other, GPA), NEW);
	assert_int_equal(bed_guest(&bed, GPA), NEW);
	*fresh = 2;
	assert_int_equal(*stale, 1);
	assert_int_equal(bed_guest(&bed, GPA), 2);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)stale, 8), 0);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)fresh, 8), 0);
	bed_stop(&bed);
}

/* The pinner itself is no exception: a look-up is a look-up. */
static void the_pinner_looks_up_afresh_too(void **state)
{
	struct peer_look pin = { .gpa = GPA }, look = { .gpa = GPA };
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&peer, bed.cache);
	assert_int_equal(peer_run(&peer, peer_pin, &pin), 0);
	bed_exchange(&bed, GFN, NEW);
	assert_int_equal(mapcache_invalidate_range(bed.cache, GPA, 8), 0);
	assert_int_equal(peer_run(&peer, peer_read, &look), 0);
	assert_int_equal(look.value, NEW);
	assert_int_equal(*pin.pointer, bed_value(GFN));
	assert_int_equal(peer_run(&peer, peer_unpin, &pin), 0);
	peer_close(&peer);
	bed_stop(&bed);
}

#define CHAIN 12u

/* Each pin keeps the page of its own time, and all tell the same guest address. */
static void a_chain_of_stale_pins_keeps_every_page_apart(void **state)
{
	static const unsigned int order[CHAIN] = { 5, 0, 11, 3, 8, 1, 10, 2, 7, 4, 9, 6 };
	volatile uint64_t *pins[CHAIN];
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < CHAIN; i++) {
		bed_exchange(&bed, GFN, NEW + i);
		mapcache_invalidate(bed.cache);
		pins[i] = bed_pin(i % 2 ? bed.client : bed.other, GPA);
	}
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().pages_held, CHAIN - 1);
	for (unsigned int i = 0; i < CHAIN; i++) {
		for (unsigned int left = i; left < CHAIN; left++) {
			assert_int_equal(*pins[order[left]], NEW + order[left]);
			assert_int_equal(mapcache_gpa(bed.cache, (void *)pins[order[left]], &gpa),
					 0);
			assert_int_equal(gpa, GPA);
		}
		assert_int_equal(bed_read(bed.client, GPA), NEW + CHAIN - 1);
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pins[order[i]], 0), 0);
		bed_reclaim(&bed);
	}
	assert_int_equal(bed_totals().pages_held, 0);
	assert_int_equal(bed_stats(&bed).pinned_stale_bytes, 0);
	bed_stop(&bed);
}

/* A pin of one bucket says nothing about its neighbours. */
static void a_pin_keeps_its_own_bucket_only(void **state)
{
	volatile uint64_t *stale;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	stale = bed_pin(bed.client, GPA);
	bed_remove(&bed, GFN);
	bed_remove(&bed, 256);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().pages_held, 1);
	assert_int_equal(bed_stats(&bed).pinned_stale_bytes, BED_BUCKET);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)stale, 0), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_stale_pin_writes_is_not_what_others_read),
		cmocka_unit_test(the_pinner_looks_up_afresh_too),
		cmocka_unit_test(a_chain_of_stale_pins_keeps_every_page_apart),
		cmocka_unit_test(a_pin_keeps_its_own_bucket_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
