/* SPDX-License-Identifier: MIT */
/* A guest that dies while the device model holds its memory. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <sys/mman.h>

#include "tests/xen/access.h"

#define GUEST_PAGES 2048
#define OTHER_BUCKET (GUEST_DATA + 0x200000u)
#define PINS 8

static struct emulator emulator;
static struct domain domain;
static uint32_t *pinned[PINS];

static struct mapcache_client *client(void)
{
	return emulator.vcpu[0].client;
}

/* A running guest of which some memory is mapped and some is pinned. */
static void start(void)
{
	domain_create(&domain, 2, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, NULL);
	for (uint32_t i = 0; i < PINS; i++) {
		uint32_t gpa = GUEST_DATA + i * 0x10000;
		size_t length = sizeof(uint32_t);

		emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(gpa, i + 1));
		pinned[i] = mapcache_pin(client(), gpa, &length, PROT_READ | PROT_WRITE, 0);
		CHECK(pinned[i]);
	}
	CHECK_EQUAL(access_word(client(), GUEST_DATA), 1);
}

static void unpin_all(void)
{
	for (uint32_t i = 0; i < PINS; i++)
		CHECK_EQUAL(mapcache_unpin(emulator.cache, pinned[i], 0), 0);
}

static void pins_outlive_the_domain_and_closing_lets_it_go(void)
{
	start();
	domain_destroy(&domain);
	/* Dying, not gone: its memory is mapped here. */
	CHECK(!domain_wait_gone(&domain, 300));
	for (uint32_t i = 0; i < PINS; i++) {
		CHECK_EQUAL(*pinned[i], i + 1);
		*pinned[i] = 0;
	}
	CHECK_EQUAL(mapcache_close(emulator.cache), -EBUSY);
	unpin_all();
	emulator_close(&emulator);
	CHECK(domain_wait_gone(&domain, 5000));
}

static void operations_on_a_dead_domain_are_errors(void)
{
	uint8_t buffer[64];
	size_t length = sizeof(buffer);

	start();
	domain_destroy(&domain);
	mapcache_invalidate(emulator.cache);
	CHECK_EQUAL(access_word(client(), GUEST_DATA), ~0u);
	CHECK(errno != 0);
	CHECK_EQUAL(access_word(client(), OTHER_BUCKET), ~0u);
	CHECK(errno != 0);
	CHECK(mapcache_read(client(), OTHER_BUCKET, buffer, sizeof(buffer)) < 0);
	CHECK(mapcache_write(client(), OTHER_BUCKET, buffer, sizeof(buffer)) < 0);
	CHECK(!mapcache_pin(client(), OTHER_BUCKET, &length, PROT_READ, 0));
	CHECK(mapcache_ioreq_enable(emulator.server, true) < 0);
	CHECK(mapcache_ioreq_add_range(emulator.server, MAPCACHE_IOREQ_MEMORY, 0xd0000000,
				       0xd0000fff) < 0);
	/* The slots are still mapped, and empty. */
	CHECK(mapcache_ioreq_handle(emulator.server, client(), 0) >= 0);
	unpin_all();
	emulator_close(&emulator);
	CHECK(domain_wait_gone(&domain, 5000));
}

static void invalidating_and_reclaiming_lets_a_dead_domain_go_before_the_close(void)
{
	start();
	unpin_all();
	domain_destroy(&domain);
	mapcache_invalidate(emulator.cache);
	for (int i = 0; i < 1000 && mapcache_reclaim(emulator.cache, UINT64_MAX); i++)
		test_sleep_ms(1);
	/* What is left are the slots of the server, which are Xen's own memory. */
	CHECK_EQUAL(domain_page_count(&domain), 0);
	emulator_close(&emulator);
	CHECK(domain_wait_gone(&domain, 5000));
}

static void note_gone(void *data)
{
	++*(unsigned int *)data;
}

