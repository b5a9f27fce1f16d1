/* SPDX-License-Identifier: MIT */
/* mapcache_invalidate_range(), and epochs as callers see them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/gate.h>
#include <tests/support/peer.h>

#define SHIFT 16
#define PAGES 16u /* of a bucket */
#define BUCKETS 64u

#define SMALL                                                                                      \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.ram_pages = BUCKETS * PAGES,                                                      \
		.cache = { .bucket_shift = SHIFT, .flags = MAPCACHE_NO_RECLAIM_THREAD },           \
	}

static void look_at_all(struct bed *bed)
{
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		bed_read(bed->client, bucket << SHIFT);
}

/* Changes the first page of every bucket, and which of them a look-up finds changed. */
static uint64_t seen_after_range(struct bed *bed, uint64_t gpa, uint64_t len)
{
	static uint64_t value = 1;
	uint64_t seen = 0;

	look_at_all(bed);
	value++;
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		bed_exchange(bed, bucket * PAGES, value);
	assert_int_equal(mapcache_invalidate_range(bed->cache, gpa, len), 0);
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		seen |= (uint64_t)(bed_read(bed->other, bucket << SHIFT) == value) << bucket;
	mapcache_invalidate(bed->cache);
	return seen;
}

static void a_range_invalidates_the_buckets_that_it_touches_and_no_other(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, SMALL);
	assert_int_equal(seen_after_range(&bed, 0, 1), 1);
	assert_int_equal(seen_after_range(&bed, 5 << SHIFT, 1 << SHIFT), 1 << 5);
	assert_int_equal(seen_after_range(&bed, (6 << SHIFT) - 1, 2), 3 << 5);
	assert_int_equal(seen_after_range(&bed, (6 << SHIFT) + 1, (1 << SHIFT)), 3 << 6);
	assert_int_equal(seen_after_range(&bed, 3 << SHIFT, 7 << SHIFT), 0x7f << 3);
	assert_int_equal(seen_after_range(&bed, 63 << SHIFT, 1), UINT64_C(1) << 63);
	assert_int_equal(seen_after_range(&bed, 64 << SHIFT, 1 << SHIFT), 0);
	/* More buckets than are mapped: by another way. */
	assert_int_equal(seen_after_range(&bed, 0, UINT64_C(1) << 40), UINT64_MAX);
	assert_int_equal(seen_after_range(&bed, 60 << SHIFT, UINT64_C(1) << 40), UINT64_C(0xf)
											 << 60);
	assert_int_equal(seen_after_range(&bed, 0, UINT64_MAX), UINT64_MAX);
	bed_stop(&bed);
}

static void ranges_past_the_guest_are_no_error_and_ranges_that_wrap_are(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, SMALL);
	look_at_all(&bed);
	assert_int_equal(mapcache_invalidate_range(NULL, 0, 1), -EINVAL);
	assert_int_equal(mapcache_invalidate_range(bed.cache, 0, 0), -EINVAL);
	assert_int_equal(mapcache_invalidate_range(bed.cache, UINT64_C(1) << 50, 4096), 0);
	assert_int_equal(mapcache_invalidate_range(bed.cache, UINT64_MAX, 1), 0);
	assert_int_equal(mapcache_invalidate_range(bed.cache, UINT64_MAX, 2), -ERANGE);
	assert_int_equal(mapcache_invalidate_range(bed.cache, 1, UINT64_MAX), 0);
	assert_int_equal(mapcache_invalidate_range(bed.cache, 2, UINT64_MAX), -ERANGE);
	assert_int_equal(bed_stats(&bed).range_invalidates, 3);
	assert_int_equal(mapcache_epoch(bed.cache), 1);
	bed_stop(&bed);
}

/* Also the mapping that is being made: its maker gets it, and nobody else. */
static void a_range_reaches_what_is_being_mapped(void **state)
{
	struct peer_look look = { .gpa = 0 };
	struct gate gate = GATE;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, SMALL);
	peer_open(&peer, bed.cache);
	for (unsigned int stale = 0; stale < 2; stale++) {
		gate_close(&gate, 0, true);
		peer_start(&peer, peer_read, &look);
		gate_wait(&gate, 1);
		bed_exchange(&bed, 0, stale + 1);
		if (stale)
			assert_int_equal(mapcache_invalidate_range(bed.cache, 0, UINT64_MAX), 0);
		else
			assert_int_equal(mapcache_invalidate_range(bed.cache, 0, 1), 0);
		gate_open(&gate);
		assert_int_equal(peer_wait(&peer), 0);
		assert_int_equal(look.value, stale ? 1 : bed_value(0));
		assert_int_equal(bed_read(bed.client, 0), stale + 1);
		mapcache_invalidate(bed.cache);
	}
	peer_close(&peer);
	bed_stop(&bed);
}

/* A range invalidated while its bucket cannot even be mapped leaves nothing behind. */
static void a_range_during_a_map_call_that_fails_leaves_nothing(void **state)
{
	struct peer_look look = { .gpa = 0, .prot = PROT_READ | PROT_WRITE };
	struct gate gate = GATE;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, SMALL);
	peer_open(&peer, bed.cache);
	for (unsigned int stale = 0; stale < 3; stale++) {
		gate_close(&gate, 0, false);
		peer_start(&peer, peer_read, &look);
		gate_wait(&gate, 1);
		assert_int_equal(mapcache_invalidate_range(bed.cache, 0, 1), 0);
		xensim_fail(XENSIM_CALL_MAP, 1, ENOMEM);
		gate_open(&gate);
		assert_int_equal(peer_wait(&peer), -ENOMEM);
		assert_int_equal(bed_stats(&bed).buckets, 0);
		bed_read(bed.client, 0);
		mapcache_invalidate(bed.cache);
		if (stale)
			bed_read(bed.client, 0);
		if (stale)
			mapcache_invalidate(bed.cache);
	}
	peer_close(&peer);
	bed_stop(&bed);
}

#define ROUNDS 5000u

static int invalidate_often(struct peer *peer, void *data)
{
	uint64_t *highest = data, last = 0;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t epoch = mapcache_invalidate(peer->cache);

		if (epoch <= last || mapcache_epoch(peer->cache) < epoch)
			return -EINVAL;
		last = epoch;
	}
	*highest = last;
	return 0;
}

static void every_invalidation_has_an_epoch_of_its_own(void **state)
{
	uint64_t highest[2];
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, SMALL);
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], invalidate_often, &highest[i]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(peer_wait(&peers[i]), 0);
		peer_close(&peers[i]);
	}
	assert_int_equal(mapcache_epoch(bed.cache), 1 + 2 * ROUNDS);
	assert_true(highest[0] == 1 + 2 * ROUNDS || highest[1] == 1 + 2 * ROUNDS);
	assert_int_not_equal(highest[0], highest[1]);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_invalidates_the_buckets_that_it_touches_and_no_other),
		cmocka_unit_test(ranges_past_the_guest_are_no_error_and_ranges_that_wrap_are),
		cmocka_unit_test(a_range_reaches_what_is_being_mapped),
		cmocka_unit_test(a_range_during_a_map_call_that_fails_leaves_nothing),
		cmocka_unit_test(every_invalidation_has_an_epoch_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
