/* SPDX-License-Identifier: MIT */
/*
 * Guarantee G: no lock is held across a backend call. A map that hangs hangs its caller and
 * those who wait for the same bucket, nobody else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/gate.h>
#include <tests/support/locks.h>
#include <tests/support/peer.h>
#include <tests/support/spy.h>

static void start_spied(struct bed *bed, struct spy *spy, uint32_t bucket_shift, uint64_t max_bytes)
{
	struct rig_options options = { .cache = { .bucket_shift = bucket_shift,
						  .max_bytes = max_bytes,
						  .stripes = 4,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .backend = &spy_backend,
						  .backend_data = spy } };

	bed_start(bed, &options);
	spy->data = bed->cache;
}

/* ---- nothing is locked ------------------------------------------------------------------ */

static unsigned int held;

static int count_locks(struct spy *spy, const struct spy_call *call)
{
	(void)call;
	if (spy->data)
		held += locks_held(spy->data);
	return 0;
}

/* One thread, so that a lock that is held is held by the one that calls. */
static void no_lock_is_held_across_any_backend_call(void **state)
{
	struct spy spy = { .before = count_locks };
	struct bed bed;

	(void)state;
	held = 0;
	start_spied(&bed, &spy, 16, 6 << 16);
	locks_take(bed.cache);
	assert_true(locks_held(bed.cache) > 4);
	locks_drop(bed.cache);
	for (unsigned int i = 0; i < 400; i++) {
		uint64_t gfn = i * 37 % 1024;
		size_t len = 3 * 65536;
		struct iovec iov[4];

		if (i % 7 == 0)
			mapcache_invalidate(bed.cache);
		if (i % 11 == 0)
			assert_int_equal(mapcache_invalidate_range(bed.cache, 0, 1 << 20), 0);
		if (i % 50 == 0)
			assert_true(xensim_p2m_set_type(bed.domain, gfn, 1, XENSIM_DENIED) >= 0);
		/* One that falls back to read-only needs two slots: perhaps not in one section. */
		if (bed_error(bed.client, gfn * BED_PAGE, 8, PROT_READ))
			assert_int_equal(bed_error(bed.client, gfn * BED_PAGE, 8, PROT_READ), 0);
		if (i % 13 == 0 && gfn < 960) {
			int n = mapcache_pin_iov(bed.client, gfn / 16 * 65536, len, PROT_READ, iov,
						 4);

			assert_int_equal(n, 3);
			while (n-- > 0)
				mapcache_client_unpin(bed.client, iov[n].iov_base, 0);
		}
		if (i % 17 == 0)
			mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	assert_true(spy.maps > 100);
	assert_true(spy.unmaps > 10);
	assert_int_equal(held, 0);
	/* The last one is unmapped by close. */
	bed_stop(&bed);
	assert_int_equal(held, 0);
}

/* Also when calls fail, which is said to the log: without a lock, too. */
static void log_without_locks(void *data, enum mapcache_log_level level, const char *message)
{
	struct spy *spy = data;

	(void)level;
	(void)message;
	if (spy->data) {
		spy->closes += 1000;
		held += locks_held(spy->data);
	}
}

static int fail_every_third(struct spy *spy, const struct spy_call *call)
{
	count_locks(spy, call);
	return (spy->maps + spy->unmaps) % 3 == 2 ? -EIO : 0;
}

static void no_lock_is_held_across_calls_that_fail_or_across_the_log(void **state)
{
	struct spy spy = { .before = fail_every_third };
	struct rig_options options = { .cache = { .bucket_shift = 16,
						  .max_bytes = 8 << 16,
						  .stripes = 4,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .backend = &spy_backend,
						  .backend_data = &spy,
						  .log = log_without_locks,
						  .log_data = &spy } };
	struct bed bed;

	(void)state;
	held = 0;
	bed_start(&bed, &options);
	spy.data = bed.cache;
	for (unsigned int i = 0; i < 300; i++) {
		uint64_t gfn = i * 37 % 1024;

		if (i % 5 == 0)
			mapcache_invalidate(bed.cache);
		(void)bed_error(bed.client, gfn * BED_PAGE, 8, PROT_READ | PROT_WRITE);
		if (i % 17 == 0)
			mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	assert_int_equal(held, 0);
	assert_true(spy.closes >= 1000);
	spy.before = NULL;
	spy.data = NULL;
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	bed_stop(&bed);
}

/* ---- a map that hangs ------------------------------------------------------------------- */

struct hung {
	struct bed bed;
	struct gate gate;
	struct peer hanging, waiting;
	struct peer_look hangs, waits;
};

static bool somebody_waits(void *data)
{
	return bed_stats(data).waits >= 1;
}

/* One peer hangs in a map call of the first bucket, another waits for the same bucket. */
static void hung_start(struct hung *hung, const struct rig_options *options)
{
	*hung = (struct hung){ .gate = GATE, .hangs = { .gpa = 0 }, .waits = { .gpa = 4096 } };
	bed_start(&hung->bed, options);
	assert_int_equal(bed_read(hung->bed.client, BED_BUCKET), bed_value(256));
	peer_open(&hung->hanging, hung->bed.cache);
	peer_open(&hung->waiting, hung->bed.cache);
	gate_close(&hung->gate, 0, false);
	peer_start(&hung->hanging, peer_read, &hung->hangs);
	gate_wait(&hung->gate, 1);
	peer_start(&hung->waiting, peer_read, &hung->waits);
	assert_true(eventually(somebody_waits, &hung->bed));
}

static void hung_stop(struct hung *hung)
{
	assert_true(peer_busy(&hung->hanging));
	assert_true(peer_busy(&hung->waiting));
	gate_open(&hung->gate);
	assert_int_equal(peer_wait(&hung->hanging), 0);
	assert_int_equal(peer_wait(&hung->waiting), 0);
	assert_int_equal(hung->hangs.value, bed_value(0));
	assert_int_equal(hung->waits.value, bed_value(1));
	peer_close(&hung->hanging);
	peer_close(&hung->waiting);
	bed_stop(&hung->bed);
}

static void hits_misses_and_pins_of_other_buckets_go_on(void **state)
{
	struct hung hung;
	struct bed *bed = &hung.bed;
	volatile uint64_t *pin;
	char buffer[64];

	(void)state;
	/* One stripe: the hung bucket's lock is everybody's. */
	hung_start(&hung, &(struct rig_options){ .cache.stripes = 1 });
	assert_int_equal(bed_read(bed->client, BED_BUCKET), bed_value(256));
	assert_int_equal(bed_read(bed->client, 2 * BED_BUCKET), bed_value(512));
	pin = bed_pin(bed->client, 3 * BED_BUCKET);
	assert_int_equal(*pin, bed_value(768));
	assert_int_equal(mapcache_unpin(bed->cache, (void *)pin, 0), 0);
	assert_int_equal(mapcache_read(bed->client, 2 * BED_BUCKET - 32, buffer, 64), 64);
	assert_int_equal(mapcache_write(bed->client, 2 * BED_BUCKET - 32, buffer, 64), 64);
	hung_stop(&hung);
}

static void invalidations_go_on_and_are_heeded_afterwards(void **state)
{
	struct hung hung;
	struct bed *bed = &hung.bed;

	(void)state;
	hung_start(&hung, NULL);
	assert_int_equal(mapcache_invalidate(bed->cache), 2);
	assert_int_equal(bed_read(bed->client, BED_BUCKET), bed_value(256));
	assert_int_equal(mapcache_invalidate_range(bed->cache, 0, UINT64_MAX), 0);
	assert_int_equal(mapcache_invalidate_range(bed->cache, 0, 1), 0);
	assert_int_equal(bed_read(bed->client, BED_BUCKET), bed_value(256));
	hung_stop(&hung);
}

static void reclaim_statistics_and_the_dump_go_on(void **state)
{
	struct hung hung;
	struct bed *bed = &hung.bed;
	char *text;
	size_t size;
	FILE *file;

	(void)state;
	hung_start(&hung, BED_QUIET);
	mapcache_invalidate(bed->cache);
	mapcache_reclaim(bed->cache, UINT64_MAX);
	/* Its section keeps what was retired, and nothing more. */
	assert_int_equal(mapcache_drain(bed->cache, 2, 0, 0), -ETIMEDOUT);
	assert_int_equal(bed_stats(bed).buckets, 1);
	file = open_memstream(&text, &size);
	assert_int_equal(mapcache_dump(bed->cache, file), 0);
	fclose(file);
	assert_non_null(strstr(text, "bucket 0 busy"));
	free(text);
	hung_stop(&hung);
}

static void clients_come_and_go_and_close_says_busy(void **state)
{
	struct mapcache_client *client;
	struct hung hung;
	struct bed *bed = &hung.bed;

	(void)state;
	hung_start(&hung, NULL);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(mapcache_client_open(bed->cache, &client), 0);
		assert_int_equal(bed_read(client, BED_BUCKET), bed_value(256));
		assert_int_equal(mapcache_client_close(client), 0);
	}
	assert_int_equal(mapcache_close(bed->cache), -EBUSY);
	assert_int_equal(bed_read(bed->client, BED_BUCKET), bed_value(256));
	hung_stop(&hung);
}

/* A page that Xen has paged out: the library itself retries for ever. */
static void a_frame_paged_out_hangs_its_own_bucket_only(void **state)
{
	struct peer_look look = { .gpa = 0 };
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	peer_open(&peer, bed.cache);
	assert_true(xensim_p2m_set_type(bed.domain, 3, 1, XENSIM_PAGED_OUT) >= 0);
	peer_start(&peer, peer_read, &look);
	for (unsigned int i = 0; i < 1000; i++) {
		mapcache_invalidate(bed.cache);
		assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	}
	assert_true(peer_busy(&peer));
	assert_true(xensim_p2m_set_type(bed.domain, 3, 1, XENSIM_RAM) >= 0);
	assert_int_equal(peer_wait(&peer), 0);
	assert_int_equal(look.value, bed_value(0));
	peer_close(&peer);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_lock_is_held_across_any_backend_call),
		cmocka_unit_test(no_lock_is_held_across_calls_that_fail_or_across_the_log),
		cmocka_unit_test(hits_misses_and_pins_of_other_buckets_go_on),
		cmocka_unit_test(invalidations_go_on_and_are_heeded_afterwards),
		cmocka_unit_test(reclaim_statistics_and_the_dump_go_on),
		cmocka_unit_test(clients_come_and_go_and_close_says_busy),
		cmocka_unit_test(a_frame_paged_out_hangs_its_own_bucket_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
