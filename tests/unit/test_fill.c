/* SPDX-License-Identifier: MIT */
/*
 * The miss path: how much is mapped by how many calls. Whole at first, in granules after an
 * invalidation, whole again where that pays; whole kernel mappings only (bed_stop() looks).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <bench/random.h>
#include <tests/support/bed.h>
#include <tests/support/gate.h>
#include <tests/support/peer.h>
#include <tests/support/spy.h>
#include <lib/cache.h>

#define BOTH (PROT_READ | PROT_WRITE)
#define GRANULE UINT64_C(16384)

struct count {
	uint64_t calls, pages;
};

/*
 * Time as the cache sees it: what its map calls take, and hardly anything else, where a test says
 * how much a call and a page of it are. Such a test has this spy.
 */
static struct {
	uint64_t now, call, page; /* ns; call: 0, time is real */
} fake;

uint64_t __wrap_clock_ns(void);
uint64_t __real_clock_ns(void);

uint64_t __wrap_clock_ns(void)
{
	/* A reading takes a little: who waits for a time must get there. */
	return fake.call ? fake.now += 20 : __real_clock_ns();
}

static int let_time_pass(struct spy *spy, const struct spy_call *call)
{
	(void)spy;
	if (call->map)
		fake.now += fake.call + fake.page * call->pages;
	return 0;
}

/* Calls of a granule that cost as much as one for the whole bucket. */
#define DENSE_CALLS 8
#define SECOND UINT64_C(1000000000)

/* What is about one bucket. */
#define SLOTS                                                                                      \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.cache.flags = MAPCACHE_NO_RECLAIM_THREAD | MAPCACHE_NO_BATCHES                    \
	}

static void start_timed(struct bed *bed)
{
	static struct spy spy;

	spy = (struct spy){ .before = let_time_pass };
	fake.now = 10 * SECOND;
	fake.call = 3100;
	fake.page = 100;
	bed_start(bed, &(struct rig_options){
			       .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD | MAPCACHE_NO_BATCHES,
					  .backend = &spy_backend,
					  .backend_data = &spy } });
}

static void stop_timed(struct bed *bed)
{
	fake.call = 0;
	bed_stop(bed);
}

/* What a look-up of [gpa, gpa + len) maps. */
static struct count count(struct bed *bed, uint64_t gpa, size_t len)
{
	struct mapcache_stats before = bed_stats(bed), after;

	assert_int_equal(bed_error(bed->client, gpa, len, PROT_READ), 0);
	after = bed_stats(bed);
	return (struct count){ after.map_calls - before.map_calls,
			       after.pages_mapped - before.pages_mapped };
}

#define assert_maps(bed, gpa, len, n_calls, n_pages)                                               \
	do {                                                                                       \
		struct count counted = count(bed, gpa, len);                                       \
		assert_int_equal(counted.calls, n_calls);                                          \
		assert_int_equal(counted.pages, n_pages);                                          \
	} while (0)

static void a_bucket_never_seen_is_mapped_whole_by_one_call(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, SLOTS);
	assert_maps(&bed, 5 * BED_PAGE, 8, 1, 256);
	assert_maps(&bed, 0, BED_BUCKET, 0, 0);
	bed_stop(&bed);
}

static void after_an_invalidation_only_what_is_asked_for_is_mapped(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < 2; i++) {
		mapcache_invalidate(bed.cache);
		assert_maps(&bed, 5 * GRANULE + 12, 8, 1, 4);
		assert_maps(&bed, 5 * GRANULE, GRANULE, 0, 0);
		assert_maps(&bed, 7 * GRANULE - 1, 2, 1, 8);
		/* The whole missing part of the range in one call, what is there left alone. */
		assert_maps(&bed, 8 * GRANULE, 8 * GRANULE, 1, 32);
		assert_maps(&bed, 4 * GRANULE, 6 * GRANULE, 1, 4);
		assert_maps(&bed, 0, 20 * GRANULE, 2, 32);
		assert_maps(&bed, 0, 20 * GRANULE, 0, 0);
		for (uint64_t gfn = 0; gfn < 80; gfn++)
			assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
	}
	stop_timed(&bed);
}

static void a_slot_with_little_in_it_is_refreshed_in_place(void **state)
{
	uint64_t unmaps;
	struct bed bed;

	(void)state;
	bed_start(&bed, SLOTS);
	bed_read(bed.client, 0);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 3; i++)
		assert_maps(&bed, 2 * i * GRANULE, 8, 1, 4);
	unmaps = bed_stats(&bed).unmap_calls;
	for (unsigned int epoch = 0; epoch < 5; epoch++) {
		mapcache_invalidate(bed.cache);
		for (unsigned int i = 0; i < 3; i++)
			assert_maps(&bed, 2 * i * GRANULE, 8, 1, 4);
	}
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 5);
	assert_int_equal(bed_stats(&bed).refreshed_in_fresh_slot, 1);
	assert_int_equal(bed_stats(&bed).slots_used, 2); /* and the first, not yet reclaimed */
	assert_int_equal(bed_stats(&bed).unmap_calls, unmaps);
	bed_stop(&bed);
}

