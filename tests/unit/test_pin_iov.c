/* SPDX-License-Identifier: MIT */
/* Pins of several segments: they cover the range, and there are all of them or none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define BOTH (PROT_READ | PROT_WRITE)

static void segments_cover_the_range_and_are_unpinned_by_their_bases(void **state)
{
	struct iovec iov[5];
	struct bed bed;
	uint64_t gpa = 4096 - 8, at = gpa;
	int n;

	(void)state;
	bed_start(&bed, BED_QUIET);
	n = mapcache_pin_iov(bed.client, gpa, 3 * BED_BUCKET, BOTH, iov, 5);
	assert_int_equal(n, 4);
	for (int i = 0; i < n; i++) {
		uint64_t found;

		assert_int_equal(mapcache_gpa(bed.cache, iov[i].iov_base, &found), 0);
		assert_int_equal(found, at);
		at += iov[i].iov_len;
	}
	assert_int_equal(at, gpa + 3 * BED_BUCKET);
	for (int i = 0; i < n; i++)
		assert_int_equal(mapcache_unpin(bed.cache, iov[i].iov_base, 0), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(mapcache_unpin(bed.cache, iov[i].iov_base, 0), -EINVAL);
	assert_int_equal(mapcache_pin_iov(bed.client, 8, 8, PROT_READ, iov, 1), 1);
	assert_int_equal(iov[0].iov_len, 8);
	assert_int_equal(mapcache_unpin(bed.cache, iov[0].iov_base, 0), 0);
	bed_stop(&bed);
}

static void segments_are_pinned_all_or_none(void **state)
{
	struct iovec iov[64];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 3 * BED_BUCKET, BOTH, iov, 2), -EMSGSIZE);
	assert_null(iov[0].iov_base);
	assert_int_equal(iov[0].iov_len, 3);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 8, BOTH, iov, 0), -EMSGSIZE);
	/* The guest ends after four buckets. */
	assert_int_equal(mapcache_pin_iov(bed.client, BED_BUCKET, 4 * BED_BUCKET, BOTH, iov, 8),
			 -EFAULT);
	bed_remove(&bed, 300);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 2 * BED_BUCKET, BOTH, iov, 1), -EMSGSIZE);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 2 * BED_BUCKET, BOTH, iov, 64), -EFAULT);
	assert_int_equal(mapcache_pin_iov(bed.client, 299 * BED_PAGE, 2 * BED_PAGE, BOTH, iov, 8),
			 -EFAULT);
	assert_int_equal(mapcache_pin_iov(NULL, 0, 8, BOTH, iov, 8), -EINVAL);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 8, BOTH, NULL, 8), -EINVAL);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 0, BOTH, iov, 8), -EINVAL);
	assert_int_equal(mapcache_pin_iov(bed.client, 3 * BED_BUCKET, 8, 0, iov, 8), -EINVAL);
	/* No pin was left by any of them. */
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, 3, 0, MAPCACHE_DRAIN_PINS), 0);
	assert_int_equal(bed_reclaim(&bed), 0);
	bed_stop(&bed);
}

static void what_it_takes_is_said_and_enough(void **state)
{
	static const struct {
		uint64_t gpa, len;
		size_t takes;
	} ranges[] = {
		{ 0, 1, 1 },
		{ BED_BUCKET - 1, 1, 1 },
		{ BED_BUCKET - 1, 2, 2 },
		{ 0, 3 * BED_BUCKET, 3 },
		{ 5, 3 * BED_BUCKET, 4 },
		{ BED_BUCKET + 4095, BED_BUCKET, 2 },
	};
	struct iovec iov[8];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		uint64_t gpa = ranges[i].gpa;
		size_t len = (size_t)ranges[i].len;
		int takes = (int)ranges[i].takes;

		assert_int_equal(mapcache_pin_iov(bed.client, gpa, len, BOTH, iov, takes), takes);
		assert_int_equal(mapcache_unpin_iov(bed.cache, iov, takes, 0), 0);
		if (takes == 1)
			continue;
		assert_int_equal(mapcache_pin_iov(bed.client, gpa, len, BOTH, iov, takes - 1),
				 -EMSGSIZE);
		assert_int_equal(iov[0].iov_len, takes);
	}
	assert_int_equal(mapcache_drain(bed.cache, mapcache_invalidate(bed.cache), 0,
					MAPCACHE_DRAIN_PINS),
			 0);
	bed_stop(&bed);
}

