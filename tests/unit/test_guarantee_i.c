/* SPDX-License-Identifier: MIT */
/*
 * Guarantee I: every handle is opened in mapcache_open(), so that the caller can restrict them
 * afterwards; no address, length or count from a guest is used before it is checked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <xentoolcore.h>

#include <tests/support/bed.h>
#include <tests/support/spy.h>

#define LIMIT (UINT64_C(1) << (sizeof(void *) == 4 ? 36 : 46)) /* the default guest_limit */

/* Everything there is, once. */
static void use_everything(struct bed *bed)
{
	struct mapcache_client *client;
	struct iovec iov[4];
	char buffer[8192];
	int n;

	assert_int_equal(mapcache_client_open(bed->cache, &client), 0);
	assert_int_equal(bed_read(client, 0), bed_value(0));
	mapcache_invalidate(bed->cache);
	assert_int_equal(mapcache_read(client, BED_BUCKET - 4096, buffer, 8192), 8192);
	assert_int_equal(mapcache_write(client, BED_BUCKET - 4096, buffer, 8192), 8192);
	n = mapcache_pin_iov(client, 0, 2 * BED_BUCKET, PROT_READ, iov, 4);
	assert_int_equal(n, 2);
	while (n-- > 0)
		assert_int_equal(mapcache_unpin(bed->cache, iov[n].iov_base, 0), 0);
	assert_int_equal(mapcache_invalidate_range(bed->cache, 0, UINT64_MAX), 0);
	assert_int_equal(bed_error(client, LIMIT / 64, 8, PROT_READ), EFAULT);
	assert_int_equal(mapcache_client_close(client), 0);
	bed_reclaim(bed);
}

static void no_handle_is_opened_after_open(void **state)
{
	struct bed bed;
	uint64_t handles;

	(void)state;
	bed_start(&bed, BED_QUIET);
	handles = bed_totals().handles_open;
	assert_true(handles >= 1);
	xensim_fail(XENSIM_CALL_OPEN, 1, EMFILE);
	use_everything(&bed);
	assert_int_equal(bed_totals().handles_open, handles);
	xensim_fail(XENSIM_CALL_OPEN, 0, 0);
	bed_stop(&bed);
}

static void a_cache_restricted_to_its_domain_goes_on(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	assert_int_equal(xentoolcore_restrict_all((domid_t)bed.rig.domid), 0);
	use_everything(&bed);
	bed_stop(&bed);
}

static void the_backend_is_asked_for_this_domain_and_once(void **state)
{
	struct spy spy = { .data = NULL };
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .backend = &spy_backend,
							  .backend_data = &spy,
							  .bucket_shift = RIG_BUCKET_SHIFT } });
	use_everything(&bed);
	assert_int_equal(spy.domid, bed.rig.domid);
	assert_int_equal(spy.opens, 1);
	bed_stop(&bed);
	assert_int_equal(spy.opens, 1);
	assert_int_equal(spy.closes, 1);
}

/* ---- numbers from a guest ---------------------------------------------------------------- */

struct range {
	uint64_t gpa;
	size_t len;
};

/* None of these is all below the limit. */
static const struct range outside[] = {
	{ UINT64_MAX, 1 },
	{ UINT64_MAX, SIZE_MAX },
	{ UINT64_MAX - 7, 8 },
	{ UINT64_MAX - 7, 9 },
	{ UINT64_MAX - 4095, 8192 },
	{ UINT64_C(1) << 63, SIZE_MAX / 2 + 1 },
	{ LIMIT, 1 },
	{ LIMIT - 1, 2 },
	{ LIMIT - 8, SIZE_MAX },
	{ LIMIT << 1, 8 },
	{ UINT64_C(0xfffffffff0000000), 0x10000000 },
};

#define OUTSIDE (sizeof(outside) / sizeof(*outside))

