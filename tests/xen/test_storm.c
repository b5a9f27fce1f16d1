/* SPDX-License-Identifier: MIT */
/*
 * Both vCPUs change the guest's memory at the same time, in the same bucket, with transfers in
 * between: each removal must be answered, and seen, also where Xen flags it for the domain as a
 * whole. A thread of the device model for each.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <pthread.h>
#include <stdio.h>

#define GUEST_PAGES 1024
#define FIRST_GFN (GUEST_DATA / GUEST_PAGE_SIZE)

static struct emulator emulator;
static struct domain domain;

static void *serve_vcpu_1(void *unused)
{
	(void)unused;
	emulator_adopt(&emulator, 1);
	CHECK_EQUAL(emulator_wait_alone(&emulator, 1), 0);
	return NULL;
}

static void wait_for_pages(uint64_t pages)
{
	for (int waited = 0; waited < 5000 && domain_page_count(&domain) != pages; waited += 5)
		test_sleep_ms(5);
	CHECK_EQUAL(domain_page_count(&domain), pages);
}

static void storm(const struct mapcache_options *cache, uint32_t flags, uint32_t rounds,
		  uint32_t every)
{
	struct emulator_options options = { .cache = cache, .ioreq_flags = flags };
	pthread_t thread;
	uint64_t epoch;

	domain_create(&domain, 2, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, &options);
	epoch = mapcache_epoch(emulator.cache);
	emulator_post(&emulator, 0, COMMAND_BALLOON_ROUNDS,
		      ARGUMENTS(FIRST_GFN + 3, 2, rounds, every));
	emulator_post(&emulator, 1, COMMAND_BALLOON_ROUNDS,
		      ARGUMENTS(FIRST_GFN + 9, 3, rounds, every + 1));
	CHECK_EQUAL(pthread_create(&thread, NULL, serve_vcpu_1, NULL), 0);
	CHECK_EQUAL(emulator_wait_alone(&emulator, 0), 0);
	CHECK_EQUAL(pthread_join(thread, NULL), 0);
	CHECK(mapcache_epoch(emulator.cache) >= epoch + 2 * rounds);
	CHECK_EQUAL(emulator.device.vcpu[0].failed_transfers, 0);
	CHECK_EQUAL(emulator.device.vcpu[1].failed_transfers, 0);
	/* What both gave back is unmapped in the end, and free. */
	wait_for_pages(GUEST_PAGES);
	emulator_finish(&emulator);
}

static void a_storm_by_both_vcpus_is_served_right(void)
{
	storm(NULL, 0, 1000, 10);
}

static void a_storm_by_both_vcpus_is_served_right_in_small_buckets(void)
{
	struct mapcache_options cache = { .size = sizeof(cache),
					  .bucket_shift = 14,
					  .granule_shift = 12,
					  .max_bytes = 1 << 17,
					  .reclaim_ms = 1 };

	storm(&cache, 0, 500, 5);
}

static void a_storm_by_both_vcpus_is_served_right_when_drained(void)
{
	storm(NULL, MAPCACHE_IOREQ_DRAIN, 300, 3);
}

const struct test storm_tests[] = {
	TEST(a_storm_by_both_vcpus_is_served_right),
	TEST(a_storm_by_both_vcpus_is_served_right_in_small_buckets),
	TEST(a_storm_by_both_vcpus_is_served_right_when_drained),
};
const size_t storm_tests_count = sizeof(storm_tests) / sizeof(storm_tests[0]);
