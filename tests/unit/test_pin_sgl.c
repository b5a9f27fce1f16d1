/* SPDX-License-Identifier: MIT */
/* Vectored pins: the ranges of one request, whatever is missing of them mapped by one call. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define SHIFT 16
#define BUCKET (UINT64_C(1) << SHIFT)
#define RANGES 16
#define RW (PROT_READ | PROT_WRITE)

static const struct rig_options small = {
	.cache = { .bucket_shift = SHIFT, .flags = MAPCACHE_NO_RECLAIM_THREAD },
	.ram_pages = 64 * BUCKET / BED_PAGE,
};

/* A page of each of some buckets, in no order. */
static void scatter(struct mapcache_range *ranges)
{
	for (uint64_t i = 0; i < RANGES; i++)
		ranges[i] = (struct mapcache_range){
			.gpa = (1 + i * 7 % RANGES) * 2 * BUCKET + i * 5 % 16 * BED_PAGE,
			.len = BED_PAGE,
		};
}

static void check(struct bed *bed, const struct mapcache_range *ranges, const struct iovec *iov,
		  int count)
{
	uint64_t gpa;

	for (int i = 0; i < count; i++) {
		assert_int_equal(iov[i].iov_len, ranges[i].len);
		assert_int_equal(*(volatile uint64_t *)iov[i].iov_base,
				 bed_value(ranges[i].gpa / BED_PAGE));
		assert_int_equal(mapcache_gpa(bed->cache, (char *)iov[i].iov_base + 9, &gpa), 0);
		assert_int_equal(gpa, ranges[i].gpa + 9);
	}
}

static void release(struct bed *bed, const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(mapcache_client_unpin(bed->client, iov[i].iov_base, 0), 0);
}

static uint64_t pin_all(struct bed *bed, const struct mapcache_range *ranges)
{
	uint64_t calls = bed_totals().map_calls;
	struct iovec iov[RANGES];

	assert_int_equal(mapcache_pin_sgl(bed->client, ranges, RANGES, RW, iov, RANGES), RANGES);
	calls = bed_totals().map_calls - calls;
	check(bed, ranges, iov, RANGES);
	release(bed, iov, RANGES);
	return calls;
}

static void scattered_pages_are_mapped_by_one_call_after_an_invalidation(void **state)
{
	struct mapcache_range ranges[RANGES];
	struct bed bed;

	(void)state;
	scatter(ranges);
	bed_start(&bed, &small);
	for (unsigned int i = 0; i < RANGES; i++)
		(void)bed_read(bed.client, ranges[i].gpa);
	assert_int_equal(pin_all(&bed, ranges), 0);
	for (unsigned int round = 0; round < 5; round++) {
		mapcache_invalidate(bed.cache);
		assert_int_equal(pin_all(&bed, ranges), 1);
	}
	/* What is used again is mapped to stay. */
	assert_int_equal(pin_all(&bed, ranges), RANGES);
	assert_int_equal(pin_all(&bed, ranges), 0);
	bed_reclaim(&bed);
	assert_int_equal(bed_stats(&bed).spans, 0);
	bed_stop(&bed);
}

/* Some are mapped, some not, some across the end of a bucket, some not from a page's beginning. */
static void segments_are_in_the_order_of_their_ranges(void **state)
{
	const struct mapcache_range ranges[] = {
		{ 9 * BUCKET + 16, 100 }, { 2 * BUCKET - BED_PAGE, 2 * BED_PAGE },
		{ 3 * BUCKET, BED_PAGE }, { 20 * BUCKET + 3 * BED_PAGE + 8, 2 * BED_PAGE },
		{ 9 * BUCKET + 16, 100 },
	};
	static const uint64_t at[] = {
		9 * BUCKET + 16, 2 * BUCKET - BED_PAGE,          2 * BUCKET,
		3 * BUCKET,      20 * BUCKET + 3 * BED_PAGE + 8, 9 * BUCKET + 16
	};
	struct iovec iov[6];
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, &small);
	(void)bed_read(bed.client, 3 * BUCKET);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 5, PROT_READ, iov, 6), 6);
	for (unsigned int i = 0; i < 6; i++) {
		for (uint64_t offset = 0; offset < iov[i].iov_len; offset++) {
			assert_int_equal(
				mapcache_gpa(bed.cache, (char *)iov[i].iov_base + offset, &gpa), 0);
			assert_int_equal(gpa, at[i] + offset);
		}
	}
	assert_int_equal(*(uint64_t *)((char *)iov[4].iov_base + BED_PAGE - 8),
			 bed_value((20 * BUCKET) / BED_PAGE + 4));
	release(&bed, iov, 6);
	bed_stop(&bed);
}

static void C_stale_segments_serve_their_pinner_only(void **state)
{
	struct mapcache_range ranges[RANGES];
	struct iovec old[RANGES], fresh[RANGES];
	struct bed bed;
	uint64_t epoch;

	(void)state;
	scatter(ranges);
	bed_start(&bed, &small);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, RANGES, RW, old, RANGES), RANGES);
	bed_exchange(&bed, ranges[3].gpa / BED_PAGE, 3);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, RANGES, RW, fresh, RANGES), RANGES);
	check(&bed, ranges, old, RANGES);
	assert_int_equal(*(uint64_t *)fresh[3].iov_base, 3);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	release(&bed, old, RANGES);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), 0);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().pages_held, 0);
	release(&bed, fresh, RANGES);
	bed_stop(&bed);
}

