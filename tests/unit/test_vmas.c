/* SPDX-License-Identifier: MIT */
/* The budget of kernel mappings: counted as the kernel does, and kept on every path. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <lib/space/space.h>
#include <tests/support/bed.h>

#define SEED 1u
#define GRANULE UINT64_C(16384)
#define THREADS 16u

/* ---- a backend of which no two mappings are merged ----------------------------------------- */

static int open_nothing(void *data, uint32_t domid, void **state)
{
	(void)domid;
	*state = data;
	return 0;
}

static void close_nothing(void *state)
{
	(void)state;
}

static bool slow; /* map calls overlap */

/* Shared memory without a name is a file of its own each time. */
static void *map_something(void *state, void *address, uint64_t gfn, size_t pages, int prot,
			   int *error)
{
	void *mapped;

	(void)state;
	(void)gfn;
	mapped = mmap(address, pages * BED_PAGE, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
		      0);
	for (size_t i = 0; i < pages; i++)
		error[i] = 0;
	if (slow)
		usleep(100);
	return mapped == MAP_FAILED ? NULL : mapped;
}

static int unmap_something(void *state, void *address, size_t pages, int keep)
{
	(void)state;
	if (keep)
		return 0;
	return munmap(address, pages * BED_PAGE) ? -errno : 0;
}

static const struct mapcache_backend separate = {
	.size = sizeof(struct mapcache_backend),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = open_nothing,
	.close = close_nothing,
	.map = map_something,
	.unmap = unmap_something,
};

static struct mapcache *cache;
static struct mapcache_client *client;

static void start(uint64_t max_vmas, uint64_t max_bytes)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .backend = &separate,
					    .flags = MAPCACHE_NO_RECLAIM_THREAD,
					    .bucket_shift = RIG_BUCKET_SHIFT,
					    .max_bytes = max_bytes,
					    .max_vmas = max_vmas };

	assert_int_equal(mapcache_open(&options, &cache), 0);
	assert_int_equal(mapcache_client_open(cache, &client), 0);
}

static void stop(void)
{
	assert_int_equal(mapcache_client_close(client), 0);
	assert_int_equal(mapcache_close(cache), 0);
}

static uint64_t counted(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	assert_int_equal(mapcache_stats(cache, &stats), 0);
	return stats.vmas;
}

/* Those of the kernel's that lie in the reservation, which are one when it is empty. */
static uint64_t real(void)
{
	const struct reserve *reserve = &cache->space.arena.reserve;
	unsigned long start, end;
	uint64_t count = 0;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start >= (uintptr_t)reserve->start &&
		    end <= (uintptr_t)reserve->start + reserve->bytes)
			count++;
	}
	fclose(maps);
	return count - 1;
}

/* ---- the count -------------------------------------------------------------------------------- */

static void some_pin(void)
{
	size_t len = ((size_t)rand() % 600 + 1) * BED_PAGE;
	uint64_t gpa = (uint64_t)rand() % 16384 * BED_PAGE;
	void *pin = mapcache_pin(client, gpa, &len, PROT_READ,
				 rand() % 2 ? MAPCACHE_PIN_OWN_MAPPING : MAPCACHE_PIN_CONTIGUOUS);

	if (pin && rand() % 3 == 0)
		(void)!mapcache_replace(
			cache, gpa, (uint64_t)rand() % 16384 * BED_PAGE + (UINT64_C(1) << 30), len);
	if (pin)
		assert_int_equal(mapcache_unpin(cache, pin, 0), 0);
}

static void something(unsigned int what)
{
	uint64_t gpa = (uint64_t)rand() % 64 * BED_BUCKET + (uint64_t)rand() % 64 * GRANULE;

	if (what % 50 == 0)
		mapcache_invalidate(cache);
	if (what % 70 == 0)
		assert_int_equal(mapcache_invalidate_range(cache, gpa, 3 * BED_BUCKET), 0);
	if (what % 30 == 0)
		mapcache_reclaim(cache, (uint64_t)(rand() % 4) * BED_BUCKET);
	if (what % 11 == 0)
		some_pin();
	(void)bed_error(client, gpa, 8, PROT_READ);
}

static void kernel_mappings_are_counted_as_the_kernel_does(void **state)
{
	(void)state;
	srand(SEED);
	print_message("seed %u\n", SEED);
	start(4096, 48 * BED_BUCKET);
	for (unsigned int i = 0; i < 4000; i++) {
		something((unsigned int)rand());
		if (i % 5 == 0)
			assert_int_equal(counted(), real());
	}
	mapcache_invalidate(cache);
	while (mapcache_reclaim(cache, UINT64_MAX))
		;
	assert_int_equal(counted(), 0);
	assert_int_equal(real(), 0);
	stop();
}

