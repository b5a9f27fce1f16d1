/* SPDX-License-Identifier: MIT */
/*
 * Two vCPUs and a thread of the device model for each: one vCPU balloons, the other does
 * memory-mapped I/O and transfers all the time, also to the pages that the first has just
 * replaced. The guest checks every transfer.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <pthread.h>

#define GUEST_PAGES 1024
#define RELAY_GFN (GUEST_DATA / GUEST_PAGE_SIZE + 1)
#define RELAY_PAGES 3
/* In the bucket, and for a part in the granule, of the pages that come and go. */
#define OWN_ADDRESS ((RELAY_GFN + 2 * RELAY_PAGES) * GUEST_PAGE_SIZE)
#define OWN_LENGTH (3 * GUEST_PAGE_SIZE)
#define ROUNDS 150

static struct emulator emulator;
static struct domain domain;

static void *serve_traffic(void *unused)
{
	(void)unused;
	emulator_adopt(&emulator, 1);
	CHECK_EQUAL(emulator_wait_alone(&emulator, 1), 0);
	return NULL;
}

static void check_both(uint32_t ioreq_flags, const struct mapcache_options *cache)
{
	struct emulator_options options = { .ioreq_flags = ioreq_flags, .cache = cache };
	pthread_t thread;
	uint64_t epoch;

	domain_create(&domain, 2, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, &options);
	epoch = mapcache_epoch(emulator.cache);
	emulator_post(&emulator, 1, COMMAND_TRAFFIC,
		      ARGUMENTS(RELAY_GFN, RELAY_PAGES, OWN_ADDRESS, OWN_LENGTH));
	emulator_post(&emulator, 0, COMMAND_BALLOON_RELAY,
		      ARGUMENTS(RELAY_GFN, RELAY_PAGES, ROUNDS));
	CHECK_EQUAL(pthread_create(&thread, NULL, serve_traffic, NULL), 0);
	CHECK_EQUAL(emulator_wait_alone(&emulator, 0), 0);
	CHECK_EQUAL(pthread_join(thread, NULL), 0);
	CHECK(mapcache_epoch(emulator.cache) >= epoch + ROUNDS);
	CHECK_EQUAL(emulator.device.vcpu[1].failed_transfers, 0);
	/* A verify and a fill of each round's pages, and as many of its own at least. */
	CHECK(emulator.device.vcpu[1].transfers >= 4 * ROUNDS);
	emulator_finish(&emulator);
}

static void transfers_during_ballooning_are_right_when_answered_at_once(void)
{
	check_both(0, NULL);
}

static void transfers_during_ballooning_are_right_when_drained_first(void)
{
	check_both(MAPCACHE_IOREQ_DRAIN, NULL);
}

static void transfers_during_ballooning_are_right_in_small_buckets(void)
{
	struct mapcache_options cache = { .size = sizeof(cache),
					  .bucket_shift = 14,
					  .granule_shift = 12,
					  .max_bytes = 1 << 17,
					  .reclaim_ms = 1 };

	check_both(0, &cache);
}

static void transfers_during_ballooning_are_right_without_membarrier(void)
{
	struct mapcache_options cache = { .size = sizeof(cache), .flags = MAPCACHE_NO_MEMBARRIER };

	check_both(0, &cache);
}

const struct test concurrent_tests[] = {
	TEST(transfers_during_ballooning_are_right_when_answered_at_once),
	TEST(transfers_during_ballooning_are_right_when_drained_first),
	TEST(transfers_during_ballooning_are_right_in_small_buckets),
	TEST(transfers_during_ballooning_are_right_without_membarrier),
};
const size_t concurrent_tests_count = sizeof(concurrent_tests) / sizeof(concurrent_tests[0]);
