/* SPDX-License-Identifier: MIT */
/* Reports of modified pages that the backend refuses, in part, for a while or for ever. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define GFN 9u
#define GPA (GFN * BED_PAGE)

/*
 * Xen's way with a report: from the last extent to the first, ended by one that holds a frame at
 * or past the limit (its guest's last), or the one that is bad. Everything as often as is asked.
 */
static struct {
	uint64_t limit, bad; /* 0: none */
	int error;
	unsigned int calls, passing; /* passing: so many calls fail with EINTR or EAGAIN */
} rule;

static bool refused(const struct mapcache_extent *extent)
{
	uint64_t end = extent->gfn + extent->pages;

	return (rule.limit && end > rule.limit) ||
	       (rule.bad && extent->gfn <= rule.bad && rule.bad < end);
}

static int modified(void *state, const struct mapcache_extent *extents, size_t count)
{
	rule.calls++;
	if (rule.passing)
		return rule.passing-- % 2 ? -EINTR : -EAGAIN;
	while (count-- > 0) {
		if (refused(&extents[count]))
			return rule.error;
		if (mapcache_backend_xen.modified(state, &extents[count], 1))
			return -EIO;
	}
	return 0;
}

/* What the embedder was told. */
static struct {
	unsigned int calls;
	uint64_t gfn, pages; /* of the last; of all */
	int error;
	unsigned int infos;
} told;

static void failed(void *data, uint64_t gfn, uint64_t pages, int error)
{
	assert_ptr_equal(data, &told);
	told.calls++;
	told.gfn = gfn;
	told.pages += pages;
	told.error = error;
}

static void note(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data, (void)message;
	told.infos += level == MAPCACHE_LOG_INFO;
}

static void start(struct bed *bed, uint64_t limit, uint64_t bad, int error)
{
	static struct mapcache_backend backend;
	struct rig_options options = { .cache = { .backend = &backend,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .log = note,
						  .report_failed = failed,
						  .report_failed_data = &told } };

	backend = mapcache_backend_xen;
	backend.modified = modified;
	memset(&rule, 0, sizeof(rule));
	memset(&told, 0, sizeof(told));
	bed_start(bed, &options);
	assert_int_equal(mapcache_dirty_log(bed->cache, true), 0);
	rule.limit = limit;
	rule.bad = bad;
	rule.error = error;
}

static void write_pages(struct bed *bed, uint64_t gfn, uint64_t pages)
{
	static char buffer[1024 * 4096];
	ssize_t len = (ssize_t)(pages * BED_PAGE);

	assert_int_equal(mapcache_write(bed->client, gfn * BED_PAGE, buffer, (size_t)len), len);
}

static void one_extent_that_is_refused_does_not_lose_the_others(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, 0, GFN + 6, -EIO);
	mapcache_begin(bed.client);
	for (uint64_t i = 0; i < 5; i++)
		*bed_ptr(bed.client, GPA + i * 3 * BED_PAGE, PROT_WRITE) = i;
	assert_int_equal(mapcache_end(bed.client), 0);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(xensim_dirty(bed.domain, GFN + 3 * i), i != 2);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.gfn, GFN + 6);
	assert_int_equal(told.pages, 1);
	assert_int_equal(told.error, -EIO);
	assert_int_equal(bed_stats(&bed).modified_errors, 1);
	assert_int_equal(bed_stats(&bed).modified_refused, 0);
	bed_stop(&bed);
}

static void an_extent_that_is_refused_is_halved_down_to_its_page(void **state)
{
	struct bed bed;

	(void)state;
	/* A page in the middle is not the guest's last, whatever the error. */
	start(&bed, 0, GFN + 77, -EINVAL);
	write_pages(&bed, GFN, 200);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(xensim_dirty(bed.domain, GFN + i), i != 77);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.gfn, GFN + 77);
	assert_int_equal(told.error, -EINVAL);
	assert_in_range(rule.calls, 8, 20);
	assert_int_equal(bed_stats(&bed).modified_pages, 199);
	bed_stop(&bed);
}

