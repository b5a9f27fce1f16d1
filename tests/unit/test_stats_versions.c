/* SPDX-License-Identifier: MIT */
/* Statistics for callers built against older and newer headers, and the version's own macros. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define UNTOUCHED 0xa5

struct newer_stats {
	struct mapcache_stats known;
	uint64_t unknown[2];
};

static void an_older_caller_gets_what_it_has_room_for_and_not_a_byte_more(void **state)
{
	/* What the library itself takes may grow between two looks, so it is left out. */
	const size_t end = offsetof(struct mapcache_stats, memory_bytes);
	unsigned char room[sizeof(struct mapcache_stats)]
		__attribute__((aligned(__alignof__(struct mapcache_stats))));
	struct mapcache_stats whole;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	whole = bed_stats(&bed);
	for (size_t size = sizeof(size_t); size <= end; size++) {
		memset(room, UNTOUCHED, sizeof(room));
		memcpy(room, &size, sizeof(size));
		assert_int_equal(mapcache_stats(bed.cache, (void *)room), 0);
		assert_memory_equal(room, &size, sizeof(size));
		assert_memory_equal(room + sizeof(size), (unsigned char *)&whole + sizeof(size),
				    size - sizeof(size));
		for (size_t i = size; i < sizeof(room); i++)
			assert_int_equal(room[i], UNTOUCHED);
	}
	bed_stop(&bed);
}

static void a_newer_caller_finds_zero_in_what_is_not_known(void **state)
{
	struct newer_stats newer = { .known = { .size = sizeof(newer) } };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	assert_int_equal(mapcache_stats(bed.cache, &newer.known), 0);
	assert_int_equal(newer.known.size, sizeof(newer));
	assert_int_equal(newer.known.misses, 1);
	assert_int_equal(newer.unknown[0] | newer.unknown[1], 0);
	newer.unknown[1] = 1;
	assert_int_equal(mapcache_stats(bed.cache, &newer.known), -E2BIG);
	bed_stop(&bed);
}

static void a_size_that_cannot_be_is_refused(void **state)
{
	struct mapcache_stats stats = { .size = 0 };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_stats(bed.cache, &stats), -EINVAL);
	stats.size = sizeof(stats.size) - 1;
	assert_int_equal(mapcache_stats(bed.cache, &stats), -EINVAL);
	stats.size = sizeof(stats);
	assert_int_equal(mapcache_stats(NULL, &stats), -EINVAL);
	assert_int_equal(mapcache_stats(bed.cache, NULL), -EINVAL);
	bed_stop(&bed);
}

#if !MAPCACHE_VERSION_CHECK(0, 1, 0) || MAPCACHE_VERSION_CHECK(999, 0, 0)
#error "MAPCACHE_VERSION_CHECK cannot be used by the preprocessor"
#endif

static void a_version_is_compared_number_by_number(void **state)
{
	const int major = MAPCACHE_VERSION_MAJOR, minor = MAPCACHE_VERSION_MINOR,
		  patch = MAPCACHE_VERSION_PATCH;

	(void)state;
	assert_true(MAPCACHE_VERSION_CHECK(major, minor, patch));
	assert_false(MAPCACHE_VERSION_CHECK(major, minor, patch + 1));
	assert_false(MAPCACHE_VERSION_CHECK(major, minor + 1, 0));
	assert_false(MAPCACHE_VERSION_CHECK(major + 1, 0, 0));
	assert_true(MAPCACHE_VERSION_CHECK(major, minor - 1, 999));
	assert_true(MAPCACHE_VERSION_CHECK(major - 1, 999, 999));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_older_caller_gets_what_it_has_room_for_and_not_a_byte_more),
		cmocka_unit_test(a_newer_caller_finds_zero_in_what_is_not_known),
		cmocka_unit_test(a_size_that_cannot_be_is_refused),
		cmocka_unit_test(a_version_is_compared_number_by_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
