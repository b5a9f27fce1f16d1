/* SPDX-License-Identifier: MIT */
/*
 * A device model that gives up its power over other domains (xentoolcore_restrict_all).
 * Handles that are already open are limited to one guest, so everything that the library
 * will ever need has to be open by then; what builds the domains lives in a process of its
 * own.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xentoolcore.h>

#include "tests/xen/access.h"

#define GUEST_PAGES 1024
#define VICTIM_GFN (GUEST_DATA / GUEST_PAGE_SIZE)

/* Between the toolstack's process and the device model's. */
struct order {
	uint32_t served, other; /* domains */
};

static void restrict_to(uint32_t domid)
{
	int result = xentoolcore_restrict_all((domid_t)domid);

	if (result)
		test_fail(__FILE__, __LINE__, "xentoolcore_restrict_all: %s", strerror(errno));
}

/* Address space that all caches of this process hold back. */
static unsigned long long reserved(void)
{
	unsigned long long bytes = 0;
	unsigned long start, end;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	CHECK(maps != NULL);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "mapcache reservation") &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2)
			bytes += end - start;
	}
	fclose(maps);
	return bytes;
}

/*
 * A cache of a domain that the handles are not restricted to: the kernel refuses the whole map
 * call, and libxenforeignmemory unmaps the range that it was given. It is got back (H).
 */
static void check_other(struct mapcache_client *client, struct mapcache *cache)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	unsigned long long before = reserved();

	CHECK(before > 0);
	for (uint64_t i = 0; i < 20; i++)
		CHECK_EQUAL(access_word(client, GUEST_DATA + (i << 20)), ~0u);
	printf("# restricted: mapping another domain's memory: %s\n", strerror(errno));
	CHECK(errno == EPERM || errno == EACCES);
	CHECK_EQUAL(mapcache_stats(cache, &stats), 0);
	printf("# %llu map calls failed whole, %llu ranges lost, %llu kernel mappings\n",
	       (unsigned long long)stats.map_errors, (unsigned long long)stats.lost_ranges,
	       (unsigned long long)stats.vmas);
	CHECK(stats.map_errors >= 20);
	CHECK_EQUAL(stats.lost_ranges, 0);
	CHECK_EQUAL(stats.vmas, 0);
	CHECK(reserved() == before);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
}

static void check_served(struct emulator *emulator)
{
	uint64_t epoch = mapcache_epoch(emulator->cache);

	emulator_call(emulator, 0, COMMAND_WRITE, ARGUMENTS(GUEST_DATA, 7));
	CHECK_EQUAL(access_word(emulator->vcpu[0].client, GUEST_DATA), 7);
	CHECK_EQUAL(emulator_call(emulator, 0, COMMAND_BALLOON_ROUNDS,
				  ARGUMENTS(VICTIM_GFN, 1, 50, 1)),
		    0);
	CHECK_EQUAL(mapcache_epoch(emulator->cache), epoch + 50);
	CHECK_EQUAL(mapcache_ioreq_add_range(emulator->server, MAPCACHE_IOREQ_MEMORY, 0xd0000000,
					     0xd0000fff),
		    0);
}

/* In a process of its own. */
static void run_device_model(int orders, int answers)
{
	struct domain domain = { .vcpus = 1 };
	struct mapcache_options options = { .size = sizeof(options) };
	struct mapcache_client *other_client;
	struct mapcache *other;
	struct emulator emulator;
	struct order order;

	CHECK_EQUAL(read(orders, &order, sizeof(order)), sizeof(order));
	options.domid = order.other;
	CHECK_EQUAL(mapcache_open(&options, &other), 0);
	CHECK_EQUAL(mapcache_client_open(other, &other_client), 0);
	domain.id = order.served;
	emulator_open(&emulator, &domain, NULL);
	restrict_to(order.served);
	emulator_enable(&emulator);
	CHECK_EQUAL(write(answers, "", 1), 1);
	check_served(&emulator);
	check_other(other_client, other);
	emulator_close(&emulator);
}

static void a_restricted_device_model_serves_its_guest_and_reaches_no_other(void)
{
	int orders[2], answers[2], status;
	struct domain served, other;
	struct order order;
	pid_t child;
	char ready;

	CHECK(!pipe(orders) && !pipe(answers));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		close(answers[0]);
		run_device_model(orders[0], answers[1]);
		fflush(stdout);
		_exit(0);
	}
	close(answers[1]);
	domain_create(&served, 1, GUEST_PAGES, 0);
	domain_create(&other, 1, GUEST_PAGES, 0);
	order = (struct order){ served.id, other.id };
	CHECK_EQUAL(write(orders[1], &order, sizeof(order)), sizeof(order));
	/* The end of the pipe when it has failed. */
	CHECK_EQUAL(read(answers[0], &ready, 1), 1);
	domain_unpause(&served);
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	domain_destroy(&served);
	domain_destroy(&other);
	CHECK(domain_wait_gone(&served, 5000));
	CHECK(domain_wait_gone(&other, 5000));
}

const struct test restrict_tests[] = {
	TEST(a_restricted_device_model_serves_its_guest_and_reaches_no_other),
};
const size_t restrict_tests_count = sizeof(restrict_tests) / sizeof(restrict_tests[0]);
