/* SPDX-License-Identifier: MIT */
/*
 * A test runner for programs that are linked statically and run in dom0. Every test runs
 * in a process of its own, so that a crash or a hang is the failure of that test alone and
 * its mappings go with it; what it leaves in Xen is found and removed.
 */
#ifndef XEN_TEST_H
#define XEN_TEST_H

#include <stddef.h>
#include <stdint.h>

#include <bench/clock.h>

struct test {
	const char *name;
	void (*run)(void);
	const char *left_out; /* why it cannot be run here; NULL: it can */
};

#define TEST(function)                                                                             \
	{                                                                                          \
#function, function, NULL                                                          \
	}

/* One that Arm cannot have, and why. */
#ifdef __aarch64__
#define TEST_X86(function, why)                                                                    \
	{                                                                                          \
#function, function, why                                                           \
	}
#else
#define TEST_X86(function, why) TEST(function)
#endif

/* Run those whose name contains one of the environment's XEN_TESTS, separated by "+". Returns the failures. */
int test_run_all(const struct test *tests, size_t count);

/* End the running test as failed. */
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Something came forward: a test that does not for a while is ended as hung. Any thread. */
void test_progress(void);

void test_sleep_ms(unsigned int ms);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			test_fail(__FILE__, __LINE__, "%s", #condition);                           \
	} while (0)

#define CHECK_EQUAL(value, expected)                                                               \
	do {                                                                                       \
		long long value_ = (long long)(value), expected_ = (long long)(expected);          \
		if (value_ != expected_)                                                           \
			test_fail(__FILE__, __LINE__, "%s is %lld (%#llx), expected %lld (%#llx)", \
				  #value, value_, value_, expected_, expected_);                   \
	} while (0)

/* Subjects of one architecture: ARCHITECTURE/test_SUBJECT.c. */
#ifdef __aarch64__
#define TEST_SUBJECTS_ARCH(X) X(p2m)
#else
#define TEST_SUBJECTS_ARCH(X)                                                                      \
	X(modified)                                                                                \
	X(buffered)
#endif

/* The tests by subject: SUBJECT_tests[] and SUBJECT_tests_count, each in test_SUBJECT.c. */
#define TEST_SUBJECTS(X)                                                                           \
	X(requests)                                                                                \
	X(balloon)                                                                                 \
	X(concurrent)                                                                              \
	X(storm)                                                                                   \
	X(servers)                                                                                 \
	X(outside)                                                                                 \
	X(holes)                                                                                   \
	X(batches)                                                                                 \
	X(pins)                                                                                    \
	X(death)                                                                                   \
	X(restrict)                                                                                \
	X(dom0_memory)                                                                             \
	X(mmio)                                                                                    \
	X(virtio)                                                                                  \
	X(bench)                                                                                   \
	X(controls)                                                                                \
	TEST_SUBJECTS_ARCH(X)

#define TEST_SUBJECT_DECLARATION(subject)                                                          \
	extern const struct test subject##_tests[];                                                \
	extern const size_t subject##_tests_count;
TEST_SUBJECTS(TEST_SUBJECT_DECLARATION)

#endif
