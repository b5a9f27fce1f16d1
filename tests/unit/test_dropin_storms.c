/* SPDX-License-Identifier: MIT */
/*
 * The layer with QEMU's interface while much goes on at once: other threads that map, failures
 * without end, look-ups and locks while the guest's memory goes and comes.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/flag.h>

#include "qemu_stage.h"

#define LEN (BED_BUCKET + 2 * BED_PAGE)
#define VIDEO (UINT64_C(512) << 20)

static void *map_own_memory(void *data)
{
	struct flag *stop = data;
	uintptr_t wrong = 0;

	while (!flag_is_set(stop)) {
		char *mine =
			mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mine == MAP_FAILED)
			continue;
		mine[0] = mine[LEN - 1] = 1;
		wrong += mine[0] != 1 || mine[LEN - 1] != 1;
		munmap(mine, LEN);
	}
	return (void *)wrong;
}

static void a_block_that_moves_keeps_its_place_while_other_threads_map(void **state)
{
	struct flag stop = { 0 };
	uint8_t *pointer;
	pthread_t thread;
	void *wrong;

	(void)state;
	stage_start(1024, NULL);
	stage_block_add(VIDEO, LEN);
	stage_populate(VIDEO, LEN);
	pointer = stage_map_block(VIDEO, LEN, false, true);
	assert_int_equal(pthread_create(&thread, NULL, map_own_memory, &stop), 0);
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t to = (i % 3) * BED_BUCKET + (i % 2 ? BED_BUCKET / 4 : 0);

		assert_ptr_equal(xen_replace_cache_entry(VIDEO, to, LEN), pointer);
		assert_int_equal(stage_word(pointer + BED_BUCKET),
				 bed_value((to + BED_BUCKET) / BED_PAGE));
	}
	flag_set(&stop);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	assert_null(wrong);
	stage_block_remove(VIDEO);
	xen_invalidate_map_cache_entry(pointer);
	stage_stop();
}

/* No exit, no abort, and a log that cannot be flooded. */
static void a_storm_of_failures_ends_nothing_and_floods_nothing(void **state)
{
	(void)state;
	stage_start(1024, NULL);
	for (unsigned int i = 0; i < 2000; i++) {
		xensim_fail(XENSIM_CALL_MAP, 1, i % 2 ? ENOMEM : EIO);
		assert_null(stage_map((i % 4) * BED_BUCKET, LEN, true, true));
		assert_null(stage_map(UINT64_C(1) << 45, 8, false, false));
		xen_invalidate_map_cache();
	}
	assert_int_equal(stage.failures, 4000);
	assert_in_range(stage.messages, 0, 1000);
	assert_int_equal(stage_word(stage_map(0, 8, false, false)), bed_value(0));
	stage_stop();
}

/* QEMU's RCU: whoever uses an unlocked pointer reads, a grace period is a moment without readers. */
static pthread_rwlock_t rcu = PTHREAD_RWLOCK_INITIALIZER;

static void grace_period(void)
{
	pthread_rwlock_wrlock(&rcu);
	pthread_rwlock_unlock(&rcu);
	stage_grace_period();
}

/* Threads that look up, lock and unlock while the guest's memory goes and comes. */
struct worker {
	uint64_t seed;
	uint64_t wrong;
};

static void *work(void *data)
{
	struct worker *worker = data;
	uint64_t random = worker->seed;

	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t gfn;
		uint8_t *pointer;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		gfn = (random >> 33) % 1000;
		pthread_rwlock_rdlock(&rcu);
		pointer = stage_map(gfn * BED_PAGE, i % 5 ? 8 : 5 * BED_PAGE, i % 2, i % 2);
		worker->wrong += !pointer || *(const volatile uint64_t *)pointer != bed_value(gfn);
		if (pointer && i % 2)
			xen_invalidate_map_cache_entry(pointer);
		pthread_rwlock_unlock(&rcu);
	}
	return NULL;
}

static void threads_look_up_lock_and_unlock_under_a_storm(void **state)
{
	struct worker workers[3] = { { 1, 0 }, { 2, 0 }, { 3, 0 } };
	pthread_t threads[3];

	(void)state;
	print_message("seeds 1, 2, 3\n");
	stage_start(1024, NULL);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	for (unsigned int i = 0; i < 300; i++) {
		xen_invalidate_map_cache();
		stage_main_loop();
		if (i % 3 == 0)
			grace_period();
		mapcache_reclaim(stage.cache, UINT64_MAX);
		usleep(300);
	}
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(workers[i].wrong, 0);
	}
	stage_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_that_moves_keeps_its_place_while_other_threads_map),
		cmocka_unit_test(a_storm_of_failures_ends_nothing_and_floods_nothing),
		cmocka_unit_test(threads_look_up_lock_and_unlock_under_a_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