/* ---- the budget ------------------------------------------------------------------------------- */

/* Refreshes, granules beside current ones, pins: with less than they would like to have. */
static void the_budget_holds_on_every_path(void **state)
{
	(void)state;
	srand(SEED);
	start(64, 48 * BED_BUCKET);
	for (unsigned int i = 0; i < 4000; i++) {
		something((unsigned int)rand());
		assert_in_range(counted(), 0, 64);
		if (i % 50 == 0)
			assert_in_range(real(), 0, 64);
	}
	stop();
}

static void pins_of_their_own_stop_at_the_budget(void **state)
{
	void *pins[300];
	unsigned int got = 0;

	(void)state;
	start(64, 512 * BED_BUCKET);
	while (got < 300) {
		size_t len = BED_PAGE;

		pins[got] = mapcache_pin(client, got * BED_BUCKET, &len, PROT_READ,
					 MAPCACHE_PIN_OWN_MAPPING);
		if (!pins[got])
			break;
		got++;
	}
	assert_int_equal(errno, ENOMEM);
	assert_in_range(got, 20, 32);
	assert_in_range(real(), 0, 64);
	while (got-- > 0)
		assert_int_equal(mapcache_unpin(cache, pins[got], 0), 0);
	assert_int_equal(bed_error(client, 0, 8, PROT_READ), 0);
	stop();
}

static void *look_up_much(void *data)
{
	unsigned int seed = (unsigned int)(uintptr_t)data;
	struct mapcache_client *own;
	bool kept = true;

	if (mapcache_client_open(cache, &own))
		return data;
	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t gpa = (uint64_t)rand_r(&seed) % 512 * BED_BUCKET +
			       (uint64_t)rand_r(&seed) % 64 * GRANULE;

		if (i % 400 == 0)
			mapcache_invalidate(cache);
		mapcache_begin(own);
		(void)!mapcache_ptr(own, gpa, 8, PROT_READ);
		mapcache_end(own);
		pthread_mutex_lock(&cache->space.arena.lock);
		kept = kept && cache->space.arena.vmas + cache->space.arena.vmas_taken <= 64;
		pthread_mutex_unlock(&cache->space.arena.lock);
	}
	mapcache_client_close(own);
	return kept ? NULL : data;
}

static void threads_that_map_at_once_do_not_pass_the_budget_together(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	start(64, 1024 * BED_BUCKET);
	slow = true;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_up_much, (void *)(i + 1)),
				 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	slow = false;
	assert_in_range(real(), 0, 64);
	assert_int_equal(cache->space.arena.vmas_taken, 0);
	stop();
}

/* The process has mappings of its own to make, however many caches it has. */
static void the_defaults_of_all_caches_together_leave_some_to_the_process(void **state)
{
	struct mapcache_options options = { .size = sizeof(options), .backend = &separate };
	struct mapcache *caches[4];
	uint64_t sum = 0;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t before = i ? caches[i - 1]->settings.vmas_max : 0;

		assert_int_equal(mapcache_open(&options, &caches[i]), 0);
		sum += caches[i]->settings.vmas_max;
		if (i)
			assert_in_range(caches[i]->settings.vmas_max, before / 2, before / 2);
	}
	assert_in_range(sum, 0, 2 * caches[0]->settings.vmas_max - 64);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(mapcache_close(caches[i]), 0);
	assert_int_equal(reserve_census(), 0);
}

/* What a look-up takes of the budget and does not use it gives back. */
static void a_look_up_that_fails_keeps_nothing_of_the_budget(void **state)
{
	const struct rlimit none = { 1, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < 20; i++) {
		xensim_fail(XENSIM_CALL_MAP, 1, i % 2 ? ENOMEM : EIO);
		(void)bed_error(bed.client, i % 4 * BED_BUCKET + i * BED_PAGE, 8, PROT_READ);
		mapcache_invalidate(bed.cache);
	}
	/* A part of the table that cannot be made writable. */
	assert_int_equal(setrlimit(RLIMIT_DATA, &none), 0);
	assert_int_equal(bed_error(bed.client, UINT64_C(1) << 40, 8, PROT_READ),
			 sizeof(void *) < 8 ? ERANGE : ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_DATA, &all), 0);
	assert_int_equal(bed.cache->space.arena.vmas_taken, 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_mappings_are_counted_as_the_kernel_does),
		cmocka_unit_test(the_budget_holds_on_every_path),
		cmocka_unit_test(pins_of_their_own_stop_at_the_budget),
		cmocka_unit_test(threads_that_map_at_once_do_not_pass_the_budget_together),
		cmocka_unit_test(the_defaults_of_all_caches_together_leave_some_to_the_process),
		cmocka_unit_test(a_look_up_that_fails_keeps_nothing_of_the_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
