/* SPDX-License-Identifier: MIT */
/*
 * Batches: after an invalidation what was in use before, in many buckets, is mapped by one call.
 * Time is virtual here: a map call and a page of it take what a test says, an epoch 10 ms.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/spy.h>

#define SHIFT 16
#define BUCKET (UINT64_C(1) << SHIFT)
#define GRANULE (UINT64_C(1) << 12)
#define PLACES 12u
#define RW (PROT_READ | PROT_WRITE)

/* Small buckets: 16 granules of a page each. */
static const struct rig_options small = {
	.cache = { .bucket_shift = SHIFT,
		   .granule_shift = 12,
		   .flags = MAPCACHE_NO_RECLAIM_THREAD },
	.ram_pages = 64 * 16,
};

static struct spy spy;
static uint64_t now;

/* During the first map call of a list. */
static struct {
	struct bed *bed;
	void (*act)(struct bed *bed);
	bool done;
} during;

uint64_t __wrap_clock_ns(void);

/* A reading takes a little: who waits for a time must get there. */
uint64_t __wrap_clock_ns(void)
{
	return now += 20;
}

static int before_call(struct spy *spy_called, const struct spy_call *call)
{
	(void)spy_called;
	if (call->map)
		now += 3000 + 100 * call->pages;
	if (call->map && call->list && during.act && !during.done) {
		during.done = true;
		during.act(during.bed);
	}
	return 0;
}

/* A page of each of some buckets. */
static uint64_t place(unsigned int i)
{
	return (2 * (uint64_t)i + 1) * BUCKET + i * 5 % 16 * GRANULE;
}

static void read_place(struct bed *bed, unsigned int i)
{
	assert_int_equal(bed_read(bed->client, place(i)), bed_value(place(i) / BED_PAGE));
}

/* All places in turn, in an epoch of their own. Returns the map calls that it took. */
static uint64_t epoch(struct bed *bed)
{
	uint64_t before;

	now += 10000000;
	mapcache_invalidate(bed->cache);
	before = bed_stats(bed).map_calls;
	for (unsigned int i = 0; i < PLACES; i++)
		read_place(bed, i);
	return bed_stats(bed).map_calls - before;
}

/* Until they are mapped together, and all of them but the first are hits. */
static void warm_up(struct bed *bed)
{
	for (unsigned int i = 0; i < 40; i++)
		epoch(bed);
	for (unsigned int i = 0; i < 40 && epoch(bed) != 1; i++)
		;
	assert_true(bed_stats(bed).batches > 0);
}

static void start_cold(struct bed *bed, struct rig_options options)
{
	spy = (struct spy){ .before = before_call };
	now = UINT64_C(10000000000);
	during.act = NULL;
	during.done = false;
	during.bed = bed;
	options.cache.backend = &spy_backend;
	options.cache.backend_data = &spy;
	bed_start(bed, &options);
}

static void start(struct bed *bed)
{
	start_cold(bed, small);
	warm_up(bed);
}

static bool hit(struct bed *bed, uint64_t gpa, size_t len, int prot)
{
	void *pointer;
	bool found;

	mapcache_begin(bed->client);
	found = mapcache_ptr_fast(bed->client, gpa, len, prot, &pointer);
	mapcache_end(bed->client);
	return found;
}

/* ---- what it does ------------------------------------------------------------------------- */

static void what_is_used_in_every_epoch_is_mapped_by_few_calls(void **state)
{
	uint64_t calls = 0, batches;
	struct bed bed;

	(void)state;
	start(&bed);
	batches = bed_stats(&bed).batches;
	for (unsigned int i = 0; i < 20; i++)
		calls += epoch(&bed);
	/* Each is left out now and then. */
	assert_in_range(calls, 20, 50);
	assert_in_range(bed_stats(&bed).batches - batches, 20, 40);
	assert_true(bed_stats(&bed).pages_batched >= 20 * (PLACES - 2));
	bed_stop(&bed);
}

static void without_batches_each_bucket_is_mapped_by_itself(void **state)
{
	struct rig_options options = small;
	struct bed bed;

	(void)state;
	options.cache.flags |= MAPCACHE_NO_BATCHES;
	start_cold(&bed, options);
	for (unsigned int i = 0; i < 20; i++)
		epoch(&bed);
	assert_int_equal(epoch(&bed), PLACES);
	assert_int_equal(bed_stats(&bed).batches, 0);
	bed_stop(&bed);
}

