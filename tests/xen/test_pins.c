/* SPDX-License-Identifier: MIT */
/* Pins that need more of Xen than one bucket's map call: in one piece, relocated, of a list. */
#include "tests/xen/marked.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define MARK(page) (0x70000000u + (page))

static struct marked guest;

/* Each page shows its mark, and is written. */
static void use(char *memory, uint32_t page, uint32_t count)
{
	uint64_t gpa;

	for (uint32_t i = 0; i < count; i++) {
		volatile uint32_t *word = (volatile uint32_t *)(memory + i * GUEST_PAGE_SIZE);

		CHECK_EQUAL(*word, MARK(page + i));
		word[1] = *word;
		CHECK_EQUAL(mapcache_gpa(guest.cache, (const void *)word, &gpa), 0);
		CHECK_EQUAL(gpa, marked_gpa(page + i));
	}
	test_progress();
}

static char *pin(uint32_t page, uint32_t count, unsigned int flags)
{
	size_t length = (size_t)count * GUEST_PAGE_SIZE;
	char *memory = mapcache_pin(guest.client, marked_gpa(page), &length, PROT_READ | PROT_WRITE,
				    flags);

	CHECK(memory != NULL);
	CHECK_EQUAL(length, count * GUEST_PAGE_SIZE);
	return memory;
}

static void buffers_across_buckets_are_mapped_once(void)
{
	uint64_t calls = 0;

	marked_start(&guest, MARK(0));
	for (unsigned int round = 0; round < 5; round++) {
		for (uint32_t page = MARKED_BUCKET - 2; page + 4 < MARKED_PAGES;
		     page += MARKED_BUCKET) {
			char *memory = pin(page, 4, MAPCACHE_PIN_CONTIGUOUS);

			use(memory, page, 4);
			CHECK_EQUAL(mapcache_client_unpin(guest.client, memory, 0), 0);
		}
		if (!round)
			calls = marked_stats(&guest).map_calls;
	}
	CHECK_EQUAL(marked_stats(&guest).map_calls, calls);
	marked_finish(&guest);
}

/* At the same host address, whatever the offset in a bucket, over itself, there and back. */
static void pins_are_relocated_by_any_number_of_pages(void)
{
	static const uint32_t places[] = { 3, 4, 20, 17, 16, 150, 3 };
	char *memory;

	marked_start(&guest, MARK(0));
	memory = pin(3, 40, MAPCACHE_PIN_OWN_MAPPING);
	use(memory, 3, 40);
	for (unsigned int i = 1; i < sizeof(places) / sizeof(*places); i++) {
		CHECK_EQUAL(mapcache_replace(guest.cache, marked_gpa(places[i - 1]),
					     marked_gpa(places[i]), 40 * GUEST_PAGE_SIZE),
			    1);
		use(memory, places[i], 40);
	}
	/* A page is missing: all is as it was. */
	CHECK_EQUAL(domain_take_page(&guest.domain, MARKED_GFN + 199), 0);
	CHECK_EQUAL(mapcache_replace(guest.cache, marked_gpa(3), marked_gpa(161),
				     40 * GUEST_PAGE_SIZE),
		    -EFAULT);
	use(memory, 3, 40);
	CHECK_EQUAL(mapcache_unpin(guest.cache, memory, 0), 0);
	marked_finish(&guest);
}

#define RANGES 32

static void scattered_pages_are_mapped_by_one_call(void)
{
	struct mapcache_range ranges[RANGES];
	struct iovec iov[RANGES];
	uint64_t calls;

	marked_start(&guest, MARK(0));
	for (uint32_t i = 0; i < RANGES; i++)
		ranges[i] = (struct mapcache_range){ marked_gpa(i * 77 % MARKED_PAGES), 64 };
	for (unsigned int round = 0; round < 3; round++) {
		mapcache_invalidate(guest.cache);
		calls = marked_stats(&guest).map_calls;
		/* A slot has the pages of a bucket. */
		CHECK_EQUAL(mapcache_pin_sgl(guest.client, ranges, RANGES, PROT_READ | PROT_WRITE,
					     iov, RANGES),
			    RANGES);
		CHECK_EQUAL(marked_stats(&guest).map_calls - calls, RANGES / MARKED_BUCKET);
		for (uint32_t i = 0; i < RANGES; i++) {
			use(iov[i].iov_base, i * 77 % MARKED_PAGES, 1);
			CHECK_EQUAL(mapcache_client_unpin(guest.client, iov[i].iov_base, 0), 0);
		}
	}
	CHECK_EQUAL(domain_take_page(&guest.domain, MARKED_GFN + 77), 0);
	mapcache_invalidate(guest.cache);
	CHECK_EQUAL(mapcache_pin_sgl(guest.client, ranges, RANGES, PROT_READ, iov, RANGES),
		    -EFAULT);
	marked_finish(&guest);
}

const struct test pins_tests[] = {
	TEST(buffers_across_buckets_are_mapped_once),
	TEST(pins_are_relocated_by_any_number_of_pages),
	TEST(scattered_pages_are_mapped_by_one_call),
};
const size_t pins_tests_count = sizeof(pins_tests) / sizeof(pins_tests[0]);
