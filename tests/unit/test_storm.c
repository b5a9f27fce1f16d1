/* SPDX-License-Identifier: MIT */
/*
 * A storm of invalidations so dense that whoever looks at the clock finds a new epoch: what
 * nobody uses goes all the same (E).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define GFN 5u
#define GPA (GFN * BED_PAGE)
#define LOOKS 1000u /* of the reclaim thread; it needs about ten */

static struct mapcache *storm;
static uint64_t looks;

uint64_t __wrap_clock_ns(void);
uint64_t __real_clock_ns(void);

uint64_t __wrap_clock_ns(void)
{
	struct mapcache *cache = __atomic_load_n(&storm, __ATOMIC_ACQUIRE);

	if (cache) {
		mapcache_invalidate(cache);
		__atomic_fetch_add(&looks, 1, __ATOMIC_RELAXED);
	}
	return __real_clock_ns();
}

static void what_nobody_uses_goes_in_the_densest_storm(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache.reclaim_ms = 8 });
	bed_read(bed.client, GPA);
	bed_remove(&bed, GFN);
	__atomic_store_n(&storm, bed.cache, __ATOMIC_RELEASE);
	while (bed_totals().pages_held && __atomic_load_n(&looks, __ATOMIC_RELAXED) < LOOKS)
		usleep(1000);
	__atomic_store_n(&storm, NULL, __ATOMIC_RELEASE);
	assert_int_equal(bed_totals().pages_held, 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_uses_goes_in_the_densest_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
