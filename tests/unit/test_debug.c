/* SPDX-License-Identifier: MIT */
/* MAPCACHE_DEBUG: misuse is told with its caller, and everything else is as without. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

static char said[4096];

static void hear(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data, (void)level;
	strncat(said, message, sizeof(said) - strlen(said) - 1);
	strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static void start(struct bed *bed)
{
	struct rig_options options = { .cache.flags = MAPCACHE_NO_RECLAIM_THREAD | MAPCACHE_DEBUG,
				       .cache.log = hear };

	said[0] = 0;
	bed_start(bed, &options);
}

/* What is said names a place in this program. */
static void assert_said(const char *text)
{
	const char *at = strstr(said, "misuse at 0x");

	assert_non_null(at);
	assert_non_null(strstr(said, text));
	assert_true(strtoull(at + strlen("misuse at "), NULL, 16) > 4096);
	said[0] = 0;
}

static void right_use_is_served_and_nothing_is_said(void **state)
{
	const struct mapcache_range with_a_hole[] = { { BED_PAGE, 8 },
						      { 5000 * BED_PAGE, 8 },
						      { 2 * BED_PAGE, 8 } };
	size_t len = 2 * BED_BUCKET;
	struct iovec iov[4];
	struct bed bed;
	uint64_t word;
	void *pin;

	(void)state;
	start(&bed);
	for (unsigned int round = 0; round < 3; round++) {
		for (uint64_t gfn = 0; gfn < 600; gfn++)
			assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
		assert_int_equal(mapcache_read(bed.client, 7 * BED_PAGE, &word, 8), 8);
		pin = mapcache_pin(bed.client, BED_PAGE, &len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
		assert_non_null(pin);
		assert_int_equal(mapcache_client_unpin(bed.client, (char *)pin + BED_BUCKET, 0), 0);
		assert_int_equal(
			mapcache_pin_iov(bed.client, BED_BUCKET - 8, 16, PROT_READ, iov, 4), 2);
		assert_int_equal(mapcache_client_unpin(bed.other, iov[0].iov_base, 0), 0);
		assert_int_equal(mapcache_unpin(bed.cache, iov[1].iov_base, 0), 0);
		assert_int_equal(mapcache_pin_sgl(bed.client, with_a_hole, 3, PROT_READ, iov, 4),
				 -EFAULT);
		mapcache_invalidate(bed.cache);
		assert_int_equal(mapcache_drain(bed.cache, mapcache_epoch(bed.cache), 1000,
						MAPCACHE_DRAIN_PINS),
				 0);
	}
	assert_string_equal(said, "");
	bed_stop(&bed);
}

static void a_pointer_outside_of_a_section_is_told(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	assert_null(mapcache_ptr(bed.client, 0x5000, 8, PROT_READ));
	assert_int_equal(errno, EINVAL);
	assert_said("0x5000 is asked for outside of a section");
	bed_stop(&bed);
}

static void looking_without_prot_is_told(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed);
	mapcache_begin(bed.client);
	assert_null(mapcache_ptr(bed.client, 0x5000, 8, 0));
	mapcache_end(bed.client);
	assert_said("prot 0x0 for 0x5000");
	bed_stop(&bed);
}

static void *look(void *client)
{
	return mapcache_ptr(client, 0x5000, 8, PROT_READ);
}