static int nothing_is_asked(void *data, struct mapcache_client *asked,
			    struct mapcache_request *request)
{
	(void)data;
	(void)asked;
	(void)request;
	return -EIO;
}

/* Held by this cache alone in the end, whose owner lives on. */
static void what_is_left_of_a_domain_is_given_up_by_one_call_and_its_end_is_told_once(void)
{
	unsigned int told = 0;
	struct mapcache_options options = { .size = sizeof(options),
					    .gone = note_gone,
					    .gone_data = &told };
	struct mapcache_ioreq_options server_options = { .size = sizeof(server_options),
							 .handler = nothing_is_asked };
	struct mapcache_client *other_client;
	struct mapcache_ioreq *server;
	struct mapcache *other;

	start();
	unpin_all();
	options.domid = domain.id;
	CHECK_EQUAL(mapcache_open(&options, &other), 0);
	CHECK_EQUAL(mapcache_client_open(other, &other_client), 0);
	server_options.domid = domain.id;
	CHECK_EQUAL(mapcache_ioreq_open(other, &server_options, &server), 0);
	CHECK_EQUAL(mapcache_ioreq_enable(server, true), 0);
	CHECK_EQUAL(access_word(other_client, GUEST_DATA), 1);
	CHECK_EQUAL(told, 0);
	domain_destroy(&domain);
	emulator_close(&emulator);
	CHECK(!domain_wait_gone(&domain, 300));
	CHECK_EQUAL(mapcache_ioreq_enable(server, false), -ENOENT);
	CHECK_EQUAL(told, 1);
	CHECK_EQUAL(mapcache_ioreq_close(server), 0);
	CHECK_EQUAL(mapcache_unmap(other, 0, UINT64_MAX, 5000), 0);
	CHECK(domain_wait_gone(&domain, 5000));
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_EQUAL(access_word(other_client, GUEST_DATA + i * 0x200000), ~0u);
		CHECK_EQUAL(errno, ESRCH);
	}
	CHECK_EQUAL(told, 1);
	CHECK_EQUAL(mapcache_client_close(other_client), 0);
	CHECK_EQUAL(mapcache_close(other), 0);
}

static void a_guest_that_shuts_down_is_closed_and_destroyed(void)
{
	start();
	emulator_post(&emulator, 0, COMMAND_SHUTDOWN, ARGUMENTS(0));
	CHECK(!emulator_try_wait(&emulator, 0, 200));
	CHECK(domain_has_shut_down(&domain));
	/* Its memory is still there, as for a guest that saves itself. */
	CHECK_EQUAL(access_word(client(), GUEST_DATA), 1);
	unpin_all();
	emulator_finish(&emulator);
}

static void a_guest_destroyed_in_the_middle_of_ballooning_leaves_nothing(void)
{
	start();
	emulator_post(&emulator, 0, COMMAND_BALLOON_ROUNDS,
		      ARGUMENTS(OTHER_BUCKET / GUEST_PAGE_SIZE, 2, 100000, 3));
	emulator_serve(&emulator, 200);
	CHECK(!emulator.vcpu[0].finished);
	domain_destroy(&domain);
	emulator_serve(&emulator, 100);
	unpin_all();
	emulator_close(&emulator);
	CHECK(domain_wait_gone(&domain, 5000));
}

const struct test death_tests[] = {
	TEST(pins_outlive_the_domain_and_closing_lets_it_go),
	TEST(operations_on_a_dead_domain_are_errors),
	TEST(invalidating_and_reclaiming_lets_a_dead_domain_go_before_the_close),
	TEST(what_is_left_of_a_domain_is_given_up_by_one_call_and_its_end_is_told_once),
	TEST(a_guest_that_shuts_down_is_closed_and_destroyed),
	TEST(a_guest_destroyed_in_the_middle_of_ballooning_leaves_nothing),
};
const size_t death_tests_count = sizeof(death_tests) / sizeof(death_tests[0]);
