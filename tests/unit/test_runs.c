/* SPDX-License-Identifier: MIT */
/* Which slots are free: against a plain array of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lib/space/runs.h>

#define SEED 1u

/* What runs_find() should say. */
static uint64_t plain_find(const bool *used, uint64_t slots, uint64_t count)
{
	uint64_t run = 0;

	for (uint64_t slot = 0; count && slot < slots; slot++) {
		run = used[slot] ? 0 : run + 1;
		if (run == count)
			return slot + 1 - count;
	}
	return RUNS_NONE;
}

static void compare(const struct runs *runs, const bool *used, uint64_t slots)
{
	for (uint64_t count = 0; count <= slots + 1; count += 1 + count / 3)
		assert_int_equal(runs_find(runs, count), plain_find(used, slots, count));
}

static void set(struct runs *runs, bool *used, uint64_t first, uint64_t count, bool value)
{
	runs_set(runs, first, count, value);
	memset(used + first, value, count);
}

static void the_lowest_run_that_is_long_enough_is_found(void **state)
{
	static const uint64_t sizes[] = { 1, 2, 63, 64, 65, 128, 130, 640, 1000, 4096 };

	(void)state;
	srand(SEED);
	print_message("seed %u\n", SEED);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint64_t slots = sizes[i];
		bool *used = calloc(slots, sizeof(*used));
		struct runs runs;

		assert_non_null(used);
		assert_int_equal(runs_init(&runs, slots), 0);
		compare(&runs, used, slots);
		for (unsigned int round = 0; round < 400; round++) {
			uint64_t first = (uint64_t)rand() % slots;
			uint64_t count = 1 + (uint64_t)rand() % (round % 4 ? 5 : slots - first);

			count = count < slots - first ? count : slots - first;
			set(&runs, used, first, count ? count : 1, rand() % 2);
			compare(&runs, used, slots);
		}
		/* All are one run again, whatever order they come back in. */
		for (uint64_t slot = 0; slot < slots; slot += 2)
			set(&runs, used, slot, 1, false);
		for (uint64_t slot = 1; slot < slots; slot += 2)
			set(&runs, used, slot, 1, false);
		assert_int_equal(runs_find(&runs, slots), 0);
		runs_destroy(&runs);
		free(used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_run_that_is_long_enough_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
