/* SPDX-License-Identifier: MIT */
/* The DEMU family's ways to guest memory through examples/demu. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/flag.h>

#define DEMU_MAPCACHE_INDEXED
#include "mapcache.h"

/* As README.md has them for the trees of the family: each has one of these. */
static void *map_two(uint64_t addr, uint64_t size)
{
	return demu_mapcache_map(addr, size, PROT_READ | PROT_WRITE);
}

static void *map_three(uint64_t addr, uint64_t size, int prot)
{
	return demu_mapcache_map(addr, size, prot);
}

static void *map_four(uint64_t addr, uint64_t size, int read_only, int populate)
{
	if (populate) {
		errno = EINVAL; /* the tree's own populate_physmap, which comes before */
		return NULL;
	}
	return demu_mapcache_map(addr, size, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
}

#define DISKS 4

static struct xensim_domain *domain;

static uint64_t map_calls(void)
{
	return bed_totals().map_calls;
}

static void start(uint64_t pages, uint64_t whole_bytes)
{
	const struct mapcache_range whole = { 0, whole_bytes };
	struct mapcache_options options = { .size = sizeof(options),
					    .whole = &whole,
					    .whole_count = whole_bytes != 0 };

	alarm(120);
	assert_int_equal(xensim_start(NULL), 0);
	assert_int_equal(xensim_domain_create(1, 0, pages, &domain), 0);
	for (uint64_t gfn = 0; gfn < pages; gfn++) {
		uint64_t value = bed_value(gfn);

		assert_int_equal(xensim_guest_write(domain, gfn * BED_PAGE, &value, 8), 0);
	}
	options.domid = xensim_domid(domain);
	assert_int_equal(demu_mapcache_open_options(&options), 0);
}

static void stop(void)
{
	assert_int_equal(demu_mapcache_close(), 0);
	assert_int_equal(bed_totals().splits_refused, 0);
	assert_int_equal(xensim_domain_destroy(domain), 0);
	assert_int_equal(xensim_stop(stderr), 0);
	alarm(0);
}

static uint64_t word(const void *pointer)
{
	uint64_t value;

	assert_non_null(pointer);
	memcpy(&value, pointer, sizeof(value));
	return value;
}

static void exchange(uint64_t gfn, uint64_t value)
{
	assert_int_equal(xensim_outside_remove(domain, gfn), 1);
	assert_int_equal(xensim_outside_populate(domain, &gfn, 1, 0), 1);
	assert_int_equal(xensim_guest_write(domain, gfn * BED_PAGE, &value, 8), 0);
}

static void a_page_is_looked_up_by_its_address(void **state)
{
	uint64_t calls;

	(void)state;
	start(1024, 0);
	for (uint64_t gfn = 0; gfn < 1024; gfn++)
		assert_int_equal(word(demu_mapcache_page(gfn * BED_PAGE)), bed_value(gfn));
	assert_int_equal(*(demu_mapcache_page(5 * BED_PAGE + 1) - 1) & 0xff, bed_value(5) & 0xff);
	calls = map_calls();
	for (uint64_t gfn = 0; gfn < 1024; gfn++)
		assert_non_null(demu_mapcache_page(gfn * BED_PAGE));
	assert_int_equal(map_calls(), calls);
	stop();
}

/* The old one ignored the size. */
static void a_look_up_with_a_size_is_good_for_all_of_it(void **state)
{
	(void)state;
	start(1024, 0);
	for (int disk = 0; disk < DISKS; disk++) {
		char *pointer = mapcache_lookup(disk, BED_BUCKET - BED_PAGE, BED_BUCKET);

		for (uint64_t i = 0; i < 256; i++)
			assert_int_equal(word(pointer + i * BED_PAGE), bed_value(255 + i));
	}
	stop();
}

static void an_invalidation_is_one_call_and_later_look_ups_are_fresh(void **state)
{
	(void)state;
	start(1024, 0);
	assert_int_equal(word(mapcache_lookup(0, 9 * BED_PAGE, 8)), bed_value(9));
	exchange(9, 4);
	for (int disk = 0; disk < DISKS; disk++)
		mapcache_invalidate(disk);
	assert_int_equal(word(mapcache_lookup(3, 9 * BED_PAGE, 8)), 4);
	stop();
}

static void no_memory_is_null_and_not_the_end(void **state)
{
	(void)state;
	start(16, 0);
	assert_null(demu_mapcache_page(64 * BED_BUCKET));
	assert_null(mapcache_lookup(0, 15 * BED_PAGE, 2 * BED_PAGE));
	assert_null(mapcache_lookup(0, 0, 0));
	assert_null(mapcache_lookup(0, UINT64_MAX, 2));
	assert_null(map_three(15 * BED_PAGE, 2 * BED_PAGE, PROT_READ));
	errno = 0;
	assert_int_equal(demu_mapcache_unmap(&domain, 8), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(word(demu_mapcache_page(15 * BED_PAGE)), bed_value(15));
	stop();
}

static void memory_that_can_only_be_read_is_looked_up_all_the_same(void **state)
{
	(void)state;
	start(1024, 0);
	assert_int_equal(xensim_p2m_set_type(domain, 9, 1, XENSIM_DENIED), 0);
	assert_int_equal(word(demu_mapcache_page(9 * BED_PAGE)), bed_value(9));
	assert_null(map_three(9 * BED_PAGE, 8, PROT_READ | PROT_WRITE));
	assert_int_equal(errno, EACCES);
	stop();
}

static void a_mapped_range_lives_until_it_is_unmapped(void **state)
{
	char *range;

	(void)state;
	start(1024, 0);
	range = map_three(255 * BED_PAGE, 3 * BED_PAGE, PROT_READ | PROT_WRITE);
	exchange(256, 4);
	mapcache_invalidate(0);
	assert_int_equal(word(range + BED_PAGE), bed_value(256));
	assert_int_equal(demu_mapcache_close(), -EBUSY);
	assert_int_equal(demu_mapcache_unmap(range, 3 * BED_PAGE), 0);
	stop();
}

static void host_addresses_of_a_guest_mapped_at_once_need_no_map_call(void **state)
{
	uint64_t calls;

	(void)state;
	start(40 * 256, 40 * BED_BUCKET);
	calls = map_calls();
	assert_in_range(calls, 1, 4);
	for (uint64_t gfn = 0; gfn < 40 * 256; gfn++)
		assert_int_equal(word(demu_mapcache_host(gfn * BED_PAGE, 8)), bed_value(gfn));
	assert_int_equal(map_calls(), calls);
	stop();
}

static void the_signatures_of_all_three_trees_map(void **state)
{
	void *mapped[3];

	(void)state;
	start(1024, 0);
	mapped[0] = map_two(5 * BED_PAGE, 2 * BED_PAGE);
	mapped[1] = map_three(5 * BED_PAGE, 2 * BED_PAGE, PROT_READ);
	mapped[2] = map_four(5 * BED_PAGE, 2 * BED_PAGE, 1, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(word(mapped[i]), bed_value(5));
		assert_int_equal(demu_mapcache_unmap(mapped[i], 2 * BED_PAGE), 0);
	}
	assert_null(map_four(5 * BED_PAGE, 2 * BED_PAGE, 0, 1));
	stop();
}

/* A virtqueue's ring: mapped once, by whichever thread, and used until the device is reset. */
static void a_ring_is_good_for_its_queues_life_across_invalidations(void **state)
{
	char *ring;

	(void)state;
	start(1024, 0);
	ring = demu_mapcache_map(7 * BED_PAGE, 2 * BED_PAGE, PROT_READ | PROT_WRITE);
	for (unsigned int i = 0; i < 100; i++) {
		mapcache_invalidate(0);
		assert_non_null(demu_mapcache_host(i * BED_PAGE, 8));
		assert_int_equal(word(ring + BED_PAGE), bed_value(8));
	}
	assert_int_equal(demu_mapcache_unmap(ring, 2 * BED_PAGE), 0);
	stop();
}

static void granted_memory_is_the_guests_again_after_the_unmap(void **state)
{
	uint32_t reference;
	uint64_t addr;
	char *pointer;

	(void)state;
	start(1024, 0);
	reference = xensim_grant(domain, 6, false);
	addr = UINT64_C(1) << 63 | (uint64_t)reference << 12 | 8;
	pointer = demu_mapcache_map(addr, 16, PROT_READ | PROT_WRITE);
	assert_int_equal(word(pointer - 8), bed_value(6));
	assert_int_not_equal(xensim_grant_end(domain, reference), 0);
	assert_int_equal(demu_mapcache_unmap(pointer, 16), 0);
	assert_int_equal(xensim_grant_end(domain, reference), 0);
	/* Revoked while nobody has it: an error, not the end. */
	assert_null(demu_mapcache_map(addr, 16, PROT_READ));
	assert_int_equal(errno, EFAULT);
	stop();
}

static void the_next_guest_is_opened_after_the_last_one_is_closed(void **state)
{
	(void)state;
	for (int guest = 0; guest < 3; guest++) {
		start(1024, 0);
		assert_int_equal(
			demu_mapcache_open_options(&(struct mapcache_options){ .size = 8 }),
			-EBUSY);
		assert_int_equal(word(demu_mapcache_page(9 * BED_PAGE)), bed_value(9));
		stop();
		assert_null(demu_mapcache_page(9 * BED_PAGE));
		assert_int_equal(errno, ENODEV);
		assert_null(demu_mapcache_map(0, 8, PROT_READ));
		assert_int_equal(demu_mapcache_unmap(&guest, 4), -1);
	}
}

/* ---- disk threads, and a loop that serves INVALIDATE --------------------------------------- */

struct disk {
	int index;
	uint64_t wrong;
};

static void *serve_disk(void *data)
{
	struct disk *disk = data;

	for (uint64_t i = 0; i < 5000; i++) {
		uint64_t gfn = (i * 131 + (uint64_t)disk->index * 17) % 1000;
		void *pointer = mapcache_lookup(disk->index, gfn * BED_PAGE, 2 * BED_PAGE);

		disk->wrong += !pointer || word(pointer) != bed_value(gfn);
	}
	return NULL;
}

static void disk_threads_look_up_while_another_invalidates(void **state)
{
	struct disk disks[DISKS];
	pthread_t threads[DISKS];

	(void)state;
	start(1024, 0);
	for (int i = 0; i < DISKS; i++) {
		disks[i] = (struct disk){ .index = i };
		assert_int_equal(pthread_create(&threads[i], NULL, serve_disk, &disks[i]), 0);
	}
	for (unsigned int i = 0; i < 200; i++) {
		mapcache_invalidate(0);
		usleep(300);
	}
	for (int i = 0; i < DISKS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(disks[i].wrong, 0);
	}
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_looked_up_by_its_address),
		cmocka_unit_test(a_look_up_with_a_size_is_good_for_all_of_it),
		cmocka_unit_test(an_invalidation_is_one_call_and_later_look_ups_are_fresh),
		cmocka_unit_test(no_memory_is_null_and_not_the_end),
		cmocka_unit_test(memory_that_can_only_be_read_is_looked_up_all_the_same),
		cmocka_unit_test(a_mapped_range_lives_until_it_is_unmapped),
		cmocka_unit_test(host_addresses_of_a_guest_mapped_at_once_need_no_map_call),
		cmocka_unit_test(the_signatures_of_all_three_trees_map),
		cmocka_unit_test(a_ring_is_good_for_its_queues_life_across_invalidations),
		cmocka_unit_test(granted_memory_is_the_guests_again_after_the_unmap),
		cmocka_unit_test(the_next_guest_is_opened_after_the_last_one_is_closed),
		cmocka_unit_test(disk_threads_look_up_while_another_invalidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