static void another_threads_section_is_told(void **state)
{
	pthread_t thread;
	struct bed bed;

	(void)state;
	start(&bed);
	mapcache_begin(bed.client);
	assert_int_equal(pthread_create(&thread, NULL, look, bed.client), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	mapcache_end(bed.client);
	assert_said("uses a client whose section is thread");
	bed_stop(&bed);
}

/* Beside another pin of the same bucket, which hides it without the flag. */
static void a_pin_given_back_twice_is_told_and_refused(void **state)
{
	void *first, *second;
	struct bed bed;

	(void)state;
	start(&bed);
	first = (void *)(uintptr_t)bed_pin(bed.client, 5 * BED_PAGE);
	second = (void *)(uintptr_t)bed_pin(bed.client, 6 * BED_PAGE);
	assert_int_equal(mapcache_client_unpin(bed.client, first, 0), 0);
	assert_int_equal(mapcache_client_unpin(bed.client, first, 0), -EINVAL);
	assert_said("no pin that is held covers");
	assert_int_equal(mapcache_unpin(bed.cache, first, 0), -EINVAL);
	assert_said("no pin that is held covers");
	assert_int_equal(mapcache_unpin(bed.cache, second, 0), 0);
	bed_stop(&bed);
}

static void the_dump_says_who_holds_a_pin(void **state)
{
	char *text = NULL, expected[64];
	struct bed bed;
	size_t size;
	FILE *file;
	void *pin;

	(void)state;
	start(&bed);
	pin = (void *)(uintptr_t)bed_pin(bed.client, 5 * BED_PAGE);
	file = open_memstream(&text, &size);
	assert_non_null(file);
	assert_int_equal(mapcache_dump(bed.cache, file), 0);
	assert_int_equal(fclose(file), 0);
	snprintf(expected, sizeof(expected), "held %p len 8 caller 0x", pin);
	assert_non_null(strstr(text, expected));
	free(text);
	assert_int_equal(mapcache_unpin(bed.cache, pin, 0), 0);
	bed_stop(&bed);
}

/* Code that calls the library, and where it is. */
#define CALLER __attribute__((noinline, section("callers")))
extern const char __start_callers[], __stop_callers[];

CALLER static void *pin_by_iov(struct mapcache_client *client)
{
	struct iovec iov;

	assert_int_equal(mapcache_pin_iov(client, 5 * BED_PAGE, 8, PROT_READ, &iov, 1), 1);
	return iov.iov_base;
}

CALLER static void *pin_by_list(struct mapcache_client *client)
{
	struct mapcache_range range = { 5 * BED_PAGE, 8 };
	struct iovec iov;

	assert_int_equal(mapcache_pin_sgl(client, &range, 1, PROT_READ, &iov, 1), 1);
	return iov.iov_base;
}

CALLER static void *pin_own(struct mapcache_client *client)
{
	size_t len = 8;
	void *pin = mapcache_pin(client, 5 * BED_PAGE, &len, PROT_READ, MAPCACHE_PIN_OWN_MAPPING);

	assert_non_null(pin);
	return pin;
}

CALLER static void unpin_twice(struct mapcache *cache, void *pin)
{
	struct iovec iov = { .iov_base = pin, .iov_len = 8 };

	assert_int_equal(mapcache_unpin_iov(cache, &iov, 1, 0), 0);
	assert_int_equal(mapcache_unpin_iov(cache, &iov, 1, 0), -EINVAL);
}

static void assert_in_a_caller(const char *text, const char *before)
{
	const char *at = strstr(text, before);
	uintptr_t address;

	assert_non_null(at);
	address = (uintptr_t)strtoull(at + strlen(before), NULL, 16);
	assert_in_range(address, (uintptr_t)__start_callers, (uintptr_t)__stop_callers);
}

static void the_caller_of_a_pin_is_outside_of_the_library(void **state)
{
	static void *(*const ways[])(struct mapcache_client *) = { pin_by_iov, pin_by_list,
								   pin_own };
	struct bed bed;

	(void)state;
	start(&bed);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		void *pin = ways[i](bed.client);
		char *text = NULL;
		size_t size;
		FILE *file = open_memstream(&text, &size);

		assert_non_null(file);
		assert_int_equal(mapcache_dump(bed.cache, file), 0);
		assert_int_equal(fclose(file), 0);
		assert_in_a_caller(text, " caller 0x");
		free(text);
		said[0] = 0;
		unpin_twice(bed.cache, pin);
		assert_in_a_caller(said, "misuse at 0x");
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_use_is_served_and_nothing_is_said),
		cmocka_unit_test(a_pointer_outside_of_a_section_is_told),
		cmocka_unit_test(looking_without_prot_is_told),
		cmocka_unit_test(another_threads_section_is_told),
		cmocka_unit_test(a_pin_given_back_twice_is_told_and_refused),
		cmocka_unit_test(the_dump_says_who_holds_a_pin),
		cmocka_unit_test(the_caller_of_a_pin_is_outside_of_the_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
