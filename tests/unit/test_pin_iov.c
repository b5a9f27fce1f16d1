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
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 8, BOTH, iov, 0), -EMSGSIZE);
	/* The guest ends after four buckets. */
	assert_int_equal(mapcache_pin_iov(bed.client, BED_BUCKET, 4 * BED_BUCKET, BOTH, iov, 8),
			 -EFAULT);
	bed_remove(&bed, 300);
	mapcache_invalidate(bed.cache);
	/* Up to the hole a segment may be as short as a page. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_cover_the_range_and_are_unpinned_by_their_bases),
		cmocka_unit_test(segments_are_pinned_all_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
