/* SPDX-License-Identifier: MIT */
/*
 * Where each mapped page costs dom0 one of its own, the default budget follows from how much it has:
 * a guest with more memory than dom0 does not end it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <lib/cache.h>
#include <tests/support/bed.h>

#define DOM0_PAGES UINT64_C(16384)
#define USUAL (UINT64_C(32) << 30)

struct heard {
	unsigned int count;
	enum mapcache_log_level level;
	char last[300];
};

static void hear(void *data, enum mapcache_log_level level, const char *message)
{
	struct heard *heard = data;

	heard->count++;
	heard->level = level;
	snprintf(heard->last, sizeof(heard->last), "%s", message);
}

/* The budget of a cache that is opened so. */
static uint64_t budget(struct xensim_options host, struct mapcache_options cache,
		       struct heard *heard)
{
	struct rig_options options = { .host = host, .cache = cache };
	struct rig rig;
	uint64_t bytes;

	memset(heard, 0, sizeof(*heard));
	options.cache.log = hear;
	options.cache.log_data = heard;
	rig_start(&rig, &options);
	bytes = rig.cache->settings.slots << rig.cache->settings.bucket_shift;
	rig_stop(&rig);
	return bytes;
}

#define BUDGET(heard, ...)                                                                         \
	budget((struct xensim_options){ __VA_ARGS__ },                                             \
	       (struct mapcache_options){ .bucket_shift = RIG_BUCKET_SHIFT }, heard)

static void a_mapping_that_costs_nothing_leaves_the_budget_as_it_is(void **state)
{
	const uint64_t usual = sizeof(void *) < 8 ? UINT64_C(512) << 20 : USUAL;
	struct heard heard;

	(void)state;
	assert_int_equal(BUDGET(&heard, .arch = XENSIM_X86), usual);
	assert_int_equal(BUDGET(&heard, .arch = XENSIM_ARM), usual);
	assert_int_equal(heard.count, 0);
}

static void one_that_costs_memory_takes_half_of_what_is_free_and_says_so(void **state)
{
	struct heard heard;

	(void)state;
	for (int arch = XENSIM_X86; arch <= XENSIM_ARM; arch++) {
		assert_int_equal(BUDGET(&heard, .arch = (enum xensim_arch)arch,
					.dom0_pages = DOM0_PAGES),
				 DOM0_PAGES / 2 * BED_PAGE);
		assert_int_equal(heard.count, 1);
		assert_int_equal(heard.level, MAPCACHE_LOG_INFO);
		assert_non_null(strstr(heard.last, "max_bytes is 32 MiB"));
	}
	/* It has next to nothing: four buckets are the least. */
	assert_int_equal(BUDGET(&heard, .dom0_pages = 8), 4 * BED_BUCKET);
}

/* The guess that costs speed, not dom0. */
static void what_cannot_be_found_out_is_taken_for_costly(void **state)
{
	struct heard heard;

	(void)state;
	assert_int_equal(BUDGET(&heard, .dom0_pages = DOM0_PAGES, .no_sysfs = true),
			 DOM0_PAGES / 2 * BED_PAGE);
	assert_int_equal(heard.count, 1);
}

static void what_is_asked_for_is_given_with_a_warning(void **state)
{
	struct heard heard;
	uint64_t bytes = budget((struct xensim_options){ .dom0_pages = DOM0_PAGES },
				(struct mapcache_options){ .max_bytes = 48 * BED_BUCKET }, &heard);

	(void)state;
	assert_int_equal(bytes, 48 * BED_BUCKET);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.level, MAPCACHE_LOG_WARNING);
	budget((struct xensim_options){ .dom0_pages = DOM0_PAGES },
	       (struct mapcache_options){ .max_bytes = 16 * BED_BUCKET }, &heard);
	assert_int_equal(heard.count, 0);
}

/* Stale and current together: all of a guest that is twice as big, again and again. */
static void a_guest_with_more_memory_than_dom0_leaves_it_its_half(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed,
		  &(struct rig_options){ .host = { .arch = XENSIM_ARM, .dom0_pages = DOM0_PAGES },
					 .ram_pages = 2 * DOM0_PAGES,
					 .cache = { .bucket_shift = RIG_BUCKET_SHIFT,
						    .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (unsigned int round = 0; round < 3; round++) {
		for (uint64_t gfn = 0; gfn < 2 * DOM0_PAGES; gfn += 256)
			assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
		mapcache_invalidate(bed.cache);
	}
	assert_in_range(bed_totals().dom0_pages_peak, DOM0_PAGES / 4, DOM0_PAGES / 2);
	bed_stop(&bed);
}

/* The page that is mapped to find out is not forgotten when it cannot be unmapped at once. */
static void finding_out_leaves_nothing_mapped(void **state)
{
	struct rig_options options = { .host = { .arch = XENSIM_ARM, .dom0_pages = DOM0_PAGES } };
	struct mapcache_options again = { .size = sizeof(again) };
	struct xensim_totals before, after;
	struct mapcache *cache;
	struct rig rig;

	(void)state;
	rig_start(&rig, &options);
	again.domid = rig.domid;
	xensim_totals(&before);
	xensim_fail(XENSIM_CALL_UNMAP, 1, ENOMEM);
	assert_int_equal(mapcache_open(&again, &cache), 0);
	assert_int_equal(mapcache_close(cache), 0);
	xensim_totals(&after);
	assert_int_equal(after.foreign_mappings, before.foreign_mappings);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_that_costs_nothing_leaves_the_budget_as_it_is),
		cmocka_unit_test(one_that_costs_memory_takes_half_of_what_is_free_and_says_so),
		cmocka_unit_test(what_cannot_be_found_out_is_taken_for_costly),
		cmocka_unit_test(what_is_asked_for_is_given_with_a_warning),
		cmocka_unit_test(a_guest_with_more_memory_than_dom0_leaves_it_its_half),
		cmocka_unit_test(finding_out_leaves_nothing_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