/* Ranges overlap what was mapped before in every way; no kernel mapping is ever split. */
static void overlapping_ranges_of_several_epochs_never_split_a_mapping(void **state)
{
	uint64_t state_of_random = 1;
	struct bed bed;

	(void)state;
	bed_start(&bed, SLOTS);
	for (unsigned int i = 0; i < 4000; i++) {
		uint64_t random = random_next(&state_of_random), first, pages;

		first = random >> 40 & 255;
		pages = (random >> 50 & 63) + 1;
		if (first + pages > 256)
			pages = 256 - first;
		if ((random >> 33) % 5 == 0)
			mapcache_invalidate(bed.cache);
		mapcache_begin(bed.client);
		assert_non_null(mapcache_ptr(bed.client, first * BED_PAGE, pages * BED_PAGE, BOTH));
		for (uint64_t gfn = first; gfn < first + pages; gfn++)
			assert_int_equal(*bed_ptr(bed.client, gfn * BED_PAGE, BOTH),
					 bed_value(gfn));
		assert_int_equal(mapcache_end(bed.client), 0);
		if ((random >> 35) % 50 == 0)
			mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	assert_int_equal(bed_totals().splits_refused, 0);
	assert_true(bed_stats(&bed).refreshed_in_place > 0);
	assert_true(bed_stats(&bed).refreshed_in_fresh_slot > 0);
	bed_stop(&bed);
}

static void touch_granules(struct bed *bed, unsigned int granules)
{
	for (unsigned int i = 0; i < granules; i++)
		assert_int_equal(bed_read(bed->client, i * GRANULE), bed_value(i * 4));
}

/* An epoch in which so many granules are used; returns the map calls, the last one's pages. */
static struct count dense_epoch(struct bed *bed, unsigned int granules)
{
	struct count all = { 0 }, last;

	mapcache_invalidate(bed->cache);
	for (unsigned int i = 0; i < granules; i++) {
		last = count(bed, i * GRANULE, 8);
		all.calls += last.calls;
		all.pages = last.calls ? last.pages : all.pages;
	}
	return all;
}

#define assert_dense_epoch(bed, granules, n_calls, n_pages)                                        \
	do {                                                                                       \
		struct count counted = dense_epoch(bed, granules);                                 \
		assert_int_equal(counted.calls, n_calls);                                          \
		assert_int_equal(counted.pages, n_pages);                                          \
	} while (0)

static void a_bucket_is_mapped_whole_when_its_calls_have_cost_as_much(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	bed_read(bed.client, 0);
	assert_dense_epoch(&bed, DENSE_CALLS, DENSE_CALLS, 4); /* not yet */
	assert_dense_epoch(&bed, DENSE_CALLS + 1, DENSE_CALLS + 1, 256);
	touch_granules(&bed, 64);
	assert_int_equal(bed_stats(&bed).mapped_whole, 1);
	assert_int_equal(bed_totals().splits_refused, 0);
	stop_timed(&bed);
}

/* How many of so many epochs, in each of which so many granules are used, took one call. */
static unsigned int epochs_of_one_call(struct bed *bed, unsigned int epochs, unsigned int granules,
				       uint64_t pages)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < epochs; i++) {
		struct count counted = dense_epoch(bed, granules);

		found += counted.calls == 1 && counted.pages == pages;
	}
	return found;
}

static void a_dense_bucket_is_mapped_whole_at_once_and_ever_more_seldom_probed(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_dense_epoch(&bed, 20, DENSE_CALLS + 1, 256);
	(void)epochs_of_one_call(&bed, 300, 20, 256);
	assert_in_range(epochs_of_one_call(&bed, 400, 20, 256), 380, 399);
	stop_timed(&bed);
}

static void a_bucket_that_is_dense_no_more_is_mapped_by_the_granule_again(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < 300; i++)
		(void)dense_epoch(&bed, 20);
	for (unsigned int i = 0; i < 400; i++)
		(void)dense_epoch(&bed, 1);
	assert_int_equal(epochs_of_one_call(&bed, 100, 1, 4), 100);
	/* What it once was does not count. */
	assert_dense_epoch(&bed, 20, DENSE_CALLS + 1, 256);
	assert_dense_epoch(&bed, 20, DENSE_CALLS + 1, 256);
	stop_timed(&bed);
}

