/* SPDX-License-Identifier: MIT */
/* Changes of the guest's memory that are not its own balloon's. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>

#include "tests/xen/access.h"

#define GUEST_PAGES 1024
#define VICTIM_GFN (GUEST_DATA / GUEST_PAGE_SIZE + 3)
#define VICTIM ((uint32_t)VICTIM_GFN * GUEST_PAGE_SIZE)
/* Both vCPUs enter the guest many times within it. */
#define LATE_MS 400

static struct emulator emulator;
static struct domain domain;

static void start(void)
{
	domain_create(&domain, 2, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, NULL);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, 1));
}

static uint32_t look_up(void)
{
	return access_word(emulator.vcpu[0].client, VICTIM);
}

static void check_hole(void)
{
	access_check_hole(emulator.vcpu[0].client, VICTIM);
}

/* Nobody answers: both vCPUs come to rest, with a request each in their slots. */
static void let_the_vcpus_wait(void)
{
	test_sleep_ms(50);
	CHECK(domain_vcpu_stands_still(&domain, 0));
	CHECK(domain_vcpu_stands_still(&domain, 1));
}

static void a_page_taken_from_outside_is_told_late_and_by_every_vcpu(void)
{
	uint64_t epoch;

	start();
	CHECK_EQUAL(look_up(), 1);
	epoch = mapcache_epoch(emulator.cache);
	let_the_vcpus_wait();
	CHECK_EQUAL(domain_take_page(&domain, VICTIM_GFN), 0);
	/* Not told yet: what is mapped stays readable, and is the old page. */
	test_sleep_ms(50);
	CHECK_EQUAL(mapcache_epoch(emulator.cache), epoch);
	CHECK_EQUAL(look_up(), 1);
	emulator_serve(&emulator, LATE_MS);
	CHECK_EQUAL(mapcache_epoch(emulator.cache), epoch + 2);
	check_hole();
	/* A new page needs no notice. */
	CHECK_EQUAL(domain_give_page(&domain, VICTIM_GFN), 0);
	emulator_call(&emulator, 1, COMMAND_WRITE, ARGUMENTS(VICTIM, 2));
	CHECK_EQUAL(look_up(), 2);
	CHECK_EQUAL(mapcache_epoch(emulator.cache), epoch + 2);
	emulator_finish(&emulator);
}

static void a_page_exchanged_from_outside_many_times_is_never_stale_after_the_notice(void)
{
	start();
	for (uint32_t round = 2; round < 60; round++) {
		CHECK(look_up() == round - 1);
		CHECK_EQUAL(domain_take_page(&domain, VICTIM_GFN), 0);
		CHECK_EQUAL(domain_give_page(&domain, VICTIM_GFN), 0);
		/* The guest's result comes after the notice of that vCPU. */
		emulator_call(&emulator, round & 1, COMMAND_WRITE, ARGUMENTS(VICTIM, round));
		CHECK_EQUAL(look_up(), round);
	}
	emulator_finish(&emulator);
}

static void a_frame_removed_from_the_physmap_is_told(void)
{
	uint64_t epoch;

	start();
	CHECK_EQUAL(look_up(), 1);
	epoch = mapcache_epoch(emulator.cache);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_REMOVE, ARGUMENTS(VICTIM_GFN)), 0);
	CHECK(mapcache_epoch(emulator.cache) > epoch);
	check_hole();
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, 2));
	CHECK_EQUAL(look_up(), 2);
	emulator_finish(&emulator);
}

/*
 * Xen 4.17 replaces the page and tells nobody: nothing that a device model can see. Who
 * knows of it by other means calls mapcache_invalidate() or mapcache_invalidate_range().
 */
static void populating_over_memory_is_not_told(void)
{
	uint64_t epoch;

	start();
	CHECK_EQUAL(look_up(), 1);
	epoch = mapcache_epoch(emulator.cache);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, 2));
	CHECK_EQUAL(mapcache_epoch(emulator.cache), epoch);
	CHECK_EQUAL(look_up(), 1);
	CHECK_EQUAL(mapcache_invalidate_range(emulator.cache, VICTIM, 1), 0);
	CHECK_EQUAL(look_up(), 2);

	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VICTIM, 3));
	CHECK_EQUAL(look_up(), 2);
	mapcache_invalidate(emulator.cache);
	CHECK_EQUAL(look_up(), 3);
	emulator_finish(&emulator);
}

static void giving_back_a_hole_is_not_told(void)
{
	uint64_t epoch;

	start();
	emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1));
	epoch = mapcache_epoch(emulator.cache);
	emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1));
	CHECK_EQUAL(mapcache_epoch(emulator.cache), epoch);
	check_hole();
	emulator_finish(&emulator);
}

static void many_pages_given_back_at_once_are_told_together(void)
{
	uint64_t epoch;

	start();
	epoch = mapcache_epoch(emulator.cache);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 100)), 100);
	/* Once; or some times, when Xen interrupts the hypercall between two pages. */
	CHECK(mapcache_epoch(emulator.cache) > epoch);
	CHECK(mapcache_epoch(emulator.cache) < epoch + 50);
	for (uint32_t i = 0; i < 100; i++)
		access_check_hole(emulator.vcpu[0].client, VICTIM + i * GUEST_PAGE_SIZE);
	emulator_finish(&emulator);
}

const struct test outside_tests[] = {
	TEST(a_page_taken_from_outside_is_told_late_and_by_every_vcpu),
	TEST(a_page_exchanged_from_outside_many_times_is_never_stale_after_the_notice),
	TEST(a_frame_removed_from_the_physmap_is_told),
	TEST_X86(populating_over_memory_is_not_told, "Arm tells it"),
	TEST(giving_back_a_hole_is_not_told),
	TEST(many_pages_given_back_at_once_are_told_together),
};
const size_t outside_tests_count = sizeof(outside_tests) / sizeof(outside_tests[0]);
