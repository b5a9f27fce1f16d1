/* SPDX-License-Identifier: MIT */
/*
 * Threads that end without closing their client: it stays open, and whoever has joined the
 * thread may end its section and close it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define GPA (5 * BED_PAGE)

struct lost {
	struct mapcache *cache;
	struct mapcache_client *client;
	bool inside;
	int error;
};

static void *read_and_leave(void *data)
{
	struct lost *lost = data;

	lost->error = mapcache_client_open(lost->cache, &lost->client);
	if (lost->error)
		return NULL;
	mapcache_begin(lost->client);
	if (!mapcache_ptr(lost->client, GPA, 8, PROT_READ))
		lost->error = -errno;
	if (!lost->inside)
		(void)mapcache_end(lost->client);
	return NULL;
}

static void lose_a_thread(struct bed *bed, struct lost *lost)
{
	pthread_t thread;

	lost->cache = bed->cache;
	assert_int_equal(pthread_create(&thread, NULL, read_and_leave, lost), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(lost->error, 0);
}

static void close_clients(struct bed *bed)
{
	assert_int_equal(mapcache_client_close(bed->client), 0);
	assert_int_equal(mapcache_client_close(bed->other), 0);
	bed->client = bed->other = NULL;
}

static void a_client_outlives_its_thread_and_can_be_closed_by_another(void **state)
{
	struct lost lost = { .inside = false };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	lose_a_thread(&bed, &lost);
	assert_int_equal(bed_stats(&bed).clients, 3);
	/* It holds nothing back. */
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, mapcache_epoch(bed.cache), 0, 0), 0);
	assert_int_equal(bed_reclaim(&bed), 0);
	close_clients(&bed);
	assert_int_equal(mapcache_close(bed.cache), -EBUSY);
	assert_int_equal(mapcache_client_close(lost.client), 0);
	bed_stop(&bed);
}

static void a_section_that_its_thread_left_open_holds_back_reclaim_until_it_is_ended(void **state)
{
	struct lost lost = { .inside = true };
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, BED_QUIET);
	lose_a_thread(&bed, &lost);
	epoch = mapcache_invalidate(bed.cache);
	assert_true(bed_reclaim(&bed) > 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), -ETIMEDOUT);
	assert_int_equal(mapcache_client_close(lost.client), -EBUSY);
	/* Others go on. */
	assert_int_equal(bed_read(bed.client, GPA), bed_value(5));

	assert_int_equal(mapcache_end(lost.client), 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), 0);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(mapcache_client_close(lost.client), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_outlives_its_thread_and_can_be_closed_by_another),
		cmocka_unit_test(
			a_section_that_its_thread_left_open_holds_back_reclaim_until_it_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
