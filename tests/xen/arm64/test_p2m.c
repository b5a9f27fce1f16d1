/* SPDX-License-Identifier: MIT */
/*
 * When Arm's Xen tells of a page that goes, and how often: p2m_free_entry() flags it for a leaf
 * that was memory, a page (level 3) or a superpage, also when a superpage could not be shattered
 * and nothing went. And what a guest sees through the library each time.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <stdio.h>
#include <sys/mman.h>

#include "tests/xen/access.h"

#define GUEST_PAGES 2048
#define FIRST_GFN (GUEST_DATA / GUEST_PAGE_SIZE)
#define VICTIM_GFN (FIRST_GFN + 0x11)
#define VICTIM ((uint32_t)VICTIM_GFN * GUEST_PAGE_SIZE)
#define SUPERPAGE 9u                /* its order */
#define SUPER_GFN (FIRST_GFN + 512) /* where one starts */
#define SUPER ((uint32_t)SUPER_GFN * GUEST_PAGE_SIZE)

static struct emulator emulator;
static struct domain domain;

static void start(unsigned int order, uint32_t vcpus)
{
	domain_create(&domain, vcpus, GUEST_PAGES, order);
	emulator_start(&emulator, &domain, NULL);
	/* The guest runs: before its first unpause Xen tells nothing. */
	emulator_call(&emulator, 0, COMMAND_READ, ARGUMENTS(GUEST_DATA));
}

static struct mapcache_client *client(void)
{
	return emulator.vcpu[0].client;
}

static uint32_t call(uint32_t vcpu, enum command command,
		     const uint32_t argument[COMMAND_ARGUMENTS])
{
	return emulator_call(&emulator, vcpu, command, argument);
}

/* A command with its result; the INVALIDATEs that it brought. */
static uint32_t told(uint32_t vcpu, enum command command,
		     const uint32_t argument[COMMAND_ARGUMENTS], uint32_t result)
{
	uint64_t epoch = mapcache_epoch(emulator.cache);

	CHECK_EQUAL(call(vcpu, command, argument), result);
	return (uint32_t)(mapcache_epoch(emulator.cache) - epoch);
}

/* The guest writes a word, and the device model reads it. */
static void check_seen(uint32_t address, uint32_t value)
{
	call(0, COMMAND_WRITE, ARGUMENTS(address, value));
	CHECK_EQUAL(access_word(client(), address), value);
}

static void a_page_that_goes_is_told_once(void)
{
	start(0, 2);
	check_seen(VICTIM, 1);
	CHECK_EQUAL(told(0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1), 1), 1);
	access_check_hole(client(), VICTIM);
	CHECK_EQUAL(told(0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1), 0), 0);
	CHECK_EQUAL(told(0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1), 1), 0);
	check_seen(VICTIM, 2);
	CHECK_EQUAL(told(1, COMMAND_REMOVE, ARGUMENTS(VICTIM_GFN), 0), 1);
	access_check_hole(client(), VICTIM);
	emulator_finish(&emulator);
}

/* Once a hypercall; or once for each part that Xen interrupts it into. */
static void pages_that_go_together_are_told_once_a_part(void)
{
	uint32_t count;

	start(0, 2);
	count = told(0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 8), 8);
	CHECK(count >= 1 && count <= 8);
	count = told(1, COMMAND_DECREASE, ARGUMENTS(FIRST_GFN + 64, 400), 400);
	CHECK(count >= 1 && count <= 40);
	printf("# 400 pages in one hypercall: %u INVALIDATEs\n", count);
	for (uint32_t page = 64; page < 464; page++)
		access_check_hole(client(), GUEST_DATA + page * GUEST_PAGE_SIZE);
	emulator_finish(&emulator);
}

static void a_superpage_goes_whole(void)
{
	start(SUPERPAGE, 1);
	check_seen(SUPER + 0x5000, 0x11);
	CHECK(told(0, COMMAND_DECREASE, ARGUMENTS(SUPER_GFN, 1, SUPERPAGE), 1) >= 1);
	for (uint32_t page = 0; page < 512; page++)
		access_check_hole(client(), SUPER + page * GUEST_PAGE_SIZE);
	CHECK_EQUAL(told(0, COMMAND_POPULATE, ARGUMENTS(SUPER_GFN, 1, SUPERPAGE), 1), 0);
	check_seen(SUPER + 0x5000, 0x12);
	emulator_finish(&emulator);
}