/* ---- how it was used before ------------------------------------------------------------------ */

static void neighbours_that_were_used_are_mapped_by_one_call(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_dense_epoch(&bed, 4, 4, 4);
	(void)epochs_of_one_call(&bed, 300, 4, 16);
	assert_in_range(epochs_of_one_call(&bed, 400, 4, 16), 380, 399);
	/* Nothing is unmapped for it, but where single granules take the place of a run. */
	assert_in_range(bed_stats(&bed).unmap_calls, 0, 40);
	stop_timed(&bed);
}

static void a_bucket_that_was_reclaimed_is_mapped_as_it_was_used(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < 20; i++) {
		mapcache_invalidate(bed.cache);
		assert_int_equal(bed_reclaim(&bed), 0);
		assert_int_equal(bed_stats(&bed).buckets, 0);
		assert_maps(&bed, 5 * GRANULE, 8, 1, 4);
		assert_maps(&bed, 15 * GRANULE, 8, 1, 4);
	}
	/* And so it is when there has been no INVALIDATE for long. */
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_maps(&bed, BED_BUCKET, 8, 1, 4);
	fake.now += 2 * SECOND;
	assert_maps(&bed, 5 * GRANULE, 8, 1, 4);
	stop_timed(&bed);
}

/* A bucket of which nothing is known is worth mapping whole if that lasts. */
static void a_bucket_never_seen_is_mapped_by_the_granule_in_a_storm(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	bed_read(bed.client, 0);
	mapcache_invalidate(bed.cache);
	assert_maps(&bed, BED_BUCKET, 8, 1, 4);
	fake.now += SECOND / 2;
	assert_maps(&bed, 2 * BED_BUCKET, 8, 1, 4);
	fake.now += SECOND;
	assert_maps(&bed, 3 * BED_BUCKET, 8, 1, 256);
	stop_timed(&bed);
}

/* Nobody knows what was used of it: it does not count as used, reclaimed or not. */
static void what_was_mapped_whole_by_guess_is_not_taken_for_use(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	for (uint64_t bucket = 0; bucket < 4; bucket++)
		bed_read(bed.client, bucket * BED_BUCKET);
	for (unsigned int epoch = 0; epoch < 20; epoch++) {
		mapcache_invalidate(bed.cache);
		if (epoch == 0)
			assert_maps(&bed, 0, 8, 1, 4);
		assert_int_equal(bed_reclaim(&bed), 0);
		for (uint64_t bucket = 1; bucket < 4; bucket++)
			assert_maps(&bed, bucket * BED_BUCKET, 8, 1, 4);
	}
	stop_timed(&bed);
}

static void how_many_calls_make_a_bucket_dense_follows_what_they_cost(void **state)
{
	static const struct {
		uint64_t call, page; /* ns */
		unsigned int calls;
	} hosts[] = {
		{ 5000000, 1, 4 },   /* pages cost nothing: few */
		{ 100000, 1000, 3 }, /* fewer than it is worth looking for */
		{ 10000, 1000, 18 }, /* (10 + 256) / (10 + 4), and a little for the clock */
		{ 1, 100000, 32 },   /* each costs: many */
	};
	struct bed bed;

	(void)state;
	for (unsigned int i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		unsigned int calls = hosts[i].calls < 4 ? 4 : hosts[i].calls;

		start_timed(&bed);
		fake.call = hosts[i].call;
		fake.page = hosts[i].page;
		bed_read(bed.client, 0);
		assert_dense_epoch(&bed, 40, calls + 1, 256);
		stop_timed(&bed);
	}
}

/* One that could only be mapped for reading stays as it is. */
static void a_bucket_with_read_only_pages_is_not_mapped_whole_for_being_dense(void **state)
{
	struct bed bed;

	(void)state;
	start_timed(&bed);
	assert_true(xensim_p2m_set_type(bed.domain, 0, 256, XENSIM_DENIED) >= 0);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(dense_epoch(&bed, 20).pages == 4);
	assert_int_equal(bed_stats(&bed).mapped_whole, 0);
	stop_timed(&bed);
}

static void a_bucket_of_one_granule_is_always_mapped_whole(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 12,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD |
								   MAPCACHE_NO_BATCHES } });
	for (unsigned int i = 0; i < 4; i++) {
		for (uint64_t gfn = 0; gfn < 50; gfn++)
			assert_maps(&bed, gfn * BED_PAGE, BED_PAGE, 1, 1);
		mapcache_invalidate(bed.cache);
	}
	assert_int_equal(bed_error(bed.client, 4095, 2, PROT_READ), E2BIG);
	bed_stop(&bed);
}

