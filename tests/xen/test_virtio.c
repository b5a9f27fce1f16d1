/* SPDX-License-Identifier: MIT */
/*
 * examples/virtio-blk as a user runs it: a program of its own, restricted to one guest, with
 * an ioreq server and a thread for its queue. The guest's driver polls.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST_PAGES 2048
#define PROGRAM "/helpers/virtio-blk"
#define IMAGE "/tmp/disk"
#define SECTORS 2048u
#define SECTOR 512u
#define SEED 7
#define BUFFER_GFN (GUEST_DATA / GUEST_PAGE_SIZE + 0x20)
#define BUFFER ((uint32_t)BUFFER_GFN * GUEST_PAGE_SIZE)
#define BALLOON_GFN (BUFFER_GFN - 4)
#define STRESS_ROUNDS 60u
#define STRESS_PAGES 3u

static struct emulator emulator;
static struct domain domain;
static pid_t server;

static void make_image(void)
{
	FILE *file = fopen(IMAGE, "wb");

	CHECK(file);
	for (uint32_t offset = 0; offset < SECTORS * SECTOR; offset += 4) {
		uint32_t word = pattern_word(SEED, offset);

		CHECK_EQUAL(fwrite(&word, 4, 1, file), 1);
	}
	CHECK_EQUAL(fclose(file), 0);
}

/* Words of the image that are not the pattern. */
static uint32_t image_differs(uint32_t sector, uint32_t count, uint32_t seed)
{
	uint32_t words[SECTOR / 4], wrong = 0;
	int file = open(IMAGE, O_RDONLY);

	CHECK(file >= 0);
	for (; count--; sector++) {
		CHECK_EQUAL(pread(file, words, SECTOR, (off_t)sector * SECTOR), SECTOR);
		for (uint32_t i = 0; i < SECTOR / 4; i++)
			wrong += words[i] != pattern_word(seed, sector * SECTOR + i * 4);
	}
	close(file);
	return wrong;
}

static void start_server(const char *option)
{
	char domid[16], base[16];

	snprintf(domid, sizeof(domid), "%u", domain.id);
	snprintf(base, sizeof(base), "%#x", BLOCK_MMIO);
	fflush(stdout);
	server = fork();
	CHECK(server >= 0);
	if (server)
		return;
	/* A test that fails takes its server along. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(PROGRAM, PROGRAM, "--domid", domid, "--image", IMAGE, "--base", base, "--vcpus", "2",
	      option, (char *)NULL);
	perror(PROGRAM);
	_exit(127);
}

static void start(const char *option)
{
	uint32_t step = 1;

	make_image();
	domain_create(&domain, 2, GUEST_PAGES, 0);
	start_server(option);
	emulator_start(&emulator, &domain, NULL);
	/* Step 1 fails until the server has taken its range. */
	for (int i = 0; i < 200 && step == 1; i++) {
		step = emulator_call(&emulator, 1, COMMAND_BLOCK_START, ARGUMENTS(0));
		test_sleep_ms(10);
	}
	CHECK_EQUAL(step, 0);
}

static void finish(void)
{
	int status;

	CHECK_EQUAL(kill(server, SIGTERM), 0);
	CHECK_EQUAL(waitpid(server, &status, 0), server);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	emulator_finish(&emulator);
}

static void virtio_blk_reads_and_writes_what_the_guest_asks_for(void)
{
	start(NULL);
	/* At odd places in pages, and across buckets of 1 MiB. */
	CHECK_EQUAL(emulator_call(&emulator, 1, COMMAND_BLOCK_READ, ARGUMENTS(0, 1, BUFFER, SEED)),
		    0);
	CHECK_EQUAL(emulator_call(&emulator, 1, COMMAND_BLOCK_READ,
				  ARGUMENTS(SECTORS - 16, 16, BUFFER + 0xe04, SEED)),
		    0);
	CHECK_EQUAL(emulator_call(&emulator, 1, COMMAND_BLOCK_READ,
				  ARGUMENTS(100, 64, GUEST_DATA + 0x100000 - 0x2004, SEED)),
		    0);
	CHECK_EQUAL(emulator_call(&emulator, 1, COMMAND_BLOCK_WRITE,
				  ARGUMENTS(500, 40, GUEST_DATA + 0x200000 - 0x1804, SEED + 1)),
		    0);
	CHECK_EQUAL(image_differs(500, 40, SEED + 1), 0);
	CHECK_EQUAL(image_differs(0, 500, SEED), 0);
	CHECK_EQUAL(image_differs(540, SECTORS - 540, SEED), 0);
	/* Past the end of the disk. */
	CHECK_EQUAL(emulator_call(&emulator, 1, COMMAND_BLOCK_READ,
				  ARGUMENTS(SECTORS - 1, 2, BUFFER, SEED)),
		    ~0u);
	finish();
}

static void check_stress(const char *option)
{
	uint32_t sectors = STRESS_PAGES * GUEST_PAGE_SIZE / SECTOR;
	uint64_t epoch;

	start(option);
	epoch = mapcache_epoch(emulator.cache);
	emulator_post(&emulator, 1, COMMAND_BLOCK_STRESS,
		      ARGUMENTS(STRESS_ROUNDS, SECTORS, BUFFER_GFN, STRESS_PAGES));
	do {
		CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_BALLOON_ROUNDS,
					  ARGUMENTS(BALLOON_GFN, 1, 20, 4)),
			    0);
	} while (!emulator.vcpu[1].finished);
	CHECK_EQUAL(emulator_wait(&emulator, 1), 0);
	CHECK(mapcache_epoch(emulator.cache) >= epoch + 2 * STRESS_ROUNDS);
	CHECK_EQUAL(image_differs(STRESS_ROUNDS * sectors % (SECTORS - sectors), sectors,
				  STRESS_ROUNDS),
		    0);
	finish();
}

static void virtio_blk_serves_a_guest_that_balloons(void)
{
	check_stress(NULL);
}

static void virtio_blk_serves_a_guest_that_balloons_with_draining(void)
{
	check_stress("--drain");
}

const struct test virtio_tests[] = {
	TEST(virtio_blk_reads_and_writes_what_the_guest_asks_for),
	TEST(virtio_blk_serves_a_guest_that_balloons),
	TEST(virtio_blk_serves_a_guest_that_balloons_with_draining),
};
const size_t virtio_tests_count = sizeof(virtio_tests) / sizeof(virtio_tests[0]);