static void pointers_into_a_batch_are_to_their_guest_addresses(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	for (unsigned int i = 0; i < PLACES; i++) {
		volatile char *pointer;
		uint64_t gpa;

		mapcache_begin(bed.client);
		pointer = (volatile char *)bed_ptr(bed.client, place(i) + 40, RW);
		assert_int_equal(mapcache_gpa(bed.cache, (const char *)pointer + 9, &gpa), 0);
		mapcache_end(bed.client);
		assert_int_equal(gpa, place(i) + 49);
	}
	bed_write(bed.client, place(3) + 16, 77);
	assert_int_equal(bed_guest(&bed, place(3) + 16), 77);
	bed_stop(&bed);
}

/* Two granules side by side are used as one range. */
static void a_range_of_granules_is_one_piece(void **state)
{
	const size_t len = 2 * GRANULE;
	uint64_t calls;
	struct bed bed;

	(void)state;
	start_cold(&bed, small);
	for (unsigned int round = 0; round < 60; round++) {
		now += 10000000;
		mapcache_invalidate(bed.cache);
		for (unsigned int i = 0; i < 6; i++)
			assert_int_equal(
				bed_error(bed.client, 4 * i * BUCKET + 3 * GRANULE, len, RW), 0);
	}
	assert_true(bed_stats(&bed).pages_batched > 60 * 4);
	calls = bed_stats(&bed).map_calls;
	for (unsigned int i = 0; i < 6; i++)
		assert_true(hit(&bed, 4 * i * BUCKET + 3 * GRANULE, len, RW));
	/* A granule more is not there, though the next one in memory may be somebody's. */
	assert_false(hit(&bed, 3 * GRANULE, len + 1, PROT_READ));
	assert_int_equal(bed_stats(&bed).map_calls, calls);
	bed_stop(&bed);
}

/* ---- A and B -------------------------------------------------------------------------------- */

static void an_invalidation_hides_all_of_a_batch(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	for (unsigned int i = 0; i < PLACES; i++) {
		assert_true(hit(&bed, place(i), 8, RW));
		bed_exchange(&bed, place(i) / BED_PAGE, 1000 + i);
	}
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < PLACES; i++)
		assert_false(hit(&bed, place(i), 1, PROT_READ));
	for (unsigned int i = 0; i < PLACES; i++)
		assert_int_equal(bed_read(bed.client, place(i)), 1000 + i);
	bed_stop(&bed);
}

static void a_section_keeps_the_batch_that_it_looks_at(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	start(&bed);
	mapcache_begin(bed.other);
	pointer = bed_ptr(bed.other, place(5), PROT_READ);
	for (unsigned int i = 0; i < 3; i++) {
		epoch(&bed);
		(void)mapcache_reclaim(bed.cache, UINT64_MAX);
		assert_int_equal(*pointer, bed_value(place(5) / BED_PAGE));
	}
	mapcache_end(bed.other);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_totals().foreign_pages, 0);
	bed_stop(&bed);
}

static void a_pin_keeps_its_batch_and_no_other(void **state)
{
	volatile uint64_t *pin;
	struct bed bed;
	uint64_t held;

	(void)state;
	start(&bed);
	pin = bed_pin(bed.client, place(5));
	mapcache_invalidate(bed.cache);
	held = bed_reclaim(&bed);
	assert_in_range(held, GRANULE, BUCKET);
	assert_int_equal(bed_totals().foreign_pages, held / BED_PAGE);
	epoch(&bed);
	assert_int_equal(*pin, bed_value(place(5) / BED_PAGE));
	assert_int_equal(mapcache_drain(bed.cache, mapcache_epoch(bed.cache), 0,
					MAPCACHE_DRAIN_PINS),
			 -ETIMEDOUT);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)(uintptr_t)pin, 0), 0);
	assert_int_equal(
		mapcache_drain(bed.cache, mapcache_epoch(bed.cache), 0, MAPCACHE_DRAIN_PINS), 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	bed_stop(&bed);
}

static void change_and_invalidate(struct bed *bed)
{
	for (unsigned int i = 0; i < PLACES; i++)
		bed_exchange(bed, place(i) / BED_PAGE, 2000 + i);
	mapcache_invalidate(bed->cache);
}