static void past_the_budget_of_kernel_mappings_buckets_are_mapped_whole(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = 16 * 256,
					       .cache = { .max_vmas = 64,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD |
								   MAPCACHE_NO_BATCHES } });
	for (unsigned int epoch = 0; epoch < 20; epoch++) {
		for (uint64_t bucket = 0; bucket < 16; bucket++) {
			for (unsigned int i = 0; i < 14; i++)
				assert_int_equal(bed_read(bed.client,
							  bucket * BED_BUCKET + i * GRANULE),
						 bed_value(bucket * 256 + i * 4));
		}
		assert_in_range(bed_stats(&bed).vmas, 1, 64 + 28);
		mapcache_invalidate(bed.cache);
	}
	assert_true(bed_stats(&bed).mapped_whole > 0);
	bed_stop(&bed);
}

/* ---- several at once -------------------------------------------------------------------------- */

static bool three_wait(void *data)
{
	return bed_stats(data).waits >= 3;
}

static void a_bucket_that_many_want_is_mapped_once(void **state)
{
	struct peer_look looks[4];
	struct gate gate = GATE;
	struct peer peers[4];
	struct bed bed;

	(void)state;
	bed_start(&bed, SLOTS);
	gate_close(&gate, 0, false);
	for (unsigned int i = 0; i < 4; i++) {
		looks[i] = (struct peer_look){ .gpa = i * BED_PAGE };
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], peer_read, &looks[i]);
		if (i == 0)
			gate_wait(&gate, 1);
	}
	assert_true(eventually(three_wait, &bed));
	gate_open(&gate);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(peer_wait(&peers[i]), 0);
		assert_int_equal(looks[i].value, bed_value(i));
		peer_close(&peers[i]);
	}
	assert_int_equal(bed_stats(&bed).map_calls, 1);
	bed_stop(&bed);
}

static void who_waited_for_a_map_call_that_failed_tries_itself(void **state)
{
	struct peer_look looks[4];
	struct gate gate = GATE;
	struct peer peers[4];
	unsigned int failed = 0;
	struct bed bed;

	(void)state;
	bed_start(&bed, SLOTS);
	gate_close(&gate, 0, false);
	for (unsigned int i = 0; i < 4; i++) {
		looks[i] = (struct peer_look){ .gpa = i * BED_PAGE, .prot = BOTH };
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], peer_read, &looks[i]);
		if (i == 0)
			gate_wait(&gate, 1);
	}
	assert_true(eventually(three_wait, &bed));
	xensim_fail(XENSIM_CALL_MAP, 1, EIO);
	gate_open(&gate);
	for (unsigned int i = 0; i < 4; i++) {
		int error = peer_wait(&peers[i]);

		assert_true(error == 0 || error == -EIO);
		failed += error != 0;
		if (error == 0)
			assert_int_equal(looks[i].value, bed_value(i));
		peer_close(&peers[i]);
	}
	assert_int_equal(failed, 1);
	assert_int_equal(bed_stats(&bed).map_calls, 2);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_never_seen_is_mapped_whole_by_one_call),
		cmocka_unit_test(after_an_invalidation_only_what_is_asked_for_is_mapped),
		cmocka_unit_test(a_slot_with_little_in_it_is_refreshed_in_place),
		cmocka_unit_test(overlapping_ranges_of_several_epochs_never_split_a_mapping),
		cmocka_unit_test(a_bucket_is_mapped_whole_when_its_calls_have_cost_as_much),
		cmocka_unit_test(
			a_dense_bucket_is_mapped_whole_at_once_and_ever_more_seldom_probed),
		cmocka_unit_test(neighbours_that_were_used_are_mapped_by_one_call),
		cmocka_unit_test(a_bucket_that_was_reclaimed_is_mapped_as_it_was_used),
		cmocka_unit_test(a_bucket_never_seen_is_mapped_by_the_granule_in_a_storm),
		cmocka_unit_test(what_was_mapped_whole_by_guess_is_not_taken_for_use),
		cmocka_unit_test(a_bucket_that_is_dense_no_more_is_mapped_by_the_granule_again),
		cmocka_unit_test(how_many_calls_make_a_bucket_dense_follows_what_they_cost),
		cmocka_unit_test(a_bucket_with_read_only_pages_is_not_mapped_whole_for_being_dense),
		cmocka_unit_test(a_bucket_of_one_granule_is_always_mapped_whole),
		cmocka_unit_test(past_the_budget_of_kernel_mappings_buckets_are_mapped_whole),
		cmocka_unit_test(a_bucket_that_many_want_is_mapped_once),
		cmocka_unit_test(who_waited_for_a_map_call_that_failed_tries_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
