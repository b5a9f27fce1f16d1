/* SPDX-License-Identifier: MIT */
/* Several ioreq servers of one guest, each with a cache of its own. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>

#include "tests/xen/access.h"

#define GUEST_PAGES 1024
#define VICTIM_GFN (GUEST_DATA / GUEST_PAGE_SIZE)
#define OTHER_MMIO (GUEST_MMIO + 0x20000u)

static struct domain domain;
/* With the guest's ports; without any range; enabled later than the guest runs. */
static struct emulator first, bare, late;

static int other_device(void *data, struct mapcache_client *client,
			struct mapcache_request *request)
{
	(void)client;
	if (request->addr != OTHER_MMIO)
		return -ENXIO;
	if (request->write)
		*(uint32_t *)data = (uint32_t)request->data;
	else
		request->data = *(uint32_t *)data;
	return 0;
}

static uint32_t other_register;

static void start(void)
{
	struct emulator_options none = { .no_ranges = true };
	struct emulator_options other = { .no_ranges = true,
					  .handler = other_device,
					  .handler_data = &other_register };

	domain_create(&domain, 2, GUEST_PAGES, 0);
	emulator_open(&first, &domain, NULL);
	emulator_open(&bare, &domain, &none);
	emulator_open(&late, &domain, &other);
	CHECK_EQUAL(mapcache_ioreq_add_range(late.server, MAPCACHE_IOREQ_MEMORY, OTHER_MMIO,
					     OTHER_MMIO + 0xfff),
		    0);
	first.peer = &bare;
	bare.peer = &late;
	emulator_enable(&first);
	emulator_enable(&bare);
	domain_unpause(&domain);
}

static void finish(void)
{
	emulator_close(&late);
	emulator_close(&bare);
	emulator_finish(&first);
}

/* Other memory at the same place, with value in it. */
static void replace_page(uint32_t value)
{
	CHECK_EQUAL(emulator_call(&first, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	CHECK_EQUAL(emulator_call(&first, 0, COMMAND_POPULATE, ARGUMENTS(VICTIM_GFN, 1)), 1);
	emulator_call(&first, 0, COMMAND_WRITE, ARGUMENTS(GUEST_DATA, value));
}

static uint32_t seen_by(struct emulator *emulator)
{
	return access_word(emulator->vcpu[0].client, GUEST_DATA);
}

static void every_enabled_server_is_told_and_answers(void)
{
	uint64_t first_epoch, bare_epoch, late_epoch;

	start();
	emulator_call(&first, 0, COMMAND_WRITE, ARGUMENTS(GUEST_DATA, 1));
	CHECK_EQUAL(seen_by(&first), 1);
	CHECK_EQUAL(seen_by(&bare), 1);
	first_epoch = mapcache_epoch(first.cache);
	bare_epoch = mapcache_epoch(bare.cache);
	late_epoch = mapcache_epoch(late.cache);
	replace_page(2);
	CHECK_EQUAL(mapcache_epoch(first.cache), first_epoch + 1);
	CHECK_EQUAL(mapcache_epoch(bare.cache), bare_epoch + 1);
	CHECK_EQUAL(mapcache_epoch(late.cache), late_epoch);
	CHECK_EQUAL(seen_by(&first), 2);
	CHECK_EQUAL(seen_by(&bare), 2);
	finish();
}

static void the_vcpu_waits_for_the_answer_of_every_server(void)
{
	start();
	emulator_call(&first, 0, COMMAND_READ, ARGUMENTS(GUEST_DATA));
	first.peer = NULL;
	emulator_post(&first, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM_GFN, 1));
	CHECK(!emulator_try_wait(&first, 0, 300));
	first.peer = &bare;
	CHECK_EQUAL(emulator_wait(&first, 0), 1);
	finish();
}

static void a_server_enabled_late_starts_invalidated(void)
{
	uint64_t epoch;

	start();
	emulator_call(&first, 0, COMMAND_WRITE, ARGUMENTS(GUEST_DATA, 1));
	CHECK_EQUAL(seen_by(&late), 1);
	replace_page(2);
	/* Nobody has told it; that is why enabling invalidates. */
	CHECK_EQUAL(seen_by(&late), 1);
	emulator_enable(&late);
	CHECK_EQUAL(seen_by(&late), 2);
	epoch = mapcache_epoch(late.cache);
	replace_page(3);
	CHECK_EQUAL(mapcache_epoch(late.cache), epoch + 1);
	CHECK_EQUAL(seen_by(&late), 3);
	finish();
}

static void a_server_disabled_for_a_while_starts_invalidated_again(void)
{
	start();
	emulator_enable(&late);
	replace_page(1);
	CHECK_EQUAL(seen_by(&late), 1);
	CHECK_EQUAL(mapcache_ioreq_enable(late.server, false), 0);
	replace_page(2);
	CHECK_EQUAL(mapcache_ioreq_enable(late.server, true), 0);
	CHECK_EQUAL(seen_by(&late), 2);
	finish();
}

static void requests_go_to_the_server_whose_range_it_is(void)
{
	start();
	emulator_enable(&late);
	emulator_call(&first, 0, COMMAND_WRITE, ARGUMENTS(OTHER_MMIO, 0x600d));
	CHECK_EQUAL(other_register, 0x600d);
	CHECK_EQUAL(emulator_call(&first, 0, COMMAND_READ, ARGUMENTS(OTHER_MMIO)), 0x600d);
	emulator_call(&first, 1, COMMAND_WRITE, ARGUMENTS(DEVICE_SCRATCH, 0xfade));
	CHECK_EQUAL(first.device.vcpu[1].scratch, 0xfade);
	CHECK_EQUAL(late.device.vcpu[1].scratch, 0);
	/* Given back, the range is nobody's: writes are lost, reads are all ones. */
	CHECK_EQUAL(mapcache_ioreq_remove_range(late.server, MAPCACHE_IOREQ_MEMORY, OTHER_MMIO,
						OTHER_MMIO + 0xfff),
		    0);
	emulator_call(&first, 0, COMMAND_WRITE, ARGUMENTS(OTHER_MMIO, 1));
	CHECK_EQUAL(other_register, 0x600d);
	CHECK_EQUAL(emulator_call(&first, 0, COMMAND_READ, ARGUMENTS(OTHER_MMIO)), 0xffffffff);
	finish();
}

static void a_range_added_twice_is_refused(void)
{
	start();
	CHECK(mapcache_ioreq_add_range(late.server, MAPCACHE_IOREQ_MEMORY, OTHER_MMIO,
				       OTHER_MMIO + 0xfff) < 0);
	finish();
}

const struct test servers_tests[] = {
	TEST(every_enabled_server_is_told_and_answers),
	TEST(the_vcpu_waits_for_the_answer_of_every_server),
	TEST(a_server_enabled_late_starts_invalidated),
	TEST(a_server_disabled_for_a_while_starts_invalidated_again),
	TEST(requests_go_to_the_server_whose_range_it_is),
	TEST(a_range_added_twice_is_refused),
};
const size_t servers_tests_count = sizeof(servers_tests) / sizeof(servers_tests[0]);
