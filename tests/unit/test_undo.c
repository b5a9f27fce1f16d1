/* SPDX-License-Identifier: MIT */
/* A backend that fails after it has mapped: what it has left there is released at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define GFN 5u
#define GPA (GFN * BED_PAGE)

static bool failing;

static void *map_and_fail(void *state, void *address, uint64_t gfn, size_t pages, int prot,
			  int *error)
{
	void *mapped = mapcache_backend_xen.map(state, address, gfn, pages, prot, error);

	if (!failing)
		return mapped;
	errno = ENOMEM;
	return NULL;
}

static void start(struct bed *bed, struct mapcache_backend *backend)
{
	*backend = mapcache_backend_xen;
	backend->map = map_and_fail;
	failing = false;
	bed_start(bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							 .backend = backend } });
}

static void a_first_map_call_that_fails_leaves_nothing_mapped(void **state)
{
	struct mapcache_backend backend;
	struct bed bed;

	(void)state;
	start(&bed, &backend);
	failing = true;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(bed_error(bed.client, GPA, 8, PROT_READ), ENOMEM);
		assert_int_equal(bed_totals().foreign_pages, 0);
	}
	failing = false;
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	bed_stop(&bed);
}

/* In a fresh slot, beside what is current, and over what is stale. */
static void a_later_map_call_that_fails_leaves_what_was_there_before(void **state)
{
	struct mapcache_backend backend;
	struct bed bed;

	(void)state;
	start(&bed, &backend);
	bed_read(bed.client, GPA);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t other = BED_BUCKET / 2 + i * BED_PAGE * 8, before;

		bed_read(bed.client, GPA);
		bed_reclaim(&bed);
		before = bed_totals().foreign_pages;
		failing = true;
		assert_int_equal(bed_error(bed.client, other, 8, PROT_READ), ENOMEM);
		failing = false;
		bed_reclaim(&bed);
		assert_int_equal(bed_totals().foreign_pages, before);
		assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
		assert_int_equal(bed_read(bed.client, other), bed_value(other / BED_PAGE));
		mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_map_call_that_fails_leaves_nothing_mapped),
		cmocka_unit_test(a_later_map_call_that_fails_leaves_what_was_there_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
