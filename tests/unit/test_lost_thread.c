/* SPDX-License-Identifier: MIT */
/*
 * Threads that end without closing their client: it stays open, and whoever has joined the
 * thread may end its section, go on with it and close it. Whose section it is then, is told by
 * who began it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/flag.h>

#define GPA (5 * BED_PAGE)

struct lost {
	struct mapcache *cache;
	struct mapcache_client *client;
	bool inside;
	int error;
	struct flag used, closed;
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

/* ---- whose section it is ------------------------------------------------------------------ */

static void the_section_of_a_client_taken_over_is_its_new_owners(void **state)
{
	struct lost lost = { .inside = false };
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, BED_QUIET);
	lose_a_thread(&bed, &lost);
	mapcache_begin(lost.client);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, -1, 0), -EDEADLK);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), -EDEADLK);
	assert_int_equal(mapcache_replace(bed.cache, 0, BED_BUCKET, BED_PAGE), -EDEADLK);
	/* An inner end changes nothing. */
	mapcache_begin(lost.client);
	assert_int_equal(mapcache_end(lost.client), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, -1, 0), -EDEADLK);
	assert_int_equal(mapcache_end(lost.client), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, -1, 0), 0);
	mapcache_begin(lost.client);
	assert_int_equal(mapcache_drain(bed.cache, epoch, -1, 0), -EDEADLK);
	assert_int_equal(mapcache_end(lost.client), 0);
	assert_int_equal(mapcache_client_close(lost.client), 0);
	bed_stop(&bed);
}

struct stranger {
	struct bed *bed;
	uint64_t epoch;
	int drained, replaced;
};

static void *drain_and_replace(void *data)
{
	struct stranger *stranger = data;

	stranger->drained = mapcache_drain(stranger->bed->cache, stranger->epoch, 10, 0);
	stranger->replaced = mapcache_replace(stranger->bed->cache, 0, BED_BUCKET, BED_PAGE);
	return NULL;
}

/* Threads that come after it get the ended one's pthread_t and its stack. */
static void a_thread_with_an_ended_ones_name_is_not_in_its_sections(void **state)
{
	for (int inside = 0; inside < 2; inside++) {
		struct lost lost = { .inside = inside };
		struct stranger stranger;
		pthread_t thread;
		struct bed bed;

		(void)state;
		bed_start(&bed, BED_QUIET);
		lose_a_thread(&bed, &lost);
		if (!inside)
			mapcache_begin(lost.client);
		stranger = (struct stranger){ &bed, mapcache_invalidate(bed.cache), 0, 0 };
		assert_int_equal(pthread_create(&thread, NULL, drain_and_replace, &stranger), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(stranger.drained, -ETIMEDOUT);
		assert_int_equal(stranger.replaced, 0);
		assert_int_equal(mapcache_end(lost.client), 0);
		assert_int_equal(mapcache_end(lost.client), -EINVAL);
		assert_int_equal(mapcache_drain(bed.cache, stranger.epoch, -1, 0), 0);
		assert_int_equal(mapcache_client_close(lost.client), 0);
		bed_stop(&bed);
	}
}

static void *begin_and_drain(void *data)
{
	struct lost *lost = data;

	mapcache_begin(lost->client);
	lost->error = mapcache_drain(lost->cache, mapcache_invalidate(lost->cache), -1, 0);
	mapcache_end(lost->client);
	return NULL;
}

/* Opened on one thread for another one: it is the one's that uses it. */
static void a_client_opened_for_another_thread_is_that_threads(void **state)
{
	struct lost lost;
	pthread_t thread;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	lost = (struct lost){ .cache = bed.cache, .client = bed.other };
	for (int round = 0; round < 3; round++) {
		assert_int_equal(pthread_create(&thread, NULL, begin_and_drain, &lost), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(lost.error, -EDEADLK);
	}
	mapcache_begin(bed.other);
	assert_int_equal(mapcache_drain(bed.cache, 1, 0, 0), -EDEADLK);
	assert_int_equal(mapcache_end(bed.other), 0);
	bed_stop(&bed);
}

static void *use_and_wait(void *data)
{
	struct lost *lost = data;

	mapcache_begin(lost->client);
	mapcache_end(lost->client);
	flag_set(&lost->used);
	flag_wait(&lost->closed);
	return NULL;
}

/* The thread does not come back to a client that is gone when it ends, nor to a cache. */
static void a_client_may_be_closed_before_the_thread_that_used_it_ends(void **state)
{
	for (int with_cache = 0; with_cache < 2; with_cache++) {
		struct lost lost = { .inside = false };
		pthread_t thread;
		struct bed bed;

		(void)state;
		bed_start(&bed, BED_QUIET);
		lost.client = bed.other;
		assert_int_equal(pthread_create(&thread, NULL, use_and_wait, &lost), 0);
		flag_wait(&lost.used);
		assert_int_equal(mapcache_client_close(bed.other), 0);
		bed.other = NULL;
		if (with_cache)
			bed_stop(&bed);
		flag_set(&lost.closed);
		assert_int_equal(pthread_join(thread, NULL), 0);
		if (!with_cache)
			bed_stop(&bed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_outlives_its_thread_and_can_be_closed_by_another),
		cmocka_unit_test(
			a_section_that_its_thread_left_open_holds_back_reclaim_until_it_is_ended),
		cmocka_unit_test(the_section_of_a_client_taken_over_is_its_new_owners),
		cmocka_unit_test(a_thread_with_an_ended_ones_name_is_not_in_its_sections),
		cmocka_unit_test(a_client_opened_for_another_thread_is_that_threads),
		cmocka_unit_test(a_client_may_be_closed_before_the_thread_that_used_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
