/* SPDX-License-Identifier: MIT */
/* A guest that gives memory back and gets other memory in its place. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <sys/mman.h>

#include "tests/xen/access.h"

#define GUEST_PAGES 1024
#define VICTIM_GFN (GUEST_DATA / GUEST_PAGE_SIZE + 0x11)
#define VICTIM ((uint32_t)VICTIM_GFN * GUEST_PAGE_SIZE)
#define OLD 0x01d01d01u
#define NEW 0x3e3e3e3eu
/* Far more than any reclaim age, on a slow machine too. */
#define RECLAIM_PATIENCE_MS 5000

static struct emulator emulator;
static struct domain domain;

static void start(const struct emulator_options *options, unsigned int order)
{
	domain_create(&domain, 1, GUEST_PAGES, order);
	emulator_start(&emulator, &domain, options);
}

static uint32_t look_up(uint32_t gpa)
{
	return access_word(emulator.vcpu[0].client, gpa);
}

static void check_hole(uint32_t gpa)
{
	access_check_hole(emulator.vcpu[0].client, gpa);
}

static uint32_t *pin(uint32_t gpa)
{
	size_t length = sizeof(uint32_t);
	uint32_t *word =
		mapcache_pin(emulator.vcpu[0].client, gpa, &length, PROT_READ | PROT_WRITE, 0);

	CHECK(word);
	CHECK_EQUAL(length, sizeof(uint32_t));
	return word;
}

static bool wait_page_count(uint64_t pages)
{
	for (int waited = 0; waited < RECLAIM_PATIENCE_MS; waited += 5) {
		if (domain_page_count(&domain) == pages)
			return true;
		test_sleep_ms(5);
	}
	return false;
}

static void a_page_that_went_out_is_a_hole(void)
{
	uint64_t epoch;

	start(NULL, 0);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, OLD));
	CHECK_EQUAL(look_up(VICTIM), OLD);
	epoch = mapcache_epoch(emulator.cache);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	CHECK_EQUAL(mapcache_epoch(emulator.cache), epoch + 1);
	check_hole(VICTIM);
	/* Its neighbours are none. */
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM - 4, 1));
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM + GUEST_PAGE_SIZE, 2));
	CHECK_EQUAL(look_up(VICTIM - 4), 1);
	CHECK_EQUAL(look_up(VICTIM + GUEST_PAGE_SIZE), 2);
	emulator_finish(&emulator);
}

static void a_page_that_came_in_is_seen_without_notice(void)
{
	uint64_t epoch;

	start(NULL, 0);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	check_hole(VICTIM);
	epoch = mapcache_epoch(emulator.cache);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, NEW));
	CHECK_EQUAL(mapcache_epoch(emulator.cache), epoch);
	CHECK_EQUAL(look_up(VICTIM), NEW);
	emulator_finish(&emulator);
}

static void a_pin_keeps_the_old_page_until_it_is_released(void)
{
	uint32_t *pinned;

	start(NULL, 0);
	CHECK_EQUAL(domain_page_count(&domain), GUEST_PAGES);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, OLD));
	pinned = pin(VICTIM);
	CHECK_EQUAL(*pinned, OLD);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, NEW));

	/* Both pages are there; only the pin shows the old one. */
	CHECK_EQUAL(look_up(VICTIM), NEW);
	CHECK_EQUAL(*pinned, OLD);
	*pinned = ~OLD;
	CHECK_EQUAL(look_up(VICTIM), NEW);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_READ, ARGUMENTS(VICTIM)), NEW);
	test_sleep_ms(300);
	CHECK_EQUAL(*pinned, ~OLD);
	CHECK_EQUAL(domain_page_count(&domain), GUEST_PAGES + 1);

	CHECK_EQUAL(mapcache_unpin(emulator.cache, pinned, sizeof(*pinned)), 0);
	CHECK(wait_page_count(GUEST_PAGES));
	emulator_finish(&emulator);
}

static void an_unused_stale_page_goes_back_to_xen_by_itself(void)
{
	start(NULL, 0);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, OLD));
	CHECK_EQUAL(look_up(VICTIM), OLD);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	CHECK(wait_page_count(GUEST_PAGES - 1));
	emulator_finish(&emulator);
}

static void without_a_thread_reclaim_gives_the_page_back(void)
{
	struct mapcache_options cache = { .size = sizeof(cache),
					  .flags = MAPCACHE_NO_RECLAIM_THREAD };
	struct emulator_options options = { .cache = &cache };

	start(&options, 0);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, OLD));
	CHECK_EQUAL(look_up(VICTIM), OLD);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	test_sleep_ms(300);
	CHECK_EQUAL(domain_page_count(&domain), GUEST_PAGES);
	for (int i = 0; i < 100 && mapcache_reclaim(emulator.cache, UINT64_MAX); i++)
		;
	CHECK_EQUAL(domain_page_count(&domain), GUEST_PAGES - 1);
	emulator_finish(&emulator);
}

static void check_rounds(const struct emulator_options *options, unsigned int order, uint32_t pages,
			 uint32_t rounds, uint32_t every)
{
	uint64_t epoch;

	start(options, order);
	epoch = mapcache_epoch(emulator.cache);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_BALLOON_ROUNDS,
				  ARGUMENTS(VICTIM_GFN, pages, rounds, every)),
		    0);
	/* One each; or more, when Xen interrupts a hypercall between two pages. */
	CHECK(mapcache_epoch(emulator.cache) >= epoch + rounds);
	CHECK(mapcache_epoch(emulator.cache) <= epoch + rounds * pages);
	CHECK_EQUAL(emulator.device.vcpu[0].failed_transfers, 0);
	CHECK(emulator.device.vcpu[0].transfers >= rounds / every);
	CHECK(wait_page_count(GUEST_PAGES));
	emulator_finish(&emulator);
}

static void pages_that_went_out_and_in_are_seen_fresh(void)
{
	check_rounds(NULL, 0, 1, 2000, 20);
}

static void the_answer_after_draining_is_as_good(void)
{
	struct emulator_options options = { .ioreq_flags = MAPCACHE_IOREQ_DRAIN };

	check_rounds(&options, 0, 2, 200, 4);
}

static void superpages_that_shatter_are_seen_fresh(void)
{
	struct mapcache_options cache = { .size = sizeof(cache), .bucket_shift = 21 };
	struct emulator_options options = { .cache = &cache };

	check_rounds(&options, 9, 3, 100, 1);
}

const struct test balloon_tests[] = {
	TEST(a_page_that_went_out_is_a_hole),
	TEST(a_page_that_came_in_is_seen_without_notice),
	TEST(a_pin_keeps_the_old_page_until_it_is_released),
	TEST(an_unused_stale_page_goes_back_to_xen_by_itself),
	TEST(without_a_thread_reclaim_gives_the_page_back),
	TEST(pages_that_went_out_and_in_are_seen_fresh),
	TEST(the_answer_after_draining_is_as_good),
	TEST(superpages_that_shatter_are_seen_fresh),
};
const size_t balloon_tests_count = sizeof(balloon_tests) / sizeof(balloon_tests[0]);
