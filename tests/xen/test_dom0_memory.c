/* SPDX-License-Identifier: MIT */
/*
 * A guest that has more memory than dom0. Where dom0 is auto-translated and its kernel has no
 * unpopulated-alloc (Debian's on Arm), each foreign page that is mapped costs a page of dom0's own:
 * with the default options the device model must live all the same (H).
 */
#include "tests/xen/domain.h"
#include "tests/xen/test.h"

#include <mapcache/mapcache.h>
#include <stdio.h>
#include <string.h>

#include "tests/xen/protocol.h"

#define MIBS 640u
#define PAGES_PER_MIB 256u

static struct domain domain;
static struct mapcache *cache;
static struct mapcache_client *client;

/* kB, as /proc/meminfo names them. */
static unsigned long meminfo(const char *name)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128], found[64];
	unsigned long kib, result = 0;

	CHECK(file);
	while (!result && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63[^:]: %lu", found, &kib) == 2 && !strcmp(found, name))
			result = kib;
	fclose(file);
	return result;
}

/* One word of every MiB, as transfers all over its memory would. */
static void touch_all(void)
{
	for (uint32_t mib = 0; mib < MIBS; mib++) {
		uint64_t gpa = GUEST_RAM + ((uint64_t)mib << 20) + 0x800;
		uint32_t word;

		CHECK_EQUAL(mapcache_read(client, gpa, &word, sizeof(word)), sizeof(word));
		test_progress();
	}
}

static void a_guest_larger_than_dom0_is_read_whole_with_default_options(void)
{
	struct mapcache_options options = { .size = sizeof(options) };

	CHECK(meminfo("MemTotal") >> 10 < MIBS);
	domain_create(&domain, 1, MIBS * PAGES_PER_MIB, 9);
	options.domid = domain.id;
	CHECK_EQUAL(mapcache_open(&options, &cache), 0);
	CHECK_EQUAL(mapcache_client_open(cache, &client), 0);
	for (int round = 0; round < 3; round++) {
		touch_all();
		printf("# round %d: dom0 has %lu MiB available\n", round,
		       meminfo("MemAvailable") >> 10);
		mapcache_invalidate(cache);
	}
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
	domain_destroy(&domain);
	CHECK(domain_wait_gone(&domain, 10000));
}

const struct test dom0_memory_tests[] = {
	TEST(a_guest_larger_than_dom0_is_read_whole_with_default_options),
};
const size_t dom0_memory_tests_count = sizeof(dom0_memory_tests) / sizeof(dom0_memory_tests[0]);
