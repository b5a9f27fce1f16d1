/* SPDX-License-Identifier: MIT */
/*
 * The barrier that stands between hiding a mapping and looking whether anybody uses it. What
 * goes wrong without it is a matter of nanoseconds, so the system call itself is watched.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <lib/cache.h>

#define GFN 5u
#define GPA (GFN * BED_PAGE)

static unsigned int barriers; /* since the last look */
static bool refused;

long __wrap_syscall(long number, ...);
long __real_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long argument[6];
	va_list list;

	va_start(list, number);
	for (unsigned int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_membarrier && argument[0] == MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
		if (refused) {
			errno = EPERM;
			return -1;
		}
		barriers++;
	}
	return __real_syscall(number, argument[0], argument[1], argument[2], argument[3],
			      argument[4], argument[5]);
}

static unsigned int barriers_made(void)
{
	unsigned int made = barriers;

	barriers = 0;
	return made;
}

static void start(struct bed *bed, uint32_t flags)
{
	refused = false;
	bed_start(bed, &(struct rig_options){ .cache.flags = MAPCACHE_NO_RECLAIM_THREAD | flags });
	if (!flags && bed->cache->protocol.clients.grace.fenced) {
		bed_stop(bed);
		skip(); /* this kernel has no membarrier */
	}
	barriers_made();
}

static void nothing_is_unmapped_before_a_barrier(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, 0);
	bed_read(bed.client, GPA);
	bed_exchange(&bed, GFN, 1);
	mapcache_invalidate(bed.cache);
	refused = true;
	assert_int_not_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_not_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_totals().pages_held, 1);
	refused = false;
	assert_int_equal(barriers_made(), 0);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(barriers_made(), 1);
	assert_int_equal(bed_totals().pages_held, 0);
	bed_stop(&bed);
}

/* A slot with little in it, which the next look-up after an invalidation refreshes in place. */
static void prepare_in_place(struct bed *bed, uint64_t gpa)
{
	bed_read(bed->client, gpa);
	mapcache_invalidate(bed->cache);
	bed_read(bed->client, gpa);
}

static void nothing_is_refreshed_in_place_before_a_barrier(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, 0);
	prepare_in_place(&bed, GPA);
	mapcache_invalidate(bed.cache);
	refused = true;
	bed_read(bed.client, GPA);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 0);
	refused = false;
	assert_int_equal(barriers_made(), 0);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, GPA);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 1);
	assert_int_equal(barriers_made(), 1);
	bed_stop(&bed);
}

static void one_barrier_an_epoch_is_enough_for_all_refreshes(void **state)
{
	struct bed bed;
	uint64_t before;

	(void)state;
	start(&bed, 0);
	prepare_in_place(&bed, GPA);
	prepare_in_place(&bed, GPA + BED_BUCKET);
	bed_read(bed.client, GPA);
	before = bed_stats(&bed).refreshed_in_place;
	barriers_made();
	for (unsigned int i = 1; i <= 10; i++) {
		mapcache_invalidate(bed.cache);
		bed_read(bed.client, GPA);
		bed_read(bed.other, GPA + BED_BUCKET);
		assert_int_equal(barriers_made(), 1);
	}
	assert_int_equal(bed_stats(&bed).refreshed_in_place, before + 20);
	bed_stop(&bed);
}

static void without_membarrier_it_is_never_called(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, MAPCACHE_NO_MEMBARRIER);
	prepare_in_place(&bed, GPA);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, GPA);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 1);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(barriers_made(), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_unmapped_before_a_barrier),
		cmocka_unit_test(nothing_is_refreshed_in_place_before_a_barrier),
		cmocka_unit_test(one_barrier_an_epoch_is_enough_for_all_refreshes),
		cmocka_unit_test(without_membarrier_it_is_never_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
