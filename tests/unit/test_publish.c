/* SPDX-License-Identifier: MIT */
/* Statistics that another process reads, and mapcache-top's reader of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <examples/top/page.h>
#include <tests/support/bed.h>

static char path[64];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/mapcache-test-%d", (int)getpid());
	return 0;
}

static uint64_t published(const struct mapcache_published *page, const char *name)
{
	struct sample sample;

	assert_int_equal(page_read(page, &sample), 0);
	return page_value(page, &sample, name);
}

static void counters_are_found_by_name_as_they_were_at_the_last_write(void **state)
{
	const struct mapcache_published *page;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_publish(bed.cache, path, 0), 0);
	assert_int_equal(page_open(path, &page), 0);
	assert_int_equal(page->pid, getpid());
	assert_int_equal(page->domid, xensim_domid(bed.domain));
	assert_string_equal(page->version, mapcache_version());
	assert_int_equal(published(page, "epoch"), 1);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, 0);
	assert_int_equal(published(page, "epoch"), 1);
	assert_int_equal(mapcache_publish_now(bed.cache), 0);
	assert_int_equal(published(page, "epoch"), 2);
	assert_int_equal(published(page, "map_calls"), 1);
	assert_int_equal(published(page, "no such counter"), 0);
	page_close(page);
	bed_stop(&bed);
}

static void every_statistic_is_published(void **state)
{
	const struct mapcache_published *page;
	struct bed bed;
	unsigned int i = 0;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_publish(bed.cache, path, 0), 0);
	assert_int_equal(page_open(path, &page), 0);
#define SAME_NAME(statistic, text) assert_string_equal(page->counter[i++].name, #statistic);
	MAPCACHE_STATISTICS(SAME_NAME)
#undef SAME_NAME
	assert_in_range(page->count, i, MAPCACHE_PUBLISHED_COUNTERS);
	page_close(page);
	bed_stop(&bed);
}

static void the_thread_writes_by_itself(void **state)
{
	const struct mapcache_published *page;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_publish(bed.cache, path, 1), 0);
	assert_int_equal(page_open(path, &page), 0);
	mapcache_invalidate(bed.cache);
	/* Without end if it does not: the bed's alarm tells. */
	while (published(page, "epoch") != 2)
		usleep(1000);
	page_close(page);
	bed_stop(&bed);
}

static void the_file_is_the_owners_alone_and_goes_at_close(void **state)
{
	struct stat stat_of;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_publish(bed.cache, path, 1000), 0);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 07777, 0600);
	bed_stop(&bed);
	assert_int_equal(access(path, F_OK), -1);
}

static void what_a_dead_process_left_is_replaced_and_a_link_is_not_followed(void **state)
{
	const struct mapcache_published *page;
	char target[80];
	struct bed bed;
	FILE *file;

	(void)state;
	snprintf(target, sizeof(target), "%s.target", path);
	file = fopen(target, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(symlink(target, path), 0);
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_publish(bed.cache, path, 0), 0);
	assert_int_equal(page_open(target, &page), -EINVAL);
	assert_int_equal(page_open(path, &page), 0);
	page_close(page);
	bed_stop(&bed);
	assert_int_equal(unlink(target), 0);
}

static void bad_calls_are_refused_and_leave_nothing(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_publish_now(bed.cache), -ENOENT);
	assert_int_equal(mapcache_publish_now(NULL), -EINVAL);
	assert_int_equal(mapcache_publish(NULL, path, 0), -EINVAL);
	assert_int_equal(mapcache_publish(bed.cache, NULL, 0), -EINVAL);
	assert_int_equal(mapcache_publish(bed.cache, path, 3600001), -EINVAL);
	assert_int_equal(mapcache_publish(bed.cache, "/nowhere/at/all", 0), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(mapcache_publish(bed.cache, path, 0), 0);
	assert_int_equal(mapcache_publish(bed.cache, path, 0), -EALREADY);
	bed_stop(&bed);
}

static void a_childs_close_leaves_the_file_to_its_parent(void **state)
{
	struct bed bed;
	int status;
	pid_t child;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_publish(bed.cache, path, 1000), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child)
		_exit(mapcache_close(bed.cache) ? 1 : 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(access(path, F_OK), 0);
	bed_stop(&bed);
}

static void a_file_of_somebody_elses_is_refused(void **state)
{
	const struct mapcache_published *page;
	char zeroes[MAPCACHE_PUBLISHED_BYTES] = "";
	FILE *file;

	(void)state;
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(zeroes, sizeof(zeroes), 1, file), 1);
	fclose(file);
	assert_int_equal(page_open(path, &page), -EINVAL);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(page_open(path, &page), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(page_open(path, &page), -ENOENT);
	assert_int_equal(page_open("/tmp", &page), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_are_found_by_name_as_they_were_at_the_last_write),
		cmocka_unit_test(every_statistic_is_published),
		cmocka_unit_test(the_thread_writes_by_itself),
		cmocka_unit_test(the_file_is_the_owners_alone_and_goes_at_close),
		cmocka_unit_test(what_a_dead_process_left_is_replaced_and_a_link_is_not_followed),
		cmocka_unit_test(bad_calls_are_refused_and_leave_nothing),
		cmocka_unit_test(a_childs_close_leaves_the_file_to_its_parent),
		cmocka_unit_test(a_file_of_somebody_elses_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