static void a_superpage_that_shatters_is_told_once(void)
{
	start(SUPERPAGE, 1);
	check_seen(SUPER + 0x6000, 0x21);
	CHECK_EQUAL(told(0, COMMAND_DECREASE, ARGUMENTS(SUPER_GFN + 5, 1), 1), 1);
	access_check_hole(client(), SUPER + 0x5000);
	/* Its other pages are the same. */
	CHECK_EQUAL(access_word(client(), SUPER + 0x6000), 0x21);
	check_seen(SUPER + 0x6000, 0x22);
	emulator_finish(&emulator);
}

/* No memory for the table that it would become: nothing goes, and it is told all the same. */
static void a_superpage_that_cannot_shatter_is_told_for_nothing(void)
{
	start(SUPERPAGE, 1);
	check_seen(SUPER + 0x5000, 0x31);
	/* Refused for what is in use (EBUSY), after all that is free has gone. */
	xc_set_paging_mempool_size(domain.control, domain.id, 0);
	CHECK_EQUAL(told(0, COMMAND_DECREASE, ARGUMENTS(SUPER_GFN + 5, 1), 0), 1);
	CHECK_EQUAL(access_word(client(), SUPER + 0x5000), 0x31);
	check_seen(SUPER + 0x5000, 0x32);
	domain_require(xc_set_paging_mempool_size(domain.control, domain.id, 4 << 20), "pool");
	CHECK_EQUAL(told(0, COMMAND_DECREASE, ARGUMENTS(SUPER_GFN + 5, 1), 1), 1);
	access_check_hole(client(), SUPER + 0x5000);
	emulator_finish(&emulator);
}

/* A leaf that another one replaces. x86 says nothing here. */
static void populating_over_memory_is_told(void)
{
	size_t length = 4;
	uint32_t *pinned;

	start(0, 1);
	check_seen(VICTIM, 1);
	pinned = mapcache_pin(client(), VICTIM, &length, PROT_READ, 0);
	CHECK(pinned);
	CHECK_EQUAL(told(0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1), 1), 1);
	check_seen(VICTIM, 2);
	CHECK_EQUAL(*pinned, 1);
	CHECK_EQUAL(mapcache_unpin(emulator.cache, pinned, 0), 0);
	emulator_finish(&emulator);
}

static void populating_with_superpages_over_pages_is_told(void)
{
	start(0, 1);
	check_seen(SUPER + 0x3000, 1);
	domain_require(xc_domain_setmaxmem(domain.control, domain.id, 4 * 4 * GUEST_PAGES),
		       "maximum");
	CHECK(told(0, COMMAND_POPULATE, ARGUMENTS(SUPER_GFN, 1, SUPERPAGE), 1) >= 1);
	check_seen(SUPER + 0x3000, 2);
	/* And a page over one of a superpage. */
	CHECK(told(0, COMMAND_POPULATE, ARGUMENTS(SUPER_GFN + 3, 1), 1) >= 1);
	check_seen(SUPER + 0x3000, 3);
	check_seen(SUPER + 0x4000, 4);
	emulator_finish(&emulator);
}

static void a_frame_of_xens_over_memory_is_told(void)
{
	start(0, 1);
	check_seen(VICTIM, 0x1234567);
	CHECK_EQUAL(told(0, COMMAND_SHARE_INFO, ARGUMENTS(VICTIM_GFN), 0), 1);
	CHECK(access_word(client(), VICTIM) != 0x1234567);
	CHECK_EQUAL(told(0, COMMAND_REMOVE, ARGUMENTS(VICTIM_GFN), 0), 1);
	access_check_hole(client(), VICTIM);
	emulator_finish(&emulator);
}

/* Xen marks all entries as invalid for it, and no page goes. */
static void flushing_caches_by_set_and_way_is_not_told(void)
{
	start(0, 1);
	check_seen(VICTIM, 0x41);
	CHECK_EQUAL(told(0, COMMAND_FLUSH_CACHES, ARGUMENTS(0), 0), 0);
	check_seen(VICTIM, 0x42);
	CHECK_EQUAL(told(0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1), 1), 1);
	access_check_hole(client(), VICTIM);
	emulator_finish(&emulator);
}

const struct test p2m_tests[] = {
	TEST(a_page_that_goes_is_told_once),
	TEST(pages_that_go_together_are_told_once_a_part),
	TEST(a_superpage_goes_whole),
	TEST(a_superpage_that_shatters_is_told_once),
	TEST(a_superpage_that_cannot_shatter_is_told_for_nothing),
	TEST(populating_over_memory_is_told),
	TEST(populating_with_superpages_over_pages_is_told),
	TEST(a_frame_of_xens_over_memory_is_told),
	TEST(flushing_caches_by_set_and_way_is_not_told),
};
const size_t p2m_tests_count = sizeof(p2m_tests) / sizeof(p2m_tests[0]);
