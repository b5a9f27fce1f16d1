/* SPDX-License-Identifier: MIT */
/*
 * A map call that fails may leave its range unmapped, as libxenforeignmemory does. Another thread
 * that gets it keeps it: whatever the call was for, and whatever happens to the cache afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/cache.h>
#include <tests/support/bed.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define RAM_PAGES UINT64_C(4096)
#define PATTERN 0x5a

/* ---- a bystander that is always the faster ------------------------------------------------- */

static struct {
	uint64_t calls, nth; /* map calls so far; the one that fails, 0: none */
	bool takes;          /* the bystander takes what it leaves */
	char *mine;
	size_t bytes;
} scene;

static void bystander_takes(char *address, size_t bytes)
{
	scene.mine = mmap(address, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(scene.mine, address);
	scene.bytes = bytes;
	memset(scene.mine, PATTERN, bytes);
}

static void bystander_has_it_still(void)
{
	for (size_t i = 0; i < scene.bytes; i += 512)
		assert_int_equal(scene.mine[i], PATTERN);
}

static void bystander_leaves(void)
{
	if (scene.mine)
		assert_int_equal(munmap(scene.mine, scene.bytes), 0);
	scene.mine = NULL;
	scene.bytes = 0;
}

static void *map_or_leave_a_hole(void *state, void *address, uint64_t gfn, size_t pages, int prot,
				 int *error)
{
	if (++scene.calls != scene.nth)
		return mapcache_backend_xen.map(state, address, gfn, pages, prot, error);
	assert_non_null(address);
	assert_int_equal(munmap(address, pages * BED_PAGE), 0);
	if (scene.takes)
		bystander_takes(address, pages * BED_PAGE);
	errno = ENOMEM;
	return NULL;
}

static void start(struct bed *bed, struct mapcache_backend *backend, uint64_t nth, bool takes)
{
	*backend = mapcache_backend_xen;
	backend->map = map_or_leave_a_hole;
	scene.calls = 0;
	scene.nth = nth;
	scene.takes = takes;
	bed_start(bed, &(struct rig_options){ .ram_pages = RAM_PAGES,
					      .cache = { .backend = backend,
							 .max_bytes = 24 * BED_BUCKET,
							 .flags = MAPCACHE_NO_RECLAIM_THREAD |
								  MAPCACHE_NO_BATCHES } });
}

/* ---- every call of a cache's life ---------------------------------------------------------- */

static void read_twice(struct mapcache_client *client, uint64_t gpa)
{
	int error = bed_error(client, gpa, 8, PROT_READ);

	assert_true(error == 0 || error == ENOMEM);
	assert_int_equal(bed_read(client, gpa), bed_value(gpa / BED_PAGE));
}

static volatile uint64_t *pin_twice(struct bed *bed, uint64_t gpa, size_t len, unsigned int flags)
{
	size_t whole = len;
	void *pin = mapcache_pin(bed->client, gpa, &whole, PROT_READ, flags);

	if (pin)
		return pin;
	assert_int_equal(errno, ENOMEM);
	return bed_pin_range(bed->client, gpa, len, PROT_READ, flags);
}

static void refresh(struct bed *bed)
{
	read_twice(bed->client, 5 * BED_PAGE);
	read_twice(bed->client, BED_BUCKET + 5 * BED_PAGE);
	for (unsigned int epoch = 0; epoch < 4; epoch++) {
		mapcache_invalidate(bed->cache);
		/* In place, beside what is current, and one that moves. */
		read_twice(bed->client, 5 * BED_PAGE);
		read_twice(bed->client, 90 * BED_PAGE);
		read_twice(bed->client, BED_BUCKET + (5 + epoch * 40) * BED_PAGE);
		if (epoch % 2)
			bed_reclaim(bed);
	}
}

static void pin_and_relocate(struct bed *bed)
{
	volatile uint64_t *one =
		pin_twice(bed, 2 * BED_BUCKET - BED_PAGE, 2 * BED_BUCKET, MAPCACHE_PIN_CONTIGUOUS);
	volatile uint64_t *own =
		pin_twice(bed, 6 * BED_BUCKET, 3 * BED_PAGE, MAPCACHE_PIN_OWN_MAPPING);
	int moved;

	assert_int_equal(*one, bed_value(511));
	assert_int_equal(*own, bed_value(6 * 256));
	/* Of a relocation that is lost half-way the pin shows nothing; it is said. */
	moved = mapcache_replace(bed->cache, 6 * BED_BUCKET, 9 * BED_BUCKET + BED_PAGE,
				 4 * BED_PAGE);
	assert_true(moved == 1 || moved == -ENOMEM);
	if (moved == 1)
		assert_int_equal(*own, bed_value(9 * 256 + 1));
	assert_int_equal(mapcache_unpin(bed->cache, (void *)(uintptr_t)own, 0), 0);
	assert_int_equal(mapcache_unpin(bed->cache, (void *)(uintptr_t)one, 0), 0);
}

static void read_beside_a_placeholder(struct bed *bed)
{
	assert_int_equal(
		mapcache_placeholder(bed->cache, 12 * BED_BUCKET + 8 * BED_PAGE, 8 * BED_PAGE), 0);
	read_twice(bed->client, 12 * BED_BUCKET + 7 * BED_PAGE);
	assert_int_equal(bed_read(bed->client, 12 * BED_BUCKET + 8 * BED_PAGE), 0);
}

/* More buckets than there is room for: slots are used again, and taken for one section. */
static void crowd(struct bed *bed)
{
	mapcache_begin(bed->other);
	for (uint64_t i = 0; i < 14; i++)
		read_twice(bed->client, (i % 12) * BED_BUCKET + i * BED_PAGE);
	assert_int_equal(mapcache_end(bed->other), 0);
}

static void live(struct bed *bed)
{
	refresh(bed);
	pin_and_relocate(bed);
	read_beside_a_placeholder(bed);
	crowd(bed);
}

static void what_another_thread_has_got_stays_its_own(void **state)
{
	struct mapcache_backend backend;
	uint64_t calls = 1, lost = 0;
	struct bed bed;

	(void)state;
	for (uint64_t nth = 1; nth <= calls; nth++) {
		struct mapcache_stats stats;

		start(&bed, &backend, nth, true);
		live(&bed);
		calls = scene.calls > calls ? scene.calls : calls;
		mapcache_invalidate(bed.cache);
		assert_int_equal(bed_reclaim(&bed), 0);
		bystander_has_it_still();
		stats = bed_stats(&bed);
		assert_int_equal(stats.lost_ranges, scene.mine != NULL);
		assert_int_equal(stats.lost_bytes, scene.bytes);
		assert_int_equal(bed_totals().foreign_pages, 0);
		lost += stats.lost_ranges;
		bed_stop(&bed);
		bystander_has_it_still();
		bystander_leaves();
	}
	print_message("%lu map calls, %lu of them lost\n", (unsigned long)calls,
		      (unsigned long)lost);
	assert_true(lost > 30);
}

/* Nobody was faster: there is no trace of it. */
static void what_nobody_has_got_is_got_back(void **state)
{
	struct mapcache_backend backend;
	uint64_t calls = 1;
	struct bed bed;

	(void)state;
	for (uint64_t nth = 1; nth <= calls; nth++) {
		start(&bed, &backend, nth, false);
		live(&bed);
		calls = scene.calls > calls ? scene.calls : calls;
		mapcache_invalidate(bed.cache);
		assert_int_equal(bed_reclaim(&bed), 0);
		assert_int_equal(bed_stats(&bed).lost_ranges, 0);
		assert_int_equal(bed_stats(&bed).slots_used, 0);
		assert_int_equal(bed_stats(&bed).vmas, 0);
		bed_stop(&bed);
	}
}

/* ---- the library's own backend, on what a simulated Xen leaves ------------------------------- */

static struct bed *hooked;

static void take_the_first_slot(void *data, bool end, uint64_t gfn, size_t pages)
{
	(void)data;
	(void)gfn;
	if (end && !scene.mine)
		bystander_takes(hooked->cache->space.arena.base +
					((uint64_t)ARENA_SPARES << RIG_BUCKET_SHIFT),
				pages * BED_PAGE);
}

static void what_xens_library_leaves_is_lost_and_not_used_again(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = RAM_PAGES,
					       .cache = { .max_bytes = 16 * BED_BUCKET,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	hooked = &bed;
	xensim_set_map_hook(take_the_first_slot, NULL);
	xensim_fail(XENSIM_CALL_MAP, 1, ENOMEM);
	assert_int_equal(bed_error(bed.client, 0, 8, PROT_READ), ENOMEM);
	xensim_set_map_hook(NULL, NULL);
	assert_int_equal(bed_stats(&bed).lost_bytes, BED_BUCKET);
	for (uint64_t i = 0; i < 64; i++)
		assert_int_equal(bed_read(bed.client, i % 16 * BED_BUCKET),
				 bed_value(i % 16 * 256));
	bystander_has_it_still();
	bed_stop(&bed);
	bystander_has_it_still();
	bystander_leaves();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_another_thread_has_got_stays_its_own),
		cmocka_unit_test(what_nobody_has_got_is_got_back),
		cmocka_unit_test(what_xens_library_leaves_is_lost_and_not_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