static void the_guests_last_frame_is_no_error_and_takes_nothing_with_it(void **state)
{
	uint64_t last = 1023;
	struct bed bed;

	(void)state;
	start(&bed, last, 0, -EINVAL);
	mapcache_begin(bed.client);
	*bed_ptr(bed.client, GPA, PROT_WRITE) = 1;
	*bed_ptr(bed.client, last * BED_PAGE, PROT_WRITE) = 1;
	assert_int_equal(mapcache_end(bed.client), 0);
	write_pages(&bed, last - 99, 100);
	assert_true(xensim_dirty(bed.domain, GFN));
	for (uint64_t gfn = last - 99; gfn < last; gfn++)
		assert_true(xensim_dirty(bed.domain, gfn));
	assert_int_equal(told.calls, 0);
	assert_int_equal(told.infos, 1);
	assert_int_equal(bed_stats(&bed).modified_errors, 0);
	assert_int_equal(bed_stats(&bed).modified_refused, 2);
	bed_stop(&bed);
}

/* By xensim's rule, which is Xen's: conformance compares them. */
static void xen_itself_is_told_all_but_the_last_frame(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	mapcache_begin(bed.client);
	for (uint64_t gfn = 3; gfn < 1024; gfn += 60)
		*bed_ptr(bed.client, gfn * BED_PAGE, PROT_WRITE) = gfn;
	assert_int_equal(mapcache_end(bed.client), 0);
	for (uint64_t gfn = 3; gfn < 1023; gfn += 60)
		assert_true(xensim_dirty(bed.domain, gfn));
	assert_int_equal(bed_stats(&bed).modified_errors, 0);
	assert_int_equal(bed_stats(&bed).modified_refused, 1);
	bed_stop(&bed);
}

static void what_passes_by_itself_is_tried_again(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, 0, 0, 0);
	rule.passing = 3;
	bed_write(bed.client, GPA, 1);
	assert_true(xensim_dirty(bed.domain, GFN));
	assert_int_equal(rule.calls, 4);
	assert_int_equal(bed_stats(&bed).modified_errors, 0);
	assert_int_equal(told.calls, 0);
	bed_stop(&bed);
}

static void what_no_part_could_be_told_costs_one_more_call_for_each_extent(void **state)
{
	static const int errors[] = { -ESRCH, -EOPNOTSUPP, -EPERM };
	struct bed bed;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		start(&bed, 1, 0, errors[i]);
		write_pages(&bed, GFN, 200);
		assert_int_equal(rule.calls, 2);
		assert_int_equal(told.calls, 1);
		assert_int_equal(told.pages, 200);
		assert_int_equal(told.error, errors[i]);
		bed_stop(&bed);
	}
}

static void a_report_that_is_refused_whole_is_given_up_in_bounded_work(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, 1, 0, -EIO);
	write_pages(&bed, 0, 1024);
	assert_in_range(rule.calls, 1024, 2200);
	assert_int_equal(told.pages, 1024);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	bed_stop(&bed);
}

static void what_is_reported_by_a_call_returns_what_became_of_it(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	start(&bed, 0, GFN, -EPERM);
	pointer = bed_pin(bed.client, GPA);
	assert_int_equal(mapcache_modified(bed.client, (void *)pointer, 8), -EPERM);
	assert_int_equal(mapcache_modified_pins(bed.cache), -EPERM);
	assert_int_equal(mapcache_dirty_log(bed.cache, false), -EPERM);
	assert_int_equal(told.calls, 3);
	/* It is off all the same. */
	assert_int_equal(mapcache_modified(bed.client, (void *)pointer, 8), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 8), 0);
	assert_int_equal(told.calls, 3);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_extent_that_is_refused_does_not_lose_the_others),
		cmocka_unit_test(an_extent_that_is_refused_is_halved_down_to_its_page),
		cmocka_unit_test(the_guests_last_frame_is_no_error_and_takes_nothing_with_it),
		cmocka_unit_test(xen_itself_is_told_all_but_the_last_frame),
		cmocka_unit_test(what_passes_by_itself_is_tried_again),
		cmocka_unit_test(what_no_part_could_be_told_costs_one_more_call_for_each_extent),
		cmocka_unit_test(a_report_that_is_refused_whole_is_given_up_in_bounded_work),
		cmocka_unit_test(what_is_reported_by_a_call_returns_what_became_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
