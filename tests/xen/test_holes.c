/* SPDX-License-Identifier: MIT */
/*
 * Buckets with holes. A pointer to a hole is a matter of life and death (SIGBUS on x86, a
 * kill that cannot be caught on Arm): every pointer that the cache gives is used here.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "tests/xen/access.h"

#define GUEST_PAGES 2048 /* with GUEST_DATA in the middle of 4 MiB buckets, too */
#define FIRST_GFN (GUEST_DATA / GUEST_PAGE_SIZE)
#define PAGES 256
#define MARK(page) (0x50000000u + (page))

static struct domain domain;
static struct mapcache *cache;
static struct mapcache_client *client;
static bool present[PAGES];

static uint64_t page_address(uint32_t page)
{
	return GUEST_DATA + (uint64_t)page * GUEST_PAGE_SIZE;
}

/* A paused domain, marks in its pages, and holes where they are wanted. */
static void start(const struct mapcache_options *given, bool (*is_hole)(uint32_t page))
{
	struct mapcache_options options = *given;

	domain_create(&domain, 1, GUEST_PAGES, 0);
	domain_write_marks(&domain, FIRST_GFN, PAGES, MARK(0));
	for (uint32_t page = 0; page < PAGES; page++) {
		present[page] = !is_hole(page);
		if (!present[page])
			CHECK_EQUAL(domain_take_page(&domain, FIRST_GFN + page), 0);
	}
	options.domid = domain.id;
	CHECK_EQUAL(mapcache_open(&options, &cache), 0);
	CHECK_EQUAL(mapcache_client_open(cache, &client), 0);
}

static void finish(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	CHECK_EQUAL(mapcache_stats(cache, &stats), 0);
	printf("# %llu slow look-ups, %llu map calls, %llu pages\n",
	       (unsigned long long)stats.slow_lookups, (unsigned long long)stats.map_calls,
	       (unsigned long long)stats.pages_mapped);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
	domain_destroy(&domain);
	CHECK(domain_wait_gone(&domain, 5000));
}

static bool all_present(uint32_t page, uint32_t count)
{
	while (count--)
		if (!present[page++])
			return false;
	return true;
}

/* Read and write what the pointer promises, page by page. */
static void use(volatile uint32_t *memory, uint32_t page, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		volatile uint32_t *word = memory + i * (GUEST_PAGE_SIZE / 4);

		CHECK_EQUAL(*word, MARK(page + i));
		word[1] = *word;
	}
}

static void check_range(uint32_t page, uint32_t count, uint64_t bucket_size)
{
	uint64_t gpa = page_address(page);
	size_t length = (size_t)count * GUEST_PAGE_SIZE;
	void *memory;
	int error;

	if (gpa % bucket_size + length > bucket_size)
		return;
	mapcache_begin(client);
	memory = mapcache_ptr(client, gpa, length, PROT_READ | PROT_WRITE);
	error = errno;
	if (memory)
		use(memory, page, count);
	mapcache_end(client);
	test_progress();
	if (all_present(page, count) != (memory != NULL))
		test_fail(__FILE__, __LINE__, "pages %u + %u: pointer %p, errno %d", page, count,
			  memory, error);
	if (!memory)
		CHECK_EQUAL(error, EFAULT);
}

/* A pin is shortened to what is contiguous, never lengthened over a hole. */
static void check_pin(uint32_t page, uint32_t count)
{
	size_t length = (size_t)count * GUEST_PAGE_SIZE;
	void *memory = mapcache_pin(client, page_address(page), &length, PROT_READ | PROT_WRITE, 0);

	if (!memory) {
		CHECK_EQUAL(errno, EFAULT);
		CHECK(!all_present(page, count));
		return;
	}
	CHECK(length > 0 && length <= (size_t)count * GUEST_PAGE_SIZE);
	CHECK(all_present(page, (uint32_t)(length + GUEST_PAGE_SIZE - 1) / GUEST_PAGE_SIZE));
	use(memory, page, (uint32_t)length / GUEST_PAGE_SIZE);
	CHECK_EQUAL(mapcache_client_unpin(client, memory, 0), 0);
}