static void a_batch_overtaken_by_an_invalidation_is_shown_to_nobody(void **state)
{
	uint64_t overtaken;
	struct bed bed;

	(void)state;
	start(&bed);
	overtaken = bed_stats(&bed).maps_overtaken;
	mapcache_invalidate(bed.cache);
	during.act = change_and_invalidate;
	(void)bed_read(bed.client, place(4));
	assert_true(during.done);
	assert_true(bed_stats(&bed).maps_overtaken > overtaken);
	for (unsigned int i = 0; i < PLACES; i++)
		assert_false(hit(&bed, place(i), 8, PROT_READ));
	for (unsigned int i = 0; i < PLACES; i++)
		assert_int_equal(bed_read(bed.client, place(i)), 2000 + i);
	bed_stop(&bed);
}

static void drop_one(struct bed *bed)
{
	bed_exchange(bed, place(7) / BED_PAGE, 3007);
	assert_int_equal(mapcache_invalidate_range(bed->cache, place(7), 8), 0);
}

static void a_range_invalidation_hides_what_is_shown_and_what_is_on_its_way(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	/* Of what is shown: its batch goes, other buckets need not. */
	assert_true(hit(&bed, place(7), 8, PROT_READ));
	drop_one(&bed);
	assert_false(hit(&bed, place(7), 8, PROT_READ));
	assert_int_equal(bed_read(bed.client, place(7)), 3007);
	/* Of what is being mapped. */
	bed_exchange(&bed, place(7) / BED_PAGE, bed_value(place(7) / BED_PAGE));
	warm_up(&bed);
	mapcache_invalidate(bed.cache);
	during.act = drop_one;
	read_place(&bed, 4);
	assert_true(during.done);
	assert_false(hit(&bed, place(7), 8, PROT_READ));
	bed_stop(&bed);
}

static void the_log_of_modified_pages_ends_batches(void **state)
{
	uint64_t batches;
	struct bed bed;

	(void)state;
	start(&bed);
	xensim_dirty_log(bed.domain, true);
	assert_true(hit(&bed, place(2), 8, RW));
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	assert_false(hit(&bed, place(2), 8, RW));
	batches = bed_stats(&bed).batches;
	epoch(&bed);
	assert_int_equal(bed_stats(&bed).batches, batches);
	bed_write(bed.client, place(2) + 8, 5);
	assert_true(xensim_dirty(bed.domain, place(2) / BED_PAGE));
	assert_int_equal(mapcache_dirty_log(bed.cache, false), 0);
	warm_up(&bed);
	bed_stop(&bed);
}

static void what_a_pin_in_a_batch_has_modified_is_reported(void **state)
{
	volatile uint64_t *pin;
	struct bed bed;

	(void)state;
	start(&bed);
	pin = bed_pin(bed.client, place(6));
	xensim_dirty_log(bed.domain, true);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	pin[1] = 9;
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)(uintptr_t)pin, 16), 0);
	assert_true(xensim_dirty(bed.domain, place(6) / BED_PAGE));
	assert_int_equal(mapcache_dirty_log(bed.cache, false), 0);
	bed_stop(&bed);
}

/* ---- C, E and H ------------------------------------------------------------------------------- */

static void stale_batches_are_reclaimed(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	assert_true(bed_totals().foreign_pages >= PLACES);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_totals().foreign_pages, 0);
	assert_int_equal(bed_stats(&bed).slots_used, 0);
	bed_stop(&bed);
}

static void a_hole_is_left_out_and_the_rest_is_mapped(void **state)
{
	uint64_t calls;
	struct bed bed;

	(void)state;
	start(&bed);
	bed_remove(&bed, place(8) / BED_PAGE);
	mapcache_invalidate(bed.cache);
	read_place(&bed, 1);
	for (unsigned int i = 0; i < PLACES; i++)
		if (i != 8)
			read_place(&bed, i);
	assert_int_equal(bed_error(bed.client, place(8), 8, PROT_READ), EFAULT);
	/* It is not tried with the others again. */
	calls = bed_stats(&bed).holes;
	for (unsigned int i = 0; i < 5; i++) {
		mapcache_invalidate(bed.cache);
		read_place(&bed, 1);
		read_place(&bed, 2);
	}
	assert_int_equal(bed_stats(&bed).holes, calls);
	bed_populate(&bed, place(8) / BED_PAGE, 8);
	assert_int_equal(bed_read(bed.client, place(8)), 8);
	bed_stop(&bed);
}

