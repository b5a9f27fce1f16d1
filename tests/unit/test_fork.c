/* SPDX-License-Identifier: MIT */
/*
 * After fork(2): a child may close what it inherited, whatever the parent was doing, and the
 * parent notices nothing.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/flag.h>
#include <tests/support/peer.h>
#include <lib/cache.h>
#include <lib/index/index.h>

#define GPA (5 * BED_PAGE)

/* In a child that must not return to the tests; what it returns, 0..255, is its status. */
static int in_a_child(int (*function)(struct bed *bed, void *data), struct bed *bed, void *data)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		alarm(20); /* a child that waits for a lock for ever is ended */
		_exit(function(bed, data));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int close_it(struct bed *bed, void *data)
{
	(void)data;
	return -mapcache_close(bed->cache);
}

/* What the reclaim thread is just unmapping still counts. */
static bool nothing_is_stale(void *bed)
{
	return bed_reclaim(bed) == 0;
}

static void a_child_may_close_and_the_parent_goes_on(void **state)
{
	volatile uint64_t *pin, *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	bed_read(bed.other, BED_BUCKET);
	pin = bed_pin(bed.client, GPA);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, GPA, PROT_READ);
	/* With clients open, a section open and a pin held: none of them is the child's. */
	assert_int_equal(in_a_child(close_it, &bed, NULL), 0);
	assert_int_equal(*pointer, bed_value(5));
	assert_int_equal(*pin, bed_value(5));
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_exchange(&bed, 5, 0x5eed);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, GPA), 0x5eed);
	assert_int_equal(bed_read(bed.other, BED_BUCKET), bed_value(256));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0), 0);
	assert_true(eventually(nothing_is_stale, &bed));
	bed_stop(&bed);
}

static int close_and_look(struct bed *bed, void *data)
{
	/* Of the reservation, some slots on: foreign memory is not in a child anyway. */
	void *page = (void *)(((uintptr_t)data & ~(uintptr_t)(BED_PAGE - 1)) +
			      4 * (uintptr_t)BED_BUCKET);

	/* msync() of what is not mapped is ENOMEM. */
	if (msync(page, BED_PAGE, MS_ASYNC) != 0 && errno == ENOMEM)
		return 100;
	if (mapcache_close(bed->cache) != 0)
		return 101;
	return msync(page, BED_PAGE, MS_ASYNC) == -1 && errno == ENOMEM ? 0 : 102;
}

static void a_child_that_closes_gives_its_address_space_back(void **state)
{
	volatile uint64_t *pin;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pin = bed_pin(bed.client, GPA);
	/* A slot in which nothing is mapped: foreign mappings do not come along. */
	assert_int_equal(in_a_child(close_and_look, &bed, (char *)(uintptr_t)pin + 8 * BED_BUCKET),
			 0);
	assert_int_equal(*pin, bed_value(5));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0), 0);
	bed_stop(&bed);
}

/* The blocks whose size is known beforehand. */
static int close_and_count(struct bed *bed, void *data)
{
	size_t least =
		sizeof(struct mapcache) + bed->cache->settings.stripes * sizeof(struct stripe);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, after;

	(void)data;
	if (mapcache_close(bed->cache) != 0)
		return 101;
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	return before - after >= least && before > after ? 0 : 102;
}

/* Where its parent has foreign memory a child has a hole, which may be the child's own by now. */
static int map_close_and_look(struct bed *bed, void *data)
{
	void *page = (void *)((uintptr_t)data & ~(uintptr_t)(BED_PAGE - 1));
	volatile uint64_t *own;

	if (msync(page, BED_PAGE, MS_ASYNC) == 0 || errno != ENOMEM)
		return 100;
	own = mmap(page, BED_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((const void *)own != page)
		return 101;
	*own = 5;
	if (mapcache_close(bed->cache) != 0)
		return 102;
	return *own == 5 ? 0 : 103;
}

static void a_child_that_closes_leaves_what_it_has_mapped_itself(void **state)
{
	volatile uint64_t *pin;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pin = bed_pin(bed.client, GPA);
	/* As the kernel treats foreign mappings. */
	assert_int_equal(madvise((void *)((uintptr_t)pin & ~(uintptr_t)(BED_BUCKET - 1)),
				 BED_BUCKET, MADV_DONTFORK),
			 0);
	assert_int_equal(in_a_child(map_close_and_look, &bed, (void *)(uintptr_t)pin), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0), 0);
	bed_stop(&bed);
}

static void a_child_that_closes_gives_its_heap_back(void **state)
{
	struct bed bed;

	(void)state;
	/* A sanitizer's allocator does not count. */
	if (mallinfo2().uordblks == 0)
		skip();
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, GPA);
	assert_int_equal(in_a_child(close_and_count, &bed, NULL), 0);
	bed_stop(&bed);
}

struct busy {
	struct flag stop;
	uint64_t looks;
};

static int look_and_invalidate(struct peer *peer, void *data)
{
	struct busy *busy = data;
	struct peer_look look = { .gpa = 0 };
	int error;

	for (uint64_t i = 0; !flag_is_set(&busy->stop); i++) {
		look.gpa = i % 1024 * BED_PAGE;
		error = peer_read(peer, &look);
		if (error && error != -EAGAIN)
			return error;
		if (i % 8 == 0)
			mapcache_invalidate(peer->cache);
		__atomic_fetch_add(&busy->looks, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

/* Whatever lock the other threads hold at that moment, nobody in the child will release. */
static void a_child_of_a_busy_process_can_close(void **state)
{
	struct busy busy = { .looks = 0 };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], look_and_invalidate, &busy);
	}
	for (unsigned int i = 0; i < 30; i++) {
		uint64_t looks = __atomic_load_n(&busy.looks, __ATOMIC_RELAXED);

		assert_int_equal(in_a_child(close_it, &bed, NULL), 0);
		while (__atomic_load_n(&busy.looks, __ATOMIC_RELAXED) == looks &&
		       peer_busy(&peers[0]))
			sched_yield();
	}
	flag_set(&busy.stop);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(peer_wait(&peers[i]), 0);
		peer_close(&peers[i]);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_may_close_and_the_parent_goes_on),
		cmocka_unit_test(a_child_that_closes_gives_its_address_space_back),
		cmocka_unit_test(a_child_that_closes_leaves_what_it_has_mapped_itself),
		cmocka_unit_test(a_child_that_closes_gives_its_heap_back),
		cmocka_unit_test(a_child_of_a_busy_process_can_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
