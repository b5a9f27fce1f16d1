/* SPDX-License-Identifier: MIT */
/* What the counters count, and how often the log speaks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <bench/random.h>
#include <tests/support/bed.h>
#include <tests/support/spy.h>
#include <lib/base/base.h>
#include <lib/cache.h>

static void a_fresh_cache_has_counted_nothing(void **state)
{
	struct mapcache_stats stats;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	stats = bed_stats(&bed);
	assert_int_equal(stats.epoch, 1);
	assert_int_equal(stats.clients, 2);
	assert_in_range(stats.memory_bytes, 1000, 1 << 20);
	stats.epoch = stats.clients = stats.memory_bytes = 0;
#define ASSERT_ZERO(name, text) assert_int_equal(stats.name, 0);
	MAPCACHE_STATISTICS(ASSERT_ZERO)
#undef ASSERT_ZERO
	bed_stop(&bed);
}

static void each_counter_counts_its_own(void **state)
{
	struct mapcache_stats stats;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_remove(&bed, 20);
	bed_read(bed.client, 0);
	bed_read(bed.client, 0);
	bed_read(bed.other, BED_BUCKET);
	stats = bed_stats(&bed);
	assert_int_equal(stats.slow_lookups, 2);
	assert_int_equal(stats.misses, 2);
	assert_int_equal(stats.map_calls, 2);
	assert_int_equal(stats.pages_mapped, 511);
	assert_int_equal(stats.holes, 1);
	assert_int_equal(stats.buckets, 2);
	assert_int_equal(stats.slots_used, 2);
	assert_int_equal(stats.mapped_bytes, 2 * BED_BUCKET);
	assert_int_equal(stats.stale_bytes, 0);
	assert_int_equal(stats.vmas, 3); /* and the space on one side of them */
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_invalidate_range(bed.cache, BED_BUCKET, 1), 0);
	stats = bed_stats(&bed);
	assert_int_equal(stats.epoch, 2);
	assert_int_equal(stats.range_invalidates, 1);
	assert_int_equal(stats.buckets, 1);
	assert_int_equal(stats.slots_used, 2);
	assert_int_equal(stats.stale_bytes, 2 * BED_BUCKET);
	bed_read(bed.client, 0);
	stats = bed_stats(&bed);
	assert_int_equal(stats.refreshed_in_fresh_slot, 1);
	assert_int_equal(stats.pages_mapped, 511 + 4);
	assert_int_equal(stats.mapped_bytes, 2 * BED_BUCKET + (1 << 14));
	assert_int_equal(stats.vmas, 3 + 1); /* a small one beside them */
	bed_reclaim(&bed);
	stats = bed_stats(&bed);
	assert_int_equal(stats.mapped_bytes, 1 << 14);
	assert_int_equal(stats.slots_used, 1);
	assert_int_equal(stats.vmas, 2);
	assert_true(stats.unmap_calls >= 1);
	assert_true(stats.grace_periods >= 1);
	assert_int_equal(stats.stale_bytes_max, 2 * BED_BUCKET);
	bed_stop(&bed);
}

/* The totals are those of the kernel, whatever was done before. */
static void totals_agree_with_what_is_really_mapped(void **state)
{
	uint64_t state_of_random = 1;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 17,
							  .stripes = 2,
							  .max_bytes = 10 << 17,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t random = random_next(&state_of_random), gfn;

		gfn = random >> 40 & 1023;
		if ((random >> 20) % 9 == 0)
			mapcache_invalidate(bed.cache);
		if ((random >> 24) % 50 == 0)
			mapcache_invalidate_range(bed.cache, gfn * BED_PAGE, 1 << 18);
		if ((random >> 26) % 20 == 0)
			mapcache_reclaim(bed.cache, UINT64_MAX);
		if ((random >> 28) % 40 == 0)
			assert_true(xensim_p2m_set_type(bed.domain, gfn, 1,
							random >> 60 & 1 ? XENSIM_RAM
									 : XENSIM_DENIED) >= 0);
		if ((random >> 30) % 15 == 0)
			xensim_fail(XENSIM_CALL_MAP, 1, ENOMEM);
		(void)bed_error(bed.client, gfn * BED_PAGE, 8,
				random >> 61 & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		/* No holes here, so each page of each mapping is one. */
		assert_true(bed_totals().foreign_pages * BED_PAGE <= bed_stats(&bed).mapped_bytes);
		assert_true(bed_stats(&bed).stale_bytes <= bed_stats(&bed).mapped_bytes);
	}
	xensim_fail(XENSIM_CALL_MAP, 0, 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_stats(&bed).mapped_bytes, 0);
	assert_int_equal(bed_stats(&bed).vmas, 0);
	assert_int_equal(bed_stats(&bed).slots_used, 0);
	assert_int_equal(bed_stats(&bed).buckets, 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	bed_stop(&bed);
}

/* ---- the log ---------------------------------------------------------------------------------- */

struct heard {
	unsigned int count;
	char last[300];
};

static void hear(void *data, enum mapcache_log_level level, const char *message)
{
	struct heard *heard = data;

	assert_int_equal(level, MAPCACHE_LOG_WARNING);
	assert_null(strchr(message, '\n'));
	heard->count++;
	snprintf(heard->last, sizeof(heard->last), "%s", message);
}

static int refuse_unmaps(struct spy *spy, const struct spy_call *call)
{
	return spy->data && !call->map ? -EIO : 0;
}

static void the_log_speaks_ten_times_a_second_and_says_what_it_left_out(void **state)
{
	struct heard heard = { .count = 0 };
	struct spy spy = { .before = refuse_unmaps };
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							  .backend = &spy_backend,
							  .backend_data = &spy,
							  .log = hear,
							  .log_data = &heard } });
	bed_read(bed.client, 0);
	mapcache_invalidate(bed.cache);
	spy.data = &bed;
	for (unsigned int i = 0; i < 1000; i++)
		mapcache_reclaim(bed.cache, UINT64_MAX);
	assert_true(bed_stats(&bed).unmap_errors >= 1000);
	assert_in_range(heard.count, 10, 40);
	assert_null(strstr(heard.last, "left out"));
	/* A second later, as far as the log can tell. */
	bed.cache->log.window_ns -= 2 * NS_PER_SECOND;
	mapcache_reclaim(bed.cache, UINT64_MAX);
	assert_non_null(strstr(heard.last, "messages left out before this one"));
	bed.cache->log.window_ns -= 2 * NS_PER_SECOND;
	mapcache_reclaim(bed.cache, UINT64_MAX);
	assert_null(strstr(heard.last, "left out"));
	spy.data = NULL;
	assert_int_equal(bed_reclaim(&bed), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_cache_has_counted_nothing),
		cmocka_unit_test(each_counter_counts_its_own),
		cmocka_unit_test(totals_agree_with_what_is_really_mapped),
		cmocka_unit_test(the_log_speaks_ten_times_a_second_and_says_what_it_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
