/* SPDX-License-Identifier: MIT */
/* Pins that need more of Xen than one bucket's map call: in one piece, relocated, of a list. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define GUEST_PAGES 2048
#define FIRST_GFN (GUEST_DATA / GUEST_PAGE_SIZE)
#define PAGES 256
#define MARK(page) (0x70000000u + (page))
#define BUCKET_PAGES 16u

static struct domain domain;
static struct mapcache *cache;
static struct mapcache_client *client;

static uint64_t page_address(uint32_t page)
{
	return GUEST_DATA + (uint64_t)page * GUEST_PAGE_SIZE;
}

static uint64_t map_calls(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	CHECK_EQUAL(mapcache_stats(cache, &stats), 0);
	return stats.map_calls;
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
}

static void finish(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	mapcache_invalidate(cache);
	CHECK_EQUAL(mapcache_stats(cache, &stats), 0);
	CHECK_EQUAL(stats.unmap_errors, 0);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
	domain_destroy(&domain);
	CHECK(domain_wait_gone(&domain, 5000));
}

/* Each page shows its mark, and is written. */
static void use(char *memory, uint32_t page, uint32_t count)
{
	uint64_t gpa;

	for (uint32_t i = 0; i < count; i++) {
		volatile uint32_t *word = (volatile uint32_t *)(memory + i * GUEST_PAGE_SIZE);

		CHECK_EQUAL(*word, MARK(page + i));
		word[1] = *word;
		CHECK_EQUAL(mapcache_gpa(cache, (const void *)word, &gpa), 0);
		CHECK_EQUAL(gpa, page_address(page + i));
	}
	test_progress();
}

static char *pin(uint32_t page, uint32_t count, unsigned int flags)
{
	size_t length = (size_t)count * GUEST_PAGE_SIZE;
	char *memory =
		mapcache_pin(client, page_address(page), &length, PROT_READ | PROT_WRITE, flags);

	CHECK(memory != NULL);
	CHECK_EQUAL(length, count * GUEST_PAGE_SIZE);
	return memory;
}

static void buffers_across_buckets_are_mapped_once(void)
{
	uint64_t calls = 0;

	start();
	for (unsigned int round = 0; round < 5; round++) {
		for (uint32_t page = BUCKET_PAGES - 2; page + 4 < PAGES; page += BUCKET_PAGES) {
			char *memory = pin(page, 4, MAPCACHE_PIN_CONTIGUOUS);

			use(memory, page, 4);
			CHECK_EQUAL(mapcache_client_unpin(client, memory, 0), 0);
		}
		if (!round)
			calls = map_calls();
	}
	CHECK_EQUAL(map_calls(), calls);
	finish();
}

/* At the same host address, whatever the offset in a bucket, over itself, there and back. */
static void pins_are_relocated_by_any_number_of_pages(void)
{
	static const uint32_t places[] = { 3, 4, 20, 17, 16, 150, 3 };
	char *memory;

	start();
	memory = pin(3, 40, MAPCACHE_PIN_OWN_MAPPING);
	use(memory, 3, 40);
	for (unsigned int i = 1; i < sizeof(places) / sizeof(*places); i++) {
		CHECK_EQUAL(mapcache_replace(cache, page_address(places[i - 1]),
					     page_address(places[i]), 40 * GUEST_PAGE_SIZE),
			    1);
		use(memory, places[i], 40);
	}
	/* A page is missing: all is as it was. */
	CHECK_EQUAL(domain_take_page(&domain, FIRST_GFN + 199), 0);
	CHECK_EQUAL(mapcache_replace(cache, page_address(3), page_address(161),
				     40 * GUEST_PAGE_SIZE),
		    -EFAULT);
	use(memory, 3, 40);
	CHECK_EQUAL(mapcache_unpin(cache, memory, 0), 0);
	finish();
}

#define RANGES 32

static void scattered_pages_are_mapped_by_one_call(void)
{
	struct mapcache_range ranges[RANGES];
	struct iovec iov[RANGES];
	uint64_t calls;

	start();
	for (uint32_t i = 0; i < RANGES; i++)
		ranges[i] = (struct mapcache_range){ page_address(i * 77 % PAGES), 64 };
	for (unsigned int round = 0; round < 3; round++) {
		mapcache_invalidate(cache);
		calls = map_calls();
		/* A slot has the pages of a bucket. */
		CHECK_EQUAL(mapcache_pin_sgl(client, ranges, RANGES, PROT_READ | PROT_WRITE, iov,
					     RANGES),
			    RANGES);
		CHECK_EQUAL(map_calls() - calls, RANGES / BUCKET_PAGES);
		for (uint32_t i = 0; i < RANGES; i++) {
			use(iov[i].iov_base, i * 77 % PAGES, 1);
			CHECK_EQUAL(mapcache_client_unpin(client, iov[i].iov_base, 0), 0);
		}
	}
	CHECK_EQUAL(domain_take_page(&domain, FIRST_GFN + 77), 0);
	mapcache_invalidate(cache);
	CHECK_EQUAL(mapcache_pin_sgl(client, ranges, RANGES, PROT_READ, iov, RANGES), -EFAULT);
	finish();
}

const struct test pins_tests[] = {
	TEST(buffers_across_buckets_are_mapped_once),
	TEST(pins_are_relocated_by_any_number_of_pages),
	TEST(scattered_pages_are_mapped_by_one_call),
};
const size_t pins_tests_count = sizeof(pins_tests) / sizeof(pins_tests[0]);