static void addresses_and_lengths_out_of_range_are_refused_by_every_call(void **state)
{
	struct iovec iov[4];
	char buffer[16];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < OUTSIDE; i++) {
		struct range range = outside[i];
		uint64_t calls = bed_stats(&bed).map_calls;
		size_t len = range.len;

		assert_int_equal(bed_error(bed.client, range.gpa, range.len, PROT_READ), ERANGE);
		assert_true(mapcache_pin_iov(bed.client, range.gpa, range.len, PROT_READ, iov, 4) <
			    0);
		if (range.gpa < LIMIT)
			continue;
		assert_null(mapcache_pin(bed.client, range.gpa, &len, PROT_READ, 0));
		assert_int_equal(errno, ERANGE);
		assert_int_equal(len, range.len);
		assert_int_equal(mapcache_read(bed.client, range.gpa, buffer, 16), -ERANGE);
		assert_int_equal(mapcache_write(bed.client, range.gpa, buffer, 16), -ERANGE);
		assert_int_equal(bed_stats(&bed).map_calls, calls);
	}
	bed_stop(&bed);
}

static void a_length_that_wraps_reaches_no_byte(void **state)
{
	/* The most bytes that there are in a 32-bit process do not leave the guest. */
	const int too_long = SIZE_MAX == UINT32_MAX ? -EMSGSIZE : -ERANGE;
	char buffer[16] = "untouched";
	struct iovec iov[4];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	assert_int_equal(mapcache_read(bed.client, 0, buffer, SIZE_MAX), -EINVAL);
	assert_int_equal(mapcache_write(bed.client, 0, buffer, SIZE_MAX), -EINVAL);
	assert_int_equal(mapcache_read(bed.client, 4096, buffer, (size_t)-4096), -EINVAL);
	assert_string_equal(buffer, "untouched");
	assert_int_equal(mapcache_pin_iov(bed.client, 4096, (size_t)-4096, PROT_READ, iov, 4),
			 too_long);
	assert_int_equal(mapcache_pin_iov(bed.client, 4096, SIZE_MAX, PROT_READ, iov, 4), too_long);
	assert_int_equal(mapcache_pin_iov(bed.client, 0, 4096, PROT_READ, iov, -1), -EINVAL);
	assert_int_equal(mapcache_invalidate_range(bed.cache, 4096, UINT64_MAX), -ERANGE);
	assert_int_equal(mapcache_invalidate_range(bed.cache, UINT64_MAX, 2), -ERANGE);
	assert_int_equal(mapcache_invalidate_range(bed.cache, UINT64_MAX, 1), 0);
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	bed_stop(&bed);
}

/* On a bucket that is mapped, so that the fast path is asked, too. */
static void a_range_that_leaves_its_bucket_is_refused_however_long(void **state)
{
	static const size_t lengths[] = { BED_BUCKET, BED_BUCKET + 1, SIZE_MAX / 2, SIZE_MAX - 1,
					  SIZE_MAX };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	assert_int_equal(bed_error(bed.client, 0, BED_BUCKET, PROT_READ), 0);
	assert_int_equal(bed_error(bed.client, BED_BUCKET - 1, 1, PROT_READ), 0);
	assert_int_equal(bed_error(bed.client, BED_BUCKET - 1, 2, PROT_READ), E2BIG);
	assert_int_equal(bed_error(bed.client, 1, BED_BUCKET, PROT_READ), E2BIG);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		int error = bed_error(bed.client, 8, lengths[i], PROT_READ);

		assert_int_equal(error, lengths[i] > LIMIT ? ERANGE : E2BIG);
	}
	assert_int_equal(bed_error(bed.client, 0, 0, PROT_READ), EINVAL);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_handle_is_opened_after_open),
		cmocka_unit_test(a_cache_restricted_to_its_domain_goes_on),
		cmocka_unit_test(the_backend_is_asked_for_this_domain_and_once),
		cmocka_unit_test(addresses_and_lengths_out_of_range_are_refused_by_every_call),
		cmocka_unit_test(a_length_that_wraps_reaches_no_byte),
		cmocka_unit_test(a_range_that_leaves_its_bucket_is_refused_however_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