static void many_segments_are_given_up_by_one_call_and_one_report(void **state)
{
	const size_t len = 3 * BED_BUCKET;
	struct iovec iov[4];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	for (unsigned int way = 0; way < 3; way++) {
		uint64_t calls = bed_stats(&bed).modified_calls;

		xensim_dirty_clear(bed.domain);
		assert_int_equal(mapcache_pin_iov(bed.client, 100, len, BOTH, iov, 4), 4);
		if (way == 0)
			assert_int_equal(
				mapcache_unpin_iov(bed.cache, iov, 4, BED_BUCKET + BED_PAGE), 0);
		if (way == 2)
			mapcache_begin(bed.client);
		if (way)
			assert_int_equal(mapcache_client_unpin_iov(bed.client, iov, 4,
								   BED_BUCKET + BED_PAGE),
					 0);
		if (way == 2)
			assert_int_equal(mapcache_end(bed.client), 0);
		/* From byte 100 on. */
		assert_int_equal(xensim_dirty_pages(bed.domain), 258);
		assert_true(xensim_dirty(bed.domain, 0) && xensim_dirty(bed.domain, 257));
		assert_int_equal(bed_stats(&bed).modified_calls, calls + 1);
		assert_int_equal(mapcache_unpin_iov(bed.cache, iov, 4, 0), -EINVAL);
	}
	bed_stop(&bed);
}

static void what_can_be_given_up_is_whatever_is_returned(void **state)
{
	struct iovec iov[4], own = { &own, 8 };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 3 * BED_BUCKET, BOTH, iov, 4), 3);
	iov[3] = iov[1];
	iov[1] = own;
	assert_int_equal(mapcache_unpin_iov(bed.cache, iov, 3, SIZE_MAX), -EINVAL);
	assert_int_equal(mapcache_drain(bed.cache, mapcache_invalidate(bed.cache), 0,
					MAPCACHE_DRAIN_PINS),
			 -ETIMEDOUT);
	assert_int_equal(mapcache_client_unpin_iov(bed.client, iov + 3, 1, SIZE_MAX), 0);
	assert_int_equal(
		mapcache_drain(bed.cache, mapcache_epoch(bed.cache), 0, MAPCACHE_DRAIN_PINS), 0);
	assert_int_equal(mapcache_client_unpin_iov(bed.client, &own, 1, 0), -EINVAL);
	assert_int_equal(mapcache_unpin_iov(NULL, iov, 1, 0), -EINVAL);
	assert_int_equal(mapcache_unpin_iov(bed.cache, NULL, 1, 0), -EINVAL);
	assert_int_equal(mapcache_unpin_iov(bed.cache, iov, -1, 0), -EINVAL);
	assert_int_equal(mapcache_client_unpin_iov(NULL, iov, 1, 0), -EINVAL);
	assert_int_equal(mapcache_client_unpin_iov(bed.client, NULL, 1, 0), -EINVAL);
	assert_int_equal(mapcache_unpin_iov(bed.cache, iov, 0, 0), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_cover_the_range_and_are_unpinned_by_their_bases),
		cmocka_unit_test(segments_are_pinned_all_or_none),
		cmocka_unit_test(what_it_takes_is_said_and_enough),
		cmocka_unit_test(many_segments_are_given_up_by_one_call_and_one_report),
		cmocka_unit_test(what_can_be_given_up_is_whatever_is_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
