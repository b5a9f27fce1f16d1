/* SPDX-License-Identifier: MIT */
/*
 * Guarantee H: errors are values. Nothing a guest, Xen or the kernel does aborts the process;
 * a failed call changes nothing, and the next one works; memory and log are bounded.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/spy.h>

#define BOTH (PROT_READ | PROT_WRITE)
#define GFN 5u
#define GPA (GFN * BED_PAGE)

/* Not EINTR and EAGAIN: those calls are made again (test_retry). */
static const int xen_errors[] = { ENOMEM, EPERM, EACCES, EINVAL, EFAULT, ESRCH, ENOSYS, EIO };

#define XEN_ERRORS (sizeof(xen_errors) / sizeof(*xen_errors))

struct amounts {
	uint64_t buckets, slots, mapped, vmas;
};

static struct amounts amounts(struct bed *bed)
{
	struct mapcache_stats stats = bed_stats(bed);

	return (struct amounts){ stats.buckets, stats.slots_used, stats.mapped_bytes, stats.vmas };
}

static void assert_same(struct amounts a, struct amounts b)
{
	assert_int_equal(a.buckets, b.buckets);
	assert_int_equal(a.slots, b.slots);
	assert_int_equal(a.mapped, b.mapped);
	assert_int_equal(a.vmas, b.vmas);
}

static void a_map_call_that_fails_leaves_no_trace(void **state)
{
	struct amounts before;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, BED_BUCKET);
	before = amounts(&bed);
	for (unsigned int i = 0; i < XEN_ERRORS; i++) {
		xensim_fail(XENSIM_CALL_MAP, 1, xen_errors[i]);
		assert_int_equal(bed_error(bed.client, GPA, 8, BOTH), xen_errors[i]);
		assert_same(amounts(&bed), before);
		assert_int_equal(bed_stats(&bed).map_errors, i + 1);
	}
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	bed_stop(&bed);
}

/* A refresh that fails leaves the old mapping to be refreshed by the next look-up. */
static void a_refresh_that_fails_is_made_by_the_next_look_up(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, GPA);
	for (unsigned int i = 0; i < 4 * XEN_ERRORS; i++) {
		bed_exchange(&bed, GFN, i);
		mapcache_invalidate(bed.cache);
		xensim_fail(XENSIM_CALL_MAP, 1, xen_errors[i % XEN_ERRORS]);
		assert_int_equal(bed_error(bed.client, GPA, 8, BOTH), xen_errors[i % XEN_ERRORS]);
		if (i % 2)
			xensim_fail(XENSIM_CALL_MAP, 1, xen_errors[i % XEN_ERRORS]);
		if (i % 2)
			assert_int_equal(bed_error(bed.other, GPA, 8, BOTH),
					 xen_errors[i % XEN_ERRORS]);
		assert_int_equal(bed_read(bed.client, GPA), i);
		assert_in_range(bed_stats(&bed).buckets, 1, 1);
	}
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_totals().pages_held, 0);
	bed_stop(&bed);
}

/* The parts of the bucket that are there stay usable when another cannot be added. */
static void a_granule_that_cannot_be_added_does_not_spoil_its_neighbours(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, 0);
	for (unsigned int i = 0; i < XEN_ERRORS; i++) {
		uint64_t calls;

		xensim_fail(XENSIM_CALL_MAP, 1, xen_errors[i]);
		assert_int_equal(bed_error(bed.client, GPA, 8, BOTH), xen_errors[i]);
		calls = bed_stats(&bed).map_calls;
		assert_int_equal(bed_read(bed.client, 0), bed_value(0));
		assert_int_equal(bed_stats(&bed).map_calls, calls);
	}
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	bed_stop(&bed);
}

static void a_bucket_of_which_every_page_fails_leaves_no_trace(void **state)
{
	struct amounts before;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	before = amounts(&bed);
	for (unsigned int i = 0; i < XEN_ERRORS; i++) {
		int error = xen_errors[i] == EINVAL ? EFAULT : xen_errors[i];

		xensim_fail_pages(1, 1, xen_errors[i]);
		assert_int_equal(bed_error(bed.client, GPA, 8, BOTH), error);
		bed_reclaim(&bed);
		assert_same(amounts(&bed), before);
	}
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	bed_stop(&bed);
}

static void pages_that_fail_are_tried_again_and_their_neighbours_serve(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	xensim_fail_pages(1, 5, ENOMEM);
	assert_int_equal(bed_error(bed.client, GPA, 8, BOTH), ENOMEM);
	assert_int_equal(bed_stats(&bed).holes, 52);
	assert_int_equal(bed_read(bed.client, GPA + BED_PAGE), bed_value(GFN + 1));
	assert_int_equal(bed_stats(&bed).map_calls, 1);
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	bed_stop(&bed);
}

static unsigned int messages;

static void count_messages(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	(void)level;
	(void)message;
	messages++;
}