/* A copy stops at the first hole. */
static void check_copy(uint32_t page, uint32_t count)
{
	static uint8_t buffer[PAGES * GUEST_PAGE_SIZE];
	uint32_t reachable = 0;
	ssize_t done;

	while (reachable < count && present[page + reachable])
		reachable++;
	done = mapcache_read(client, page_address(page), buffer, (size_t)count * GUEST_PAGE_SIZE);
	if (reachable)
		CHECK_EQUAL(done, (ssize_t)reachable * GUEST_PAGE_SIZE);
	else
		CHECK_EQUAL(done, -EFAULT);
	for (uint32_t i = 0; i < reachable; i++)
		CHECK_EQUAL(*(uint32_t *)(buffer + (size_t)i * GUEST_PAGE_SIZE), MARK(page + i));
}

/* Every page, and longer ranges at all phases to the pages, granules and holes. */
static void check_everything(uint64_t bucket_size)
{
	static const uint32_t counts[] = { 1, 3, 16, 31, 256 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint32_t count = counts[i], step = count > 1 ? count + 1 : 1;

		for (uint32_t page = 0; page + count <= PAGES; page += step) {
			check_range(page, count, bucket_size);
			if (count == 1 && page % 16)
				continue;
			check_pin(page, count);
			check_copy(page, count);
		}
	}
}

static bool every_second_page(uint32_t page)
{
	return page & 1;
}

static bool some_pages(uint32_t page)
{
	return page == 0 || page == 15 || page == 16 || page == 100 || page == 255 ||
	       (page >= 40 && page < 60) || (page >= 128 && page < 192);
}

/* All kinds of holes with one shape of cache; then pages appear, then more go. */
static void check_shape(uint32_t bucket_shift, uint32_t granule_shift)
{
	static bool (*const patterns[])(uint32_t) = { every_second_page, some_pages };
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = bucket_shift,
					    .granule_shift = granule_shift };

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		start(&options, patterns[i]);
		check_everything(UINT64_C(1) << bucket_shift);
		for (uint32_t page = 0; page < PAGES; page += 3) {
			if (present[page])
				continue;
			CHECK_EQUAL(domain_give_page(&domain, FIRST_GFN + page), 0);
			domain_write_marks(&domain, FIRST_GFN + page, 1, MARK(page));
			present[page] = true;
			check_range(page, 1, UINT64_C(1) << bucket_shift);
		}
		check_everything(UINT64_C(1) << bucket_shift);
		for (uint32_t page = 0; page < PAGES; page += 5) {
			if (present[page])
				CHECK_EQUAL(domain_take_page(&domain, FIRST_GFN + page), 0);
			present[page] = false;
		}
		mapcache_invalidate(cache);
		check_everything(UINT64_C(1) << bucket_shift);
		finish();
	}
}

static void holes_in_buckets_of_a_page_are_never_given_out(void)
{
	check_shape(12, 12);
}

static void holes_in_buckets_of_64_kib_are_never_given_out(void)
{
	check_shape(16, 12);
}

static void holes_in_buckets_of_1_mib_are_never_given_out(void)
{
	check_shape(20, 14);
}

static void holes_in_buckets_of_4_mib_are_never_given_out(void)
{
	check_shape(22, 16);
}

const struct test holes_tests[] = {
	TEST(holes_in_buckets_of_a_page_are_never_given_out),
	TEST(holes_in_buckets_of_64_kib_are_never_given_out),
	TEST(holes_in_buckets_of_1_mib_are_never_given_out),
	TEST(holes_in_buckets_of_4_mib_are_never_given_out),
};
const size_t holes_tests_count = sizeof(holes_tests) / sizeof(holes_tests[0]);