static void a_batch_that_fails_costs_nobody_anything(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	for (unsigned int i = 0; i < 8; i++) {
		mapcache_invalidate(bed.cache);
		/* The first map call is the batch. */
		xensim_fail(XENSIM_CALL_MAP, 1, ENOMEM);
		for (unsigned int j = 0; j < PLACES; j++)
			read_place(&bed, j);
	}
	assert_true(bed_stats(&bed).map_errors >= 8);
	assert_int_equal(bed_stats(&bed).lost_ranges, 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	bed_stop(&bed);
}

static void a_batch_of_which_pages_fail_shows_the_others(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	mapcache_invalidate(bed.cache);
	xensim_fail_pages(1, 3, ENOMEM);
	for (unsigned int j = 0; j < PLACES; j++)
		read_place(&bed, j);
	for (unsigned int i = 0; i < 100; i++)
		epoch(&bed);
	bed_stop(&bed);
}

/* A page that is paged out holds up who asks for another one: once in a long while. */
static void held_up(struct bed *bed)
{
	(void)bed;
	now += UINT64_C(2000000000);
}

static void after_one_that_was_held_up_there_are_none_for_long(void **state)
{
	uint64_t batches;
	struct bed bed;

	(void)state;
	start(&bed);
	batches = bed_stats(&bed).batches;
	during.act = held_up;
	epoch(&bed);
	assert_true(during.done);
	assert_int_equal(bed_stats(&bed).batches, batches + 1);
	/* Ten seconds, two of which are over; each epoch takes 10 ms. */
	for (unsigned int i = 0; i < 700; i++)
		epoch(&bed);
	assert_int_equal(bed_stats(&bed).batches, batches + 1);
	for (unsigned int i = 0; i < 200; i++)
		epoch(&bed);
	assert_true(bed_stats(&bed).batches > batches + 50);
	bed_stop(&bed);
}

static void where_slots_are_needed_batches_go(void **state)
{
	struct rig_options options = small;
	struct bed bed;

	(void)state;
	options.cache.max_bytes = 40 * BUCKET;
	start_cold(&bed, options);
	warm_up(&bed);
	for (unsigned int round = 0; round < 3; round++)
		for (uint64_t i = 0; i < 64; i++)
			assert_int_equal(bed_read(bed.client, i * BUCKET), bed_value(i * 16));
	assert_true(bed_stats(&bed).slots_used <= 40);
	for (unsigned int i = 0; i < 20; i++)
		epoch(&bed);
	bed_stop(&bed);
}

/* The embedder is told of each part of guest memory that a batch shows, and when it goes. */
static struct {
	uint64_t added, removed;
	unsigned int wrong;
	const struct bed *bed;
} told;

static void note_event(void *data, enum mapcache_event event, uint64_t gpa, void *address,
		       uint64_t len)
{
	uint64_t page = *(volatile uint64_t *)address;

	(void)data;
	if (event == MAPCACHE_EVENT_ADDED)
		told.added += len;
	else
		told.removed += len;
	told.wrong += page != bed_value(gpa / BED_PAGE);
}

static void the_embedder_is_told_of_its_parts(void **state)
{
	struct rig_options options = small;
	struct bed bed;

	(void)state;
	told.added = told.removed = told.wrong = 0;
	options.cache.notify = note_event;
	start_cold(&bed, options);
	warm_up(&bed);
	for (unsigned int i = 0; i < 10; i++)
		epoch(&bed);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(told.added, told.removed);
	assert_int_equal(told.wrong, 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_in_every_epoch_is_mapped_by_few_calls),
		cmocka_unit_test(without_batches_each_bucket_is_mapped_by_itself),
		cmocka_unit_test(pointers_into_a_batch_are_to_their_guest_addresses),
		cmocka_unit_test(a_range_of_granules_is_one_piece),
		cmocka_unit_test(an_invalidation_hides_all_of_a_batch),
		cmocka_unit_test(a_section_keeps_the_batch_that_it_looks_at),
		cmocka_unit_test(a_pin_keeps_its_batch_and_no_other),
		cmocka_unit_test(a_batch_overtaken_by_an_invalidation_is_shown_to_nobody),
		cmocka_unit_test(a_range_invalidation_hides_what_is_shown_and_what_is_on_its_way),
		cmocka_unit_test(the_log_of_modified_pages_ends_batches),
		cmocka_unit_test(what_a_pin_in_a_batch_has_modified_is_reported),
		cmocka_unit_test(stale_batches_are_reclaimed),
		cmocka_unit_test(a_hole_is_left_out_and_the_rest_is_mapped),
		cmocka_unit_test(a_batch_that_fails_costs_nobody_anything),
		cmocka_unit_test(a_batch_of_which_pages_fail_shows_the_others),
		cmocka_unit_test(after_one_that_was_held_up_there_are_none_for_long),
		cmocka_unit_test(where_slots_are_needed_batches_go),
		cmocka_unit_test(the_embedder_is_told_of_its_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