static void all_or_nothing_is_pinned(void **state)
{
	struct mapcache_range ranges[RANGES];
	struct iovec iov[RANGES];
	struct bed bed;

	(void)state;
	scatter(ranges);
	bed_start(&bed, &small);
	bed_remove(&bed, ranges[9].gpa / BED_PAGE);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, RANGES, RW, iov, RANGES), -EFAULT);
	bed_populate(&bed, ranges[9].gpa / BED_PAGE, bed_value(ranges[9].gpa / BED_PAGE));
	assert_int_equal(
		xensim_p2m_set_type(bed.domain, ranges[5].gpa / BED_PAGE, 1, XENSIM_DENIED), 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, RANGES, RW, iov, RANGES), -EACCES);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, RANGES, PROT_READ, iov, RANGES - 1),
			 -EMSGSIZE);
	bed_reclaim(&bed);
	assert_int_equal(bed_stats(&bed).spans, 0);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, RANGES, PROT_READ, iov, RANGES),
			 RANGES);
	check(&bed, ranges, iov, RANGES);
	release(&bed, iov, RANGES);
	bed_stop(&bed);
}

static void bad_lists_are_refused(void **state)
{
	struct mapcache_range ranges[2] = { { 0, BED_PAGE }, { BUCKET, BED_PAGE } };
	struct iovec iov[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, &small);
	assert_int_equal(mapcache_pin_sgl(NULL, ranges, 2, RW, iov, 2), -EINVAL);
	assert_int_equal(mapcache_pin_sgl(bed.client, NULL, 2, RW, iov, 2), -EINVAL);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 0, RW, iov, 2), -EINVAL);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, RW, NULL, 2), -EINVAL);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, RW, iov, -1), -EINVAL);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, 0, iov, 2), -EINVAL);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, PROT_EXEC, iov, 2), -EINVAL);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, RW, iov, 0), -EMSGSIZE);
	ranges[1].len = 0;
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, RW, iov, 2), -EINVAL);
	ranges[1].len = UINT64_MAX;
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, RW, iov, 2), -ERANGE);
	ranges[1] = (struct mapcache_range){ UINT64_MAX - 5, 3 };
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 2, RW, iov, 2), -ERANGE);
	bed_stop(&bed);
}

/* Each frame that was written, and no other. */
static void what_is_written_through_segments_is_reported(void **state)
{
	struct mapcache_range ranges[RANGES];
	struct iovec iov[RANGES];
	struct bed bed;

	(void)state;
	scatter(ranges);
	bed_start(&bed, &small);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, RANGES, RW, iov, RANGES), RANGES);
	for (int i = 0; i < RANGES; i++) {
		*(uint64_t *)iov[i].iov_base = (uint64_t)i;
		assert_int_equal(mapcache_client_unpin(bed.client, iov[i].iov_base,
						       i % 2 ? BED_PAGE : 0),
				 0);
		assert_int_equal(bed_guest(&bed, ranges[i].gpa), i);
		assert_int_equal(xensim_dirty(bed.domain, ranges[i].gpa / BED_PAGE), i % 2);
	}
	assert_int_equal(xensim_dirty_pages(bed.domain), RANGES / 2);
	bed_stop(&bed);
}

/* Where one call cannot show them, there are more. */
static void other_backends_and_placeholders_take_more_calls(void **state)
{
	struct mapcache_backend backend = spy_backend;
	struct mapcache_range ranges[RANGES];
	struct spy spy = { .before = NULL };
	struct rig_options options = small;
	struct bed bed;

	(void)state;
	scatter(ranges);
	backend.size = offsetof(struct mapcache_backend, map_frames);
	options.cache.backend = &backend;
	options.cache.backend_data = &spy;
	bed_start(&bed, &options);
	assert_int_equal(pin_all(&bed, ranges), RANGES);
	assert_int_equal(pin_all(&bed, ranges), 0);
	bed_stop(&bed);
	bed_start(&bed, &small);
	assert_int_equal(mapcache_placeholder(bed.cache, UINT64_C(1) << 30, BUCKET), 0);
	assert_int_equal(pin_all(&bed, ranges), RANGES);
	bed_stop(&bed);
}

/* A slot has the pages of a bucket. */
static void more_than_a_bucket_takes_more_calls(void **state)
{
	struct mapcache_range ranges[3];
	struct iovec iov[3];
	struct bed bed;

	(void)state;
	bed_start(&bed, &small);
	for (uint64_t i = 0; i < 3; i++)
		ranges[i] = (struct mapcache_range){ (5 + 3 * i) * BUCKET + 2 * BED_PAGE,
						     BUCKET / 2 - BED_PAGE };
	assert_int_equal(mapcache_pin_sgl(bed.client, ranges, 3, RW, iov, 3), 3);
	assert_int_equal(bed_totals().map_calls, 2);
	check(&bed, ranges, iov, 3);
	release(&bed, iov, 3);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scattered_pages_are_mapped_by_one_call_after_an_invalidation),
		cmocka_unit_test(segments_are_in_the_order_of_their_ranges),
		cmocka_unit_test(C_stale_segments_serve_their_pinner_only),
		cmocka_unit_test(all_or_nothing_is_pinned),
		cmocka_unit_test(bad_lists_are_refused),
		cmocka_unit_test(what_is_written_through_segments_is_reported),
		cmocka_unit_test(other_backends_and_placeholders_take_more_calls),
		cmocka_unit_test(more_than_a_bucket_takes_more_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
