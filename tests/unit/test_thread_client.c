/* SPDX-License-Identifier: MIT */
/*
 * mapcache_thread_client(): every thread has a client of every cache that it asks for one, until
 * the one or the other ends.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/cancellable.h>
#include <tests/support/flag.h>

#define GPA (5 * BED_PAGE)

struct thread {
	struct mapcache *cache;
	struct mapcache_client *client;
	uint64_t value;
	void *pin;
	bool inside, cancelled;
	struct flag ready, go;
};

/* Asks, reads, and waits to be told to end. */
static void *ask_and_read(void *data)
{
	struct thread *thread = data;
	size_t len = 8;

	thread->client = mapcache_thread_client(thread->cache);
	if (thread->client) {
		(void)!mapcache_read(thread->client, GPA, &thread->value, 8);
		thread->pin = mapcache_pin(thread->client, GPA, &len, PROT_READ, 0);
		if (thread->inside) {
			mapcache_begin(thread->client);
			mapcache_begin(thread->client);
			(void)!mapcache_ptr(thread->client, GPA, 8, PROT_READ);
		}
	}
	flag_set(&thread->ready);
	if (thread->cancelled) {
		pthread_cancel(pthread_self());
		pthread_testcancel();
	}
	flag_wait(&thread->go);
	return NULL;
}

static pthread_t start(struct thread *thread, struct mapcache *cache)
{
	pthread_t id;

	thread->cache = cache;
	assert_int_equal(pthread_create(&id, NULL, ask_and_read, thread), 0);
	flag_wait(&thread->ready);
	return id;
}

static void finish(struct thread *thread, pthread_t id)
{
	flag_set(&thread->go);
	assert_int_equal(pthread_join(id, NULL), 0);
}

/* The first test: nobody has needed a key of the library's yet, and the first is another's. */
static void a_cache_that_nobody_used_leaves_other_keys_alone(void **state)
{
	void *mine = mmap(NULL, BED_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_key_t key;
	struct rig rig;

	(void)state;
	assert_ptr_not_equal(mine, MAP_FAILED);
	assert_int_equal(pthread_key_create(&key, NULL), 0);
	assert_int_equal(pthread_setspecific(key, mine), 0);
	rig_start(&rig, NULL);
	rig_close(&rig);
	rig_stop(&rig);
	assert_ptr_equal(pthread_getspecific(key), mine);
	assert_int_equal(pthread_key_delete(key), 0);
	munmap(mine, BED_PAGE);
}

static void a_thread_gets_its_own_client_the_same_every_time(void **state)
{
	struct thread threads[3] = { { .value = 0 } };
	struct mapcache_client *mine;
	pthread_t id[3];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	errno = 0;
	assert_null(mapcache_thread_client(NULL));
	assert_int_equal(errno, EINVAL);
	mine = mapcache_thread_client(bed.cache);
	assert_non_null(mine);
	assert_ptr_equal(mapcache_thread_client(bed.cache), mine);
	assert_int_equal(bed_stats(&bed).clients, 3);
	for (int i = 0; i < 3; i++) {
		id[i] = start(&threads[i], bed.cache);
		assert_non_null(threads[i].client);
		assert_ptr_not_equal(threads[i].client, mine);
		assert_int_equal(threads[i].value, bed_value(5));
	}
	assert_int_equal(bed_stats(&bed).clients, 6);
	for (int i = 0; i < 3; i++) {
		finish(&threads[i], id[i]);
		assert_int_equal(bed_stats(&bed).clients, 5 - (unsigned int)i);
		/* What it pinned stays pinned. */
		assert_int_equal(*(volatile uint64_t *)threads[i].pin, bed_value(5));
		assert_int_equal(mapcache_unpin(bed.cache, threads[i].pin, 0), 0);
	}
	assert_ptr_equal(mapcache_thread_client(bed.cache), mine);
	bed_stop(&bed);
}

/* Nobody else could end it. */
static void a_section_ends_with_its_thread(void **state)
{
	struct bed bed;

	(void)state;
	for (int cancelled = 0; cancelled < 1 + CANCELLABLE; cancelled++) {
		struct thread thread = { .inside = true, .cancelled = cancelled };
		uint64_t epoch;
		pthread_t id;

		bed_start(&bed, BED_QUIET);
		id = start(&thread, bed.cache);
		finish(&thread, id);
		epoch = mapcache_invalidate(bed.cache);
		assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), 0);
		assert_int_equal(mapcache_unpin(bed.cache, thread.pin, 0), 0);
		assert_int_equal(bed_reclaim(&bed), 0);
		assert_int_equal(bed_totals().foreign_mappings, 0);
		bed_stop(&bed);
	}
}

