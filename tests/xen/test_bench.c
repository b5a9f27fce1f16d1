/* SPDX-License-Identifier: MIT */
/* mapcache-bench as a user runs it in a dom0, on a domain that is there. */
#include "tests/xen/domain.h"
#include "tests/xen/protocol.h"
#include "tests/xen/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PROGRAM "/helpers/mapcache-bench-xen"
#define GUEST_PAGES 4096

static struct domain domain;

/* Its exit status; what it prints, which fits, goes to text. */
static int run(const char *arguments, char *text, size_t size)
{
	char command[256];
	size_t got, length = 0;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "%s %s 2>&1", PROGRAM, arguments);
	pipe = popen(command, "r");
	CHECK(pipe);
	while ((got = fread(text + length, 1, size - 1 - length, pipe)) > 0)
		length += got;
	text[length] = 0;
	status = pclose(pipe);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void measure(const char *scenario, const char *contestants)
{
	char arguments[192], text[16384];

	snprintf(arguments, sizeof(arguments),
		 "--domid %u --guest-base 0x%x --rounds 1 --contestants %s %s", domain.id,
		 GUEST_RAM, contestants, scenario);
	if (run(arguments, text, sizeof(text)) != 0) {
		printf("%s\n", text);
		test_fail(__FILE__, __LINE__, "%s cannot be measured", scenario);
	}
	test_progress();
	printf("%s", text);
	CHECK(strstr(text, "ours"));
}

static void the_benchmark_measures_a_running_domain(void)
{
	domain_create(&domain, 1, GUEST_PAGES, 9);
	measure("--working-set 8 --duration 300 hit", "limit,ours,qemu");
	measure("--working-set 8 answer", "ours,qemu");
	measure("--working-set 8 --rate 20 --pattern rings --duration 300 storm", "ours,qemu");
	domain_destroy(&domain);
	CHECK(domain_wait_gone(&domain, 5000));
}

static void the_benchmark_says_what_it_needs(void)
{
	char text[1024];

	CHECK_EQUAL(run("--working-set 1 hit", text, sizeof(text)), 1);
	CHECK(strstr(text, "--domid says whose memory to map"));
}

const struct test bench_tests[] = {
	TEST(the_benchmark_measures_a_running_domain),
	TEST(the_benchmark_says_what_it_needs),
};
const size_t bench_tests_count = sizeof(bench_tests) / sizeof(bench_tests[0]);
