/* SPDX-License-Identifier: MIT */
/*
 * Guarantee A: a look-up that starts after mapcache_invalidate() has returned never yields a
 * mapping whose map call began before it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/gate.h>
#include <tests/support/peer.h>

#define GFN 5u /* in the second granule of the first bucket */
#define GPA (GFN * BED_PAGE)
#define NEW UINT64_C(0x5eed)

/* The control for all that follows: a stale mapping shows, when nobody has said a word. */
static void a_page_changed_without_a_word_is_shown_as_it_was(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	bed_exchange(&bed, GFN, NEW);
	mapcache_begin(bed.client);
	assert_int_equal(xensim_is_mapping_of(bed.domain,
					      (const void *)bed_ptr(bed.client, GPA, PROT_READ),
					      GPA),
			 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, GPA), NEW);
	bed_stop(&bed);
}

static void invalidate_hides_mappings_made_before_it(void **state)
{
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(bed_read(bed.client, GPA), i ? NEW + i - 1 : bed_value(GFN));
		bed_exchange(&bed, GFN, NEW + i);
		epoch = mapcache_epoch(bed.cache);
		assert_int_equal(mapcache_invalidate(bed.cache), epoch + 1);
		assert_int_equal(mapcache_epoch(bed.cache), epoch + 1);
		assert_int_equal(bed_read(i % 2 ? bed.client : bed.other, GPA), NEW + i);
	}
	bed_stop(&bed);
}

/* Even where the section began before: it is the look-up that counts. */
static void a_look_up_in_an_older_section_is_fresh_too(void **state)
{
	volatile uint64_t *before, *after;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	before = bed_ptr(bed.client, GPA, PROT_READ);
	assert_int_equal(*before, bed_value(GFN));
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	after = bed_ptr(bed.client, GPA, PROT_READ);
	assert_int_equal(*after, NEW);
	assert_int_equal(*before, bed_value(GFN));
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

/* ---- an invalidation in the middle of a map call ----------------------------------------- */

/* Each brings the first bucket into a state from which a look-up of GPA maps in another way. */
static void prepare_cold(struct bed *bed)
{
	(void)bed;
}

static void prepare_fresh_slot(struct bed *bed)
{
	bed_read(bed->client, 0);
	mapcache_invalidate(bed->cache);
}

static void prepare_extend(struct bed *bed)
{
	prepare_fresh_slot(bed);
	bed_read(bed->client, 0);
}

static void prepare_in_place(struct bed *bed)
{
	prepare_extend(bed);
	bed_read(bed->client, GPA);
	mapcache_invalidate(bed->cache);
}

static void prepare_dense(struct bed *bed)
{
	prepare_fresh_slot(bed);
	for (uint64_t gpa = 0; gpa < BED_BUCKET; gpa += 4 * BED_PAGE)
		bed_read(bed->client, gpa);
	mapcache_invalidate(bed->cache);
}

static void prepare_fallback(struct bed *bed)
{
	assert_true(xensim_p2m_set_type(bed->domain, GFN + 1, 1, XENSIM_DENIED) >= 0);
	bed_read(bed->client, GPA + BED_PAGE);
}

struct middle {
	struct bed *bed;
	bool end, range;
	unsigned int fired;
};

static void invalidate_in_the_middle(void *data, bool end, uint64_t gfn, size_t pages)
{
	struct middle *middle = data;

	if (end != middle->end || middle->fired || GFN - gfn >= pages)
		return;
	middle->fired++;
	(void)xensim_outside_remove(middle->bed->domain, GFN);
	(void)xensim_outside_populate(middle->bed->domain, &(uint64_t){ GFN }, 1, 0);
	(void)xensim_guest_write(middle->bed->domain, GPA, &(uint64_t){ NEW }, sizeof(uint64_t));
	if (middle->range)
		(void)mapcache_invalidate_range(middle->bed->cache, GPA, 1);
	else
		mapcache_invalidate(middle->bed->cache);
}

static void try_the_middle(void (*prepare)(struct bed *), bool end, bool range, int prot)
{
	struct bed bed;
	struct middle middle = { &bed, end, range, 0 };
	volatile uint64_t *during, *after;

	bed_start(&bed, BED_QUIET);
	prepare(&bed);
	xensim_set_map_hook(invalidate_in_the_middle, &middle);
	mapcache_begin(bed.client);
	during = bed_ptr(bed.client, GPA, prot);
	assert_int_equal(middle.fired, 1);
	/* It began before: what it got is either, and stays what it is. */
	assert_int_equal(*during, end ? bed_value(GFN) : NEW);
	after = bed_ptr(bed.client, GPA, prot);
	assert_int_equal(xensim_is_mapping_of(bed.domain, (const void *)after, GPA), 1);
	assert_int_equal(*after, NEW);
	assert_int_equal(*during, end ? bed_value(GFN) : NEW);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(bed_read(bed.other, GPA), NEW);
	if (!range)
		assert_int_equal(bed_stats(&bed).maps_overtaken, 1);
	bed_stop(&bed);
}

static void try_every_middle(void (*prepare)(struct bed *))
{
	for (unsigned int bits = 0; bits < 8; bits++)
		try_the_middle(prepare, bits & 1, bits & 2,
			       bits & 4 ? PROT_READ | PROT_WRITE : PROT_READ);
}

static void a_first_mapping_overtaken_by_an_invalidation_is_not_shown(void **state)
{
	(void)state;
	try_every_middle(prepare_cold);
}

static void a_move_to_a_fresh_slot_overtaken_is_not_shown(void **state)
{
	(void)state;
	try_every_middle(prepare_fresh_slot);
}

static void an_added_granule_overtaken_is_not_shown(void **state)
{
	(void)state;
	try_every_middle(prepare_extend);
}

static void a_refresh_in_place_overtaken_is_not_shown(void **state)
{
	(void)state;
	try_every_middle(prepare_in_place);
}

static void a_whole_bucket_overtaken_is_not_shown(void **state)
{
	(void)state;
	try_every_middle(prepare_dense);
}

static void an_upgrade_from_read_only_overtaken_is_not_shown(void **state)
{
	(void)state;
	try_the_middle(prepare_fallback, true, false, PROT_READ | PROT_WRITE);
	try_the_middle(prepare_fallback, true, true, PROT_READ | PROT_WRITE);
}

/* ---- several threads ------------------------------------------------------------------------ */

static bool somebody_waits(void *data)
{
	return bed_stats(data).waits >= 1;
}

static void who_waits_for_a_map_call_begun_before_does_not_get_its_result(void **state)
{
	struct peer_look early = { .gpa = GPA }, late = { .gpa = GPA };
	struct gate gate = GATE;
	struct peer first, second;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&first, bed.cache);
	peer_open(&second, bed.cache);
	gate_close(&gate, GFN, true);
	peer_start(&first, peer_read, &early);
	gate_wait(&gate, 1);
	bed_exchange(&bed, GFN, NEW);
	mapcache_invalidate(bed.cache);
	peer_start(&second, peer_read, &late);
	assert_true(eventually(somebody_waits, &bed));
	assert_true(peer_busy(&second));
	gate_open(&gate);
	assert_int_equal(peer_wait(&first), 0);
	assert_int_equal(early.value, bed_value(GFN));
	assert_int_equal(peer_wait(&second), 0);
	assert_int_equal(late.value, NEW);
	peer_close(&first);
	peer_close(&second);
	bed_stop(&bed);
}

