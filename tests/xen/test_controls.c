/* SPDX-License-Identifier: MIT */
/*
 * Controls: device models with a fault each. What the other tests check must go wrong with
 * them, or those tests could not fail.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#define GUEST_PAGES 1024
#define VICTIM (GUEST_DATA / GUEST_PAGE_SIZE)

static void device_model_that_never_answers_blocks_the_vcpu(void)
{
	struct emulator_options options = { .raw = true, .behaviour = RAW_NEVER_ANSWERS };
	struct emulator emulator;
	struct domain domain;

	domain_create(&domain, 1, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, &options);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(GUEST_DATA, 1)), 0);
	emulator_post(&emulator, 0, COMMAND_DECREASE, ARGUMENTS(VICTIM, 1));
	CHECK(!emulator_try_wait(&emulator, 0, 1000));
	CHECK(raw_server_invalidates(emulator.raw) > 0);
	CHECK(domain_vcpu_stands_still(&domain, 0));
	emulator_finish(&emulator);
}

/* The same rounds as pages_that_went_out_and_in_are_seen_fresh, which must see it. */
static void device_model_that_keeps_stale_pages_is_found_out(void)
{
	struct emulator_options options = { .raw = true, .behaviour = RAW_KEEPS_STALE_PAGES };
	struct emulator emulator;
	struct domain domain;
	uint32_t wrong;

	domain_create(&domain, 1, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, &options);
	wrong = emulator_call(&emulator, 0, COMMAND_BALLOON_ROUNDS, ARGUMENTS(VICTIM, 2, 10, 1));
	CHECK(wrong > 0);
	CHECK(raw_server_invalidates(emulator.raw) > 0);
	emulator_finish(&emulator);
}

const struct test controls_tests[] = {
	TEST(device_model_that_never_answers_blocks_the_vcpu),
	TEST(device_model_that_keeps_stale_pages_is_found_out),
};
const size_t controls_tests_count = sizeof(controls_tests) / sizeof(controls_tests[0]);
