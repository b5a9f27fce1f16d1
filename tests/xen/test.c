/* SPDX-License-Identifier: MIT */
/* The runner; its lines look like cmocka's, so that one parser counts both. */
#define _GNU_SOURCE
#include "tests/xen/test.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xenctrl.h>

#include "tests/xen/domain.h"

/* A test may be slow on a busy machine, but not silent. */
#define SILENT_SECONDS 60
#define TEST_SECONDS 300

/*
 * Far less than any domain. An Arm dom0's own p2m is in Xen's heap: a table for each 2 MiB of its
 * memory in whose place foreign pages have been, kept for good; it has 512 MiB.
 */
#ifdef __aarch64__
#define XEN_HEAP_PAGES (16 + 256)
#else
#define XEN_HEAP_PAGES 16
#endif

void test_sleep_ms(unsigned int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	printf("%s:%d: error: ", file, line);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static volatile unsigned long progress, progress_seen;
static volatile unsigned int seconds;

void test_progress(void)
{
	__atomic_fetch_add(&progress, 1, __ATOMIC_RELAXED);
}

/* Async-signal-safe, but for the formatting into memory of its own. */
static void on_alarm(int number)
{
	static char line[120];
	int length;

	(void)number;
	seconds += SILENT_SECONDS;
	if (progress != progress_seen && seconds < TEST_SECONDS) {
		progress_seen = progress;
		alarm(SILENT_SECONDS);
		return;
	}
	length = snprintf(line, sizeof(line),
			  "error: no end after %u s: %lu requests, %lu of them in the last %u s\n",
			  seconds, progress, progress - progress_seen, SILENT_SECONDS);
	if (write(STDOUT_FILENO, line, (size_t)length) < 0)
		_exit(2);
	_exit(1);
}

/* What Xen has left to give. */
static uint64_t free_pages(void)
{
	xc_interface *control = xc_interface_open(NULL, NULL, 0);
	xc_physinfo_t info = { 0 };

	if (!control || xc_physinfo(control, &info))
		info.free_pages = 0;
	if (control)
		xc_interface_close(control);
	return info.free_pages;
}

static bool runs_cleanly(const struct test *test)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return false;
	if (!child) {
		signal(SIGALRM, on_alarm);
		alarm(SILENT_SECONDS);
		test->run();
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		printf("%s: error: killed by signal %d (%s)\n", test->name, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* All that Xen gave out for the test must come back, but for what its own heap grows by. */
static bool cleaned_up(uint64_t free_before)
{
	uint64_t free_now = 0;

	for (int i = 0; i < 300; i++) {
		free_now = free_pages();
		if (free_now + XEN_HEAP_PAGES >= free_before)
			return true;
		test_sleep_ms(10);
	}
	printf("error: %llu pages of Xen's memory have not come back\n",
	       (unsigned long long)(free_before - free_now));
	return false;
}

static bool run_one(const struct test *test)
{
	uint64_t free_before = free_pages();
	uint64_t start = clock_now();
	unsigned int left;
	bool passed;

	printf("[ RUN      ] %s\n", test->name);
	fflush(stdout);
	passed = runs_cleanly(test);
	left = domain_destroy_all();
	if (passed && left) {
		printf("%s: error: %u domains are left\n", test->name, left);
		passed = false;
	}
	if (!cleaned_up(free_before))
		passed = false;
	printf("# %s: %llu ms\n", test->name, (unsigned long long)(clock_now() - start) / 1000000);
	printf("[  %s ] %s\n", passed ? "     OK" : "FAILED ", test->name);
	fflush(stdout);
	return passed;
}

/* Whether the name contains one of the parts. A comma would end the kernel's command line. */
static bool chosen(const char *name, const char *parts)
{
	while (*parts) {
		size_t len = strcspn(parts, "+");

		if (memmem(name, strlen(name), parts, len))
			return true;
		parts += len + (parts[len] == '+');
	}
	return false;
}

int test_run_all(const struct test *tests, size_t count)
{
	const char *only = getenv("XEN_TESTS");
	int failed = 0;

	for (size_t i = 0; i < count; i++) {
		if (only && !chosen(tests[i].name, only))
			continue;
		if (tests[i].left_out) {
			printf("[  SKIPPED ] %s: %s\n", tests[i].name, tests[i].left_out);
			continue;
		}
		failed += !run_one(&tests[i]);
	}
	return failed;
}
