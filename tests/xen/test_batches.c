/* SPDX-License-Identifier: MIT */
/* Granules of many buckets, mapped by one call after an INVALIDATE. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUEST_PAGES 2048
#define FIRST_GFN (GUEST_DATA / GUEST_PAGE_SIZE)
#define PAGES 256
#define MARK(page) (0x71000000u + (page))
#define PLACES 12u
#define GONE 5u

static struct domain domain;
static struct mapcache *cache;
static struct mapcache_client *client;

/* In buckets of 16 pages each. */
static uint32_t place(uint32_t i)
{
	return i * 21;
}

static struct mapcache_stats statistics(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	CHECK_EQUAL(mapcache_stats(cache, &stats), 0);
	return stats;
}

static volatile uint32_t *look_up(uint32_t page)
{
	return mapcache_ptr(client, GUEST_DATA + (uint64_t)page * GUEST_PAGE_SIZE, 8,
			    PROT_READ | PROT_WRITE);
}

/* Each shows its mark, and is written; an epoch takes long enough for its maps to fit in. Returns
 * the map calls that it took. */
static uint64_t epoch(uint32_t skip)
{
	uint64_t before = statistics().map_calls;

	usleep(5000);
	mapcache_invalidate(cache);
	for (uint32_t i = 0; i < PLACES; i++) {
		volatile uint32_t *word;

		if (i == skip)
			continue;
		mapcache_begin(client);
		word = look_up(place(i));
		CHECK(word != NULL);
		CHECK_EQUAL(word[0], MARK(place(i)));
		word[1] = word[0];
		CHECK_EQUAL(mapcache_end(client), 0);
	}
	test_progress();
	return statistics().map_calls - before;
}

static void start(void)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = 16,
					    .granule_shift = 12 };

	domain_create(&domain, 1, GUEST_PAGES, 0);
	domain_write_marks(&domain, FIRST_GFN, PAGES, MARK(0));
	options.domid = domain.id;
	CHECK_EQUAL(mapcache_open(&options, &cache), 0);
	CHECK_EQUAL(mapcache_client_open(cache, &client), 0);
	for (unsigned int i = 0; i < 40; i++)
		epoch(PLACES);
	CHECK(statistics().batches > 0);
}

static void finish(void)
{
	mapcache_invalidate(cache);
	CHECK_EQUAL(statistics().unmap_errors, 0);
	CHECK_EQUAL(statistics().lost_ranges, 0);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
	domain_destroy(&domain);
	CHECK(domain_wait_gone(&domain, 5000));
}

static void what_was_in_use_is_mapped_together(void)
{
	uint64_t calls = 0;

	start();
	for (unsigned int i = 0; i < 20; i++)
		calls += epoch(PLACES);
	printf("# %u places in as many buckets: %.1f map calls an INVALIDATE\n", PLACES,
	       (double)calls / 20);
	CHECK(calls <= 20 * PLACES / 3);
	finish();
}

/* A page goes, and all that is mapped with it is right; another one comes, and is seen. */
static void a_page_that_goes_is_missed_by_nobody_else(void)
{
	uint64_t gfn = FIRST_GFN + place(GONE);

	start();
	CHECK_EQUAL(domain_take_page(&domain, gfn), 0);
	for (unsigned int i = 0; i < 10; i++)
		epoch(GONE);
	mapcache_begin(client);
	CHECK(look_up(place(GONE)) == NULL);
	CHECK_EQUAL(errno, EFAULT);
	CHECK_EQUAL(mapcache_end(client), 0);
	CHECK_EQUAL(domain_give_page(&domain, gfn), 0);
	domain_write_marks(&domain, gfn, 1, MARK(place(GONE)));
	for (unsigned int i = 0; i < 10; i++)
		epoch(PLACES);
	finish();
}

static void a_pin_keeps_what_it_shows(void)
{
	size_t len = 8;
	volatile uint32_t *pin;

	start();
	pin = mapcache_pin(client, GUEST_DATA + (uint64_t)place(3) * GUEST_PAGE_SIZE, &len,
			   PROT_READ | PROT_WRITE, 0);
	CHECK(pin != NULL);
	CHECK_EQUAL(domain_take_page(&domain, FIRST_GFN + place(3)), 0);
	for (unsigned int i = 0; i < 10; i++) {
		epoch(3);
		CHECK_EQUAL(pin[0], MARK(place(3)));
	}
	CHECK_EQUAL(mapcache_client_unpin(client, (void *)(uintptr_t)pin, 0), 0);
	finish();
}

const struct test batches_tests[] = {
	TEST(what_was_in_use_is_mapped_together),
	TEST(a_page_that_goes_is_missed_by_nobody_else),
	TEST(a_pin_keeps_what_it_shows),
};
const size_t batches_tests_count = sizeof(batches_tests) / sizeof(batches_tests[0]);