#define CHANGES 3000u

struct changing {
	uint64_t announced; /* atomic: values below it are gone, and invalidate has returned */
	uint64_t looks;
};

static int look_until_the_last_change(struct peer *peer, void *data)
{
	struct changing *changing = data;
	struct peer_look look = { .gpa = GPA };
	uint64_t least;

	do {
		int error;

		least = __atomic_load_n(&changing->announced, __ATOMIC_ACQUIRE);
		error = peer_read(peer, &look);
		/* A page just populated is zero for a moment. */
		if (error == 0 && look.value != 0 && look.value < least)
			return -ESTALE;
		if (error != 0 && error != -EFAULT && error != -EAGAIN)
			return error;
		__atomic_fetch_add(&changing->looks, 1, __ATOMIC_RELAXED);
	} while (least < NEW + CHANGES);
	return 0;
}

static void readers_never_see_a_page_that_was_gone_before_the_answer(void **state)
{
	struct changing changing = { .announced = 0 };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], look_until_the_last_change, &changing);
	}
	for (uint64_t value = NEW + 1; value <= NEW + CHANGES; value++) {
		bed_exchange(&bed, GFN, value);
		mapcache_invalidate(bed.cache);
		__atomic_store_n(&changing.announced, value, __ATOMIC_RELEASE);
	}
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(peer_wait(&peers[i]), 0);
		peer_close(&peers[i]);
	}
	print_message("%llu looks during %u changes\n", (unsigned long long)changing.looks,
		      CHANGES);
	assert_int_equal(mapcache_epoch(bed.cache), 1 + CHANGES);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_changed_without_a_word_is_shown_as_it_was),
		cmocka_unit_test(invalidate_hides_mappings_made_before_it),
		cmocka_unit_test(a_look_up_in_an_older_section_is_fresh_too),
		cmocka_unit_test(a_first_mapping_overtaken_by_an_invalidation_is_not_shown),
		cmocka_unit_test(a_move_to_a_fresh_slot_overtaken_is_not_shown),
		cmocka_unit_test(an_added_granule_overtaken_is_not_shown),
		cmocka_unit_test(a_refresh_in_place_overtaken_is_not_shown),
		cmocka_unit_test(a_whole_bucket_overtaken_is_not_shown),
		cmocka_unit_test(an_upgrade_from_read_only_overtaken_is_not_shown),
		cmocka_unit_test(who_waits_for_a_map_call_begun_before_does_not_get_its_result),
		cmocka_unit_test(readers_never_see_a_page_that_was_gone_before_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
