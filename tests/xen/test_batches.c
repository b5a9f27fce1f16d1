/* SPDX-License-Identifier: MIT */
/* Granules of many buckets, mapped by one call after an INVALIDATE. */
#include "tests/xen/marked.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MARK(page) (0x71000000u + (page))
#define PLACES 12u
#define GONE 5u

static struct marked guest;

/* In buckets of 16 pages each. */
static uint32_t place(uint32_t i)
{
	return i * 21;
}

static volatile uint32_t *look_up(uint32_t page)
{
	return mapcache_ptr(guest.client, marked_gpa(page), 8, PROT_READ | PROT_WRITE);
}

/* Each shows its mark, and is written; an epoch takes long enough for its maps to fit in. Returns
 * the map calls that it took. */
static uint64_t epoch(uint32_t skip)
{
	uint64_t before = marked_stats(&guest).map_calls;

	usleep(5000);
	mapcache_invalidate(guest.cache);
	for (uint32_t i = 0; i < PLACES; i++) {
		volatile uint32_t *word;

		if (i == skip)
			continue;
		mapcache_begin(guest.client);
		word = look_up(place(i));
		CHECK(word != NULL);
		CHECK_EQUAL(word[0], MARK(place(i)));
		word[1] = word[0];
		CHECK_EQUAL(mapcache_end(guest.client), 0);
	}
	test_progress();
	return marked_stats(&guest).map_calls - before;
}

static void start(void)
{
	marked_start(&guest, MARK(0));
	for (unsigned int i = 0; i < 40; i++)
		epoch(PLACES);
	CHECK(marked_stats(&guest).batches > 0);
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
	marked_finish(&guest);
}

/* A page goes, and all that is mapped with it is right; another one comes, and is seen. */
static void a_page_that_goes_is_missed_by_nobody_else(void)
{
	uint64_t gfn = MARKED_GFN + place(GONE);

	start();
	CHECK_EQUAL(domain_take_page(&guest.domain, gfn), 0);
	for (unsigned int i = 0; i < 10; i++)
		epoch(GONE);
	mapcache_begin(guest.client);
	CHECK(look_up(place(GONE)) == NULL);
	CHECK_EQUAL(errno, EFAULT);
	CHECK_EQUAL(mapcache_end(guest.client), 0);
	CHECK_EQUAL(domain_give_page(&guest.domain, gfn), 0);
	domain_write_marks(&guest.domain, gfn, 1, MARK(place(GONE)));
	for (unsigned int i = 0; i < 10; i++)
		epoch(PLACES);
	marked_finish(&guest);
}

static void a_pin_keeps_what_it_shows(void)
{
	size_t len = 8;
	volatile uint32_t *pin;

	start();
	pin = mapcache_pin(guest.client, marked_gpa(place(3)), &len, PROT_READ | PROT_WRITE, 0);
	CHECK(pin != NULL);
	CHECK_EQUAL(domain_take_page(&guest.domain, MARKED_GFN + place(3)), 0);
	for (unsigned int i = 0; i < 10; i++) {
		epoch(3);
		CHECK_EQUAL(pin[0], MARK(place(3)));
	}
	CHECK_EQUAL(mapcache_client_unpin(guest.client, (void *)(uintptr_t)pin, 0), 0);
	marked_finish(&guest);
}

const struct test batches_tests[] = {
	TEST(what_was_in_use_is_mapped_together),
	TEST(a_page_that_goes_is_missed_by_nobody_else),
	TEST(a_pin_keeps_what_it_shows),
};
const size_t batches_tests_count = sizeof(batches_tests) / sizeof(batches_tests[0]);