static void its_section_is_its_threads(void **state)
{
	struct mapcache_client *client;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	client = mapcache_thread_client(bed.cache);
	mapcache_begin(client);
	assert_int_equal(mapcache_drain(bed.cache, 1, -1, 0), -EDEADLK);
	assert_int_equal(mapcache_end(client), 0);
	assert_int_equal(mapcache_drain(bed.cache, 1, -1, 0), 0);
	bed_stop(&bed);
}

static void close_takes_clients_that_are_in_no_section(void **state)
{
	struct thread thread = { .value = 0 }, inside = { .inside = true };
	pthread_t id, inside_id;
	struct mapcache *cache;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	cache = bed.cache;
	assert_non_null(mapcache_thread_client(cache));
	id = start(&thread, cache);
	assert_int_equal(mapcache_unpin(cache, thread.pin, 0), 0);
	inside_id = start(&inside, cache);
	assert_int_equal(mapcache_unpin(cache, inside.pin, 0), 0);
	assert_int_equal(mapcache_client_close(bed.client), 0);
	assert_int_equal(mapcache_client_close(bed.other), 0);
	bed.client = bed.other = NULL;
	assert_int_equal(mapcache_close(cache), -EBUSY);
	finish(&inside, inside_id);
	/* The other threads, this one among them, live on. */
	bed_stop(&bed);
	finish(&thread, id);
}

/* As a device model does that serves one guest after the other. */
static void the_next_guest_s_cache_gets_clients_of_its_own(void **state)
{
	struct bed bed;

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct mapcache_client *client;

		bed_start(&bed, NULL);
		client = mapcache_thread_client(bed.cache);
		assert_non_null(client);
		assert_int_equal(bed_stats(&bed).clients, 3);
		assert_int_equal(bed_read(client, GPA), bed_value(5));
		if (round % 2) {
			/* Given back early: the next call opens another one. */
			assert_int_equal(mapcache_client_close(client), 0);
			assert_int_equal(bed_stats(&bed).clients, 2);
			assert_int_equal(bed_read(mapcache_thread_client(bed.cache), GPA),
					 bed_value(5));
		}
		bed_stop(&bed);
	}
}

static void a_thread_may_have_clients_of_many_caches(void **state)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = 16,
					    .max_bytes = BED_BUCKET,
					    .guest_limit = 64 * BED_BUCKET };
	struct mapcache_client *clients[30];
	struct mapcache *caches[30];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	options.domid = bed.rig.domid;
	for (int i = 0; i < 30; i++) {
		assert_int_equal(mapcache_open(&options, &caches[i]), 0);
		clients[i] = mapcache_thread_client(caches[i]);
		assert_non_null(clients[i]);
	}
	for (int i = 0; i < 30; i += 2)
		assert_int_equal(mapcache_close(caches[i]), 0);
	for (int i = 1; i < 30; i += 2) {
		assert_ptr_equal(mapcache_thread_client(caches[i]), clients[i]);
		assert_int_equal(bed_read(clients[i], GPA), bed_value(5));
		assert_int_equal(mapcache_close(caches[i]), 0);
	}
	bed_stop(&bed);
}

