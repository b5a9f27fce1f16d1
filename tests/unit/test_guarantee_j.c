/* SPDX-License-Identifier: MIT */
/*
 * Guarantee J: nothing called inside a section waits for the section of another client to
 * end. Two clients of one thread are as good as two threads here: who waits, waits for ever.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define TINY                                                                                       \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.ram_pages = 1024,                                                                 \
		.cache = { .bucket_shift = 16,                                                     \
			   .max_bytes = 4 << 16,                                                   \
			   .flags = MAPCACHE_NO_RECLAIM_THREAD },                                  \
	}

static void two_clients_refresh_each_others_buckets_inside_their_sections(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < 50; i++) {
		mapcache_begin(bed.client);
		mapcache_begin(bed.other);
		assert_int_equal(*bed_ptr(bed.client, 0, PROT_READ), bed_value(0));
		assert_int_equal(*bed_ptr(bed.other, BED_BUCKET, PROT_READ), bed_value(256));
		mapcache_invalidate(bed.cache);
		assert_int_equal(*bed_ptr(bed.client, BED_BUCKET, PROT_READ), bed_value(256));
		assert_int_equal(*bed_ptr(bed.other, 0, PROT_READ), bed_value(0));
		assert_int_equal(*bed_ptr(bed.other, BED_BUCKET, PROT_READ), bed_value(256));
		assert_int_equal(*bed_ptr(bed.client, 0, PROT_READ), bed_value(0));
		assert_int_equal(mapcache_end(bed.client), 0);
		assert_int_equal(mapcache_end(bed.other), 0);
	}
	bed_stop(&bed);
}

/* Its own older pointers are in the way as much as others': it goes round them as well. */
static void a_client_does_not_wait_for_its_own_section_either(void **state)
{
	volatile uint64_t *pointers[10];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	for (unsigned int i = 0; i < 10; i++) {
		pointers[i] = bed_ptr(bed.client, 0, PROT_READ);
		bed_exchange(&bed, 0, i);
		mapcache_invalidate(bed.cache);
	}
	assert_int_equal(*pointers[0], bed_value(0));
	for (unsigned int i = 1; i < 10; i++)
		assert_int_equal(*pointers[i], i - 1);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

/* Room that only the end of a section could make is not waited for: EAGAIN. */
static void where_sections_hold_all_room_a_look_up_says_so(void **state)
{
	unsigned int got = 0, again = 0;
	struct bed bed;

	(void)state;
	bed_start(&bed, TINY);
	mapcache_begin(bed.client);
	mapcache_begin(bed.other);
	for (uint64_t bucket = 0; bucket < 32; bucket++) {
		struct mapcache_client *client = bucket % 2 ? bed.client : bed.other;

		if (mapcache_ptr(client, bucket << 16, 8, PROT_READ)) {
			got++;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		again++;
	}
	assert_in_range(got, 4, 16);
	assert_true(again > 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_end(bed.other), 0);
	for (uint64_t bucket = 0; bucket < 32; bucket++)
		assert_int_equal(bed_read(bed.client, bucket << 16), bed_value(bucket * 16));
	bed_stop(&bed);
}

/* When others hold all room, one bucket for each client is still to be had. */
static void a_client_gets_one_bucket_even_where_another_holds_all_room(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, TINY);
	mapcache_begin(bed.other);
	for (uint64_t bucket = 0; bucket < 32; bucket++)
		(void)!mapcache_ptr(bed.other, bucket << 16, 8, PROT_READ);
	for (uint64_t bucket = 32; bucket < 48; bucket++)
		assert_int_equal(bed_read(bed.client, bucket << 16), bed_value(bucket * 16));
	assert_int_equal(mapcache_end(bed.other), 0);
	bed_stop(&bed);
}

static void drain_inside_a_section_is_refused(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	assert_int_equal(mapcache_drain(bed.cache, 1, -1, 0), -EDEADLK);
	mapcache_begin(bed.client);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_drain(bed.cache, 1, -1, 0), -EDEADLK);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_drain(bed.cache, 1, -1, 0), 0);
	bed_stop(&bed);
}

static void reclaim_and_copies_inside_a_section_do_not_wait(void **state)
{
	char buffer[256];
	struct bed bed;

	(void)state;
	bed_start(&bed, TINY);
	mapcache_begin(bed.other);
	mapcache_begin(bed.client);
	for (unsigned int i = 0; i < 20; i++) {
		(void)!mapcache_read(bed.client, (i + 1) << 16, buffer, sizeof(buffer));
		(void)!mapcache_write(bed.other, (i + 2) << 16, buffer, 0);
		mapcache_invalidate(bed.cache);
		assert_int_equal(mapcache_invalidate_range(bed.cache, 0, 1 << 20), 0);
		mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_end(bed.other), 0);
	bed_stop(&bed);
}

/* ---- in lock-step ---------------------------------------------------------------------------- */

#define ROUNDS 1000u

struct lockstep {
	pthread_barrier_t barrier;
	struct mapcache *cache;
	unsigned int turn; /* atomic: hands out who is first */
};

/* Both are inside with a pointer, one invalidates, both refresh both buckets at once. */
static int refresh_in_lockstep(struct peer *peer, void *data)
{
	struct lockstep *lockstep = data;
	int error = 0;

	for (unsigned int i = 0; i < ROUNDS && !error; i++) {
		unsigned int me = __atomic_fetch_add(&lockstep->turn, 1, __ATOMIC_RELAXED) & 1;
		struct peer_look mine = { .gpa = me * BED_BUCKET };
		struct peer_look theirs = { .gpa = !me * BED_BUCKET };

		mapcache_begin(peer->client);
		error = peer_ptr(peer, &mine);
		pthread_barrier_wait(&lockstep->barrier);
		if (me)
			mapcache_invalidate(lockstep->cache);
		pthread_barrier_wait(&lockstep->barrier);
		error = error ? error : peer_ptr(peer, &theirs);
		error = error ? error : peer_ptr(peer, &mine);
		/* Neither ends before both have what they want. */
		pthread_barrier_wait(&lockstep->barrier);
		if (mapcache_end(peer->client))
			error = -EINVAL;
		pthread_barrier_wait(&lockstep->barrier);
	}
	return error;
}

static void two_threads_refresh_at_once_inside_their_sections(void **state)
{
	struct lockstep lockstep = { .turn = 0 };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	lockstep.cache = bed.cache;
	assert_int_equal(pthread_barrier_init(&lockstep.barrier, NULL, 2), 0);
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], refresh_in_lockstep, &lockstep);
	}
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(peer_wait(&peers[i]), 0);
	for (unsigned int i = 0; i < 2; i++)
		peer_close(&peers[i]);
	assert_int_equal(mapcache_epoch(bed.cache), 1 + ROUNDS);
	pthread_barrier_destroy(&lockstep.barrier);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_clients_refresh_each_others_buckets_inside_their_sections),
		cmocka_unit_test(a_client_does_not_wait_for_its_own_section_either),
		cmocka_unit_test(where_sections_hold_all_room_a_look_up_says_so),
		cmocka_unit_test(a_client_gets_one_bucket_even_where_another_holds_all_room),
		cmocka_unit_test(drain_inside_a_section_is_refused),
		cmocka_unit_test(reclaim_and_copies_inside_a_section_do_not_wait),
		cmocka_unit_test(two_threads_refresh_at_once_inside_their_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