static void an_unmap_call_that_fails_is_made_again(void **state)
{
	struct bed bed;

	(void)state;
	messages = 0;
	bed_start(&bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							  .log = count_messages } });
	for (uint64_t gpa = 0; gpa < 4 * BED_BUCKET; gpa += BED_BUCKET)
		bed_read(bed.client, gpa);
	bed_remove(&bed, 0);
	mapcache_invalidate(bed.cache);
	xensim_fail(XENSIM_CALL_UNMAP, 1, EIO);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 4 * BED_BUCKET);
	assert_int_equal(bed_stats(&bed).unmap_errors, 1);
	assert_int_equal(bed_totals().pages_held, 1);
	assert_int_equal(messages, 1);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_totals().pages_held, 0);
	bed_stop(&bed);
}

/* Linux refuses to map over anything at its limit of mappings: one is kept to be given up. */
static void at_the_kernels_limit_of_mappings_an_unmap_call_is_made_again_at_once(void **state)
{
	struct bed bed;

	(void)state;
	messages = 0;
	bed_start(&bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							  .log = count_messages } });
	for (unsigned int i = 0; i < 5; i++) {
		bed_read(bed.client, 0);
		mapcache_invalidate(bed.cache);
		xensim_fail(XENSIM_CALL_UNMAP, 1, ENOMEM);
		assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	}
	assert_int_equal(bed_stats(&bed).unmap_errors, 0);
	assert_int_equal(messages, 0);
	bed_stop(&bed);
}

/* Both a map call and the call that would undo it: what is there is not shown, and goes later. */
static int fail_both(struct spy *spy, const struct spy_call *call)
{
	(void)call;
	return spy->data ? -ENOMEM : 0;
}

static void a_map_call_that_fails_and_cannot_be_undone_is_undone_later(void **state)
{
	struct spy spy = { .before = fail_both };
	struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .backend = &spy_backend,
						  .backend_data = &spy } };
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	/* A first mapping; one for a stale bucket of which much is mapped; of which little is. */
	for (unsigned int i = 0; i < 6; i++) {
		spy.data = &bed;
		assert_int_equal(bed_error(bed.client, GPA, 8, BOTH), ENOMEM);
		spy.data = NULL;
		assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
		mapcache_invalidate(bed.cache);
		if (i == 3)
			bed_reclaim(&bed);
	}
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_stats(&bed).slots_used, 0);
	bed_stop(&bed);
}

static void a_dead_domain_gives_errors_and_what_is_pinned_stays(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = bed_pin(bed.client, GPA);
	assert_int_equal(xensim_domain_destroy(bed.domain), 0);
	bed.rig.domain = NULL;
	assert_int_equal(*pointer, bed_value(GFN));
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(bed_error(bed.client, GPA, 8, PROT_READ), ESRCH);
		assert_int_equal(bed_error(bed.client, BED_BUCKET, 8, PROT_READ), ESRCH);
		assert_int_equal(mapcache_read(bed.client, 0, &(char){ 0 }, 1), -ESRCH);
	}
	assert_int_equal(xensim_domain_state(bed.rig.domid, NULL), 3);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	/* The last mapping that is given back lets the domain die. */
	bed_reclaim(&bed);
	assert_int_equal(xensim_domain_state(bed.rig.domid, NULL), 0);
	bed_stop(&bed);
}

#define STORM 20000u

static void a_storm_of_look_ups_of_holes_makes_neither_memory_nor_log_grow(void **state)
{
	struct amounts before;
	struct bed bed;
	uint64_t memory;

	(void)state;
	messages = 0;
	bed_start(&bed,
		  &(struct rig_options){ .ram_pages = 16,
					 .cache = { .log = count_messages, .bucket_shift = 16 } });
	bed_read(bed.client, 0);
	assert_int_equal(bed_error(bed.client, 1 << 16, 8, PROT_READ), EFAULT);
	before = amounts(&bed);
	memory = bed_stats(&bed).memory_bytes;
	for (uint64_t i = 0; i < STORM; i++)
		assert_int_equal(bed_error(bed.client, (1 + i % 16384) << 16, 8,
					   i % 2 ? PROT_READ : BOTH),
				 EFAULT);
	/* Two mappings for each, none of which is left. */
	assert_int_equal(bed_stats(&bed).buckets, before.buckets);
	assert_in_range(bed_stats(&bed).mapped_bytes, 0, before.mapped + (32 << 20));
	assert_in_range(bed_stats(&bed).memory_bytes, memory, memory + (1 << 20));
	assert_in_range(messages, 0, 100);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_call_that_fails_leaves_no_trace),
		cmocka_unit_test(a_refresh_that_fails_is_made_by_the_next_look_up),
		cmocka_unit_test(a_granule_that_cannot_be_added_does_not_spoil_its_neighbours),
		cmocka_unit_test(a_bucket_of_which_every_page_fails_leaves_no_trace),
		cmocka_unit_test(pages_that_fail_are_tried_again_and_their_neighbours_serve),
		cmocka_unit_test(an_unmap_call_that_fails_is_made_again),
		cmocka_unit_test(
			at_the_kernels_limit_of_mappings_an_unmap_call_is_made_again_at_once),
		cmocka_unit_test(a_map_call_that_fails_and_cannot_be_undone_is_undone_later),
		cmocka_unit_test(a_dead_domain_gives_errors_and_what_is_pinned_stays),
		cmocka_unit_test(a_storm_of_look_ups_of_holes_makes_neither_memory_nor_log_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
