/* SPDX-License-Identifier: MIT */
/* examples/mmio as it is, a program of its own: it adds up bytes of the guest that it pins. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST_PAGES 2048
#define PROGRAM "/helpers/mmio"
#define BUFFER_GFN (GUEST_DATA / GUEST_PAGE_SIZE + 0x11)
#define BUFFER ((uint32_t)BUFFER_GFN * GUEST_PAGE_SIZE)
#define LENGTH (3 * GUEST_PAGE_SIZE)
#define ROUNDS 60u

/* Its registers. */
#define ID (BLOCK_MMIO + 0x00u)
#define ID_VALUE 0x6d636465u
#define SCRATCH (BLOCK_MMIO + 0x04u)
#define ADDRESS (BLOCK_MMIO + 0x08u)
#define BYTES (BLOCK_MMIO + 0x10u)
#define START (BLOCK_MMIO + 0x14u)
#define STATUS (BLOCK_MMIO + 0x18u)
#define SUM (BLOCK_MMIO + 0x1cu)

static struct emulator emulator;
static struct domain domain;

static pid_t run_example(void)
{
	char domid[16], base[16];
	pid_t child;

	snprintf(domid, sizeof(domid), "%u", domain.id);
	snprintf(base, sizeof(base), "%#x", BLOCK_MMIO);
	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child)
		return child;
	/* A test that fails takes it along. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(PROGRAM, PROGRAM, domid, "2", base, (char *)NULL);
	perror(PROGRAM);
	_exit(127);
}

static uint32_t call(uint32_t vcpu, enum command command, uint32_t first, uint32_t second)
{
	return emulator_call(&emulator, vcpu, command, ARGUMENTS(first, second));
}

/* Of the bytes that pattern_fill() puts there. */
static uint32_t expected_sum(uint32_t seed)
{
	uint32_t sum = 0;

	for (uint32_t at = BUFFER; at < BUFFER + LENGTH; at += 4)
		for (uint32_t word = pattern_word(seed, at); word; word >>= 8)
			sum += word & 0xff;
	return sum;
}

/* With a hole in the middle it is an error, with new pages the new bytes. */
static void check_round(uint32_t vcpu, uint32_t round)
{
	CHECK_EQUAL(call(vcpu, COMMAND_DECREASE, BUFFER_GFN + 1, 1), 1);
	call(vcpu, COMMAND_WRITE, START, 1);
	CHECK_EQUAL(call(vcpu, COMMAND_READ, STATUS, 0), EFAULT);
	CHECK_EQUAL(call(vcpu, COMMAND_POPULATE, BUFFER_GFN + 1, 1), 1);
	emulator_call(&emulator, vcpu, COMMAND_FILL, ARGUMENTS(BUFFER, LENGTH, round));
	call(vcpu, COMMAND_WRITE, START, 1);
	CHECK_EQUAL(call(vcpu, COMMAND_READ, STATUS, 0), 0);
	CHECK_EQUAL(call(vcpu, COMMAND_READ, SUM, 0), expected_sum(round));
}

static void the_mmio_example_serves_a_guest_that_balloons(void)
{
	uint32_t id = 0;
	int status;
	pid_t child;

	domain_create(&domain, 2, GUEST_PAGES, 0);
	child = run_example();
	emulator_start(&emulator, &domain, NULL);
	/* Nobody's until the example has taken its range. */
	for (int i = 0; i < 200 && id != ID_VALUE; i++) {
		id = call(0, COMMAND_READ, ID, 0);
		test_sleep_ms(10);
	}
	CHECK_EQUAL(id, ID_VALUE);
	call(1, COMMAND_WRITE, SCRATCH, 0xabcd);
	CHECK_EQUAL(call(1, COMMAND_READ, SCRATCH, 0), 0xabcd);
	call(0, COMMAND_WRITE, ADDRESS, BUFFER);
	call(0, COMMAND_WRITE, BYTES, LENGTH);
	for (uint32_t round = 1; round <= ROUNDS; round++)
		check_round(round & 1, round);
	CHECK_EQUAL(kill(child, SIGTERM), 0);
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	emulator_finish(&emulator);
}

const struct test mmio_tests[] = {
	TEST(the_mmio_example_serves_a_guest_that_balloons),
};
const size_t mmio_tests_count = sizeof(mmio_tests) / sizeof(mmio_tests[0]);