/* Threads end while the cache is closed: each of the two leaves the client to the other one. */
static void threads_may_end_while_the_cache_is_closed(void **state)
{
	struct mapcache_options options = { .size = sizeof(options) };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	options.domid = bed.rig.domid;
	options.flags = MAPCACHE_NO_RECLAIM_THREAD;
	for (int round = 0; round < 300; round++) {
		struct thread threads[2] = { { .value = 0 } };
		struct mapcache *cache;
		pthread_t id[2];

		assert_int_equal(mapcache_open(&options, &cache), 0);
		for (int i = 0; i < 2; i++) {
			id[i] = start(&threads[i], cache);
			assert_int_equal(mapcache_unpin(cache, threads[i].pin, 0), 0);
		}
		flag_set(&threads[0].go);
		flag_set(&threads[1].go);
		assert_int_equal(mapcache_close(cache), 0);
		assert_int_equal(pthread_join(id[0], NULL), 0);
		assert_int_equal(pthread_join(id[1], NULL), 0);
	}
	bed_stop(&bed);
}

/* Closes what it inherited, and what was its thread's there is not found in a cache of its own. */
static int close_and_open(struct bed *bed, struct mapcache_client *parents)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = bed->rig.domid,
					    .flags = MAPCACHE_NO_RECLAIM_THREAD };
	struct mapcache_client *client;
	struct mapcache *cache;

	if (mapcache_close(bed->cache))
		return 1;
	if (mapcache_open(&options, &cache))
		return 2;
	client = mapcache_thread_client(cache);
	if (!client || client == parents || mapcache_thread_client(cache) != client)
		return 3;
	return mapcache_close(cache) ? 4 : 0;
}

static void a_child_after_fork_has_clients_of_its_own_caches(void **state)
{
	struct mapcache_client *mine;
	struct bed bed;
	int status;
	pid_t child;

	(void)state;
	bed_start(&bed, NULL);
	mine = mapcache_thread_client(bed.cache);
	assert_non_null(mine);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(20);
		_exit(close_and_open(&bed, mine));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_ptr_equal(mapcache_thread_client(bed.cache), mine);
	assert_int_equal(bed_read(mine, GPA), bed_value(5));
	bed_stop(&bed);
}

static void end_the_child(void)
{
	_exit(0);
}

static void *fork_and_end(void *data)
{
	struct thread *thread = data;
	int status;
	pid_t child;

	if (!mapcache_thread_client(thread->cache))
		return NULL;
	child = fork();
	if (child == 0) {
		/* The thread is the only one there, and comes to its end; what other threads
		 * had is nobody's there, and no leak. */
		alarm(20);
		(void)atexit(end_the_child);
		pthread_exit(NULL);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0)
		thread->value = 1;
	return NULL;
}

static void a_childs_thread_may_end_without_a_look_at_the_parents_cache(void **state)
{
	struct thread thread = { .value = 0 };
	pthread_t id;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	thread.cache = bed.cache;
	assert_int_equal(pthread_create(&id, NULL, fork_and_end, &thread), 0);
	assert_int_equal(pthread_join(id, NULL), 0);
	assert_int_equal(thread.value, 1);
	assert_int_equal(bed_stats(&bed).clients, 2);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cache_that_nobody_used_leaves_other_keys_alone),
		cmocka_unit_test(a_thread_gets_its_own_client_the_same_every_time),
		cmocka_unit_test(a_section_ends_with_its_thread),
		cmocka_unit_test(its_section_is_its_threads),
		cmocka_unit_test(close_takes_clients_that_are_in_no_section),
		cmocka_unit_test(the_next_guest_s_cache_gets_clients_of_its_own),
		cmocka_unit_test(a_thread_may_have_clients_of_many_caches),
		cmocka_unit_test(threads_may_end_while_the_cache_is_closed),
		cmocka_unit_test(a_child_after_fork_has_clients_of_its_own_caches),
		cmocka_unit_test(a_childs_thread_may_end_without_a_look_at_the_parents_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
