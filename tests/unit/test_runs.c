/* SPDX-License-Identifier: MIT */
/* Which slots are free: against a plain array of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lib/base/base.h>
#include <lib/space/own.h>

#define SEED 1u

static struct mapcache cache;
static bool used[4096];

static uint64_t take(uint64_t count)
{
	const struct mapping *first = arena_take_run(&cache, count, 0);

	return first ? mapping_slot(&cache, first) - ARENA_SPARES : UINT64_MAX;
}

static void give(uint64_t slot)
{
	arena_give(&cache, mapping_at(&cache, ARENA_SPARES + slot));
	used[slot] = false;
}

/* What take() should say. */
static uint64_t plain_find(uint64_t slots, uint64_t count)
{
	uint64_t run = 0;

	for (uint64_t slot = 0; count && slot < slots; slot++) {
		run = used[slot] ? 0 : run + 1;
		if (run == count)
			return slot + 1 - count;
	}
	return UINT64_MAX;
}

static void take_as_expected(uint64_t slots, uint64_t count)
{
	uint64_t expected = plain_find(slots, count);

	assert_int_equal(take(count), expected);
	if (expected != UINT64_MAX)
		memset(used + expected, true, count);
}

static void some_come_and_go(uint64_t slots)
{
	for (unsigned int round = 0; round < 4000; round++) {
		uint64_t slot = (uint64_t)rand() % slots;
		uint64_t end = slot + 1 + (uint64_t)rand() % (round % 4 ? 5 : slots);

		if (rand() % 2)
			take_as_expected(slots, end - slot);
		for (; !(rand() % 4) && slot < end && slot < slots; slot++) {
			if (used[slot])
				give(slot);
		}
	}
}

static void the_lowest_run_that_is_long_enough_is_found(void **state)
{
	static const uint64_t sizes[] = { 1, 2, 63, 64, 65, 128, 130, 640, 1000, 4096 };
	const struct mapcache_backend anywhere = { .size = sizeof(anywhere) };

	(void)state;
	srand(SEED);
	print_message("seed %u\n", SEED);
	cache.embedder.backend = &anywhere;
	cache.settings.bucket_shift = 20;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint64_t slots = sizes[i];

		cache.space.arena = (struct arena){ 0 };
		cache.settings.slots = slots;
		assert_int_equal(arena_init(&cache), 0);
		take_as_expected(slots, slots + 1);
		some_come_and_go(slots);
		/* All are one run again, whatever order they come back in. */
		for (uint64_t from = 0; from < 2; from++)
			for (uint64_t slot = from; slot < slots; slot += 2)
				if (used[slot])
					give(slot);
		assert_int_equal(arena_used(&cache), 0);
		take_as_expected(slots, slots);
		take_as_expected(slots, 1);
		for (uint64_t slot = slots; slot-- > 0;)
			give(slot);
		arena_destroy(&cache.space.arena);
	}
}

static void clients_have_slots_of_their_own(void **state)
{
	const struct mapcache_backend anywhere = { .size = sizeof(anywhere) };

	(void)state;
	cache.embedder.backend = &anywhere;
	cache.space.arena = (struct arena){ 0 };
	cache.settings.slots = 1;
	assert_int_equal(arena_init(&cache), 0);
	for (uint64_t slot = 0; slot < ARENA_SPARES; slot++)
		assert_ptr_equal(arena_take_spare(&cache), mapping_at(&cache, slot));
	assert_null(arena_take_spare(&cache));
	arena_give(&cache, mapping_at(&cache, 7));
	assert_ptr_equal(arena_take_spare(&cache), mapping_at(&cache, 7));
	assert_int_equal(arena_used(&cache), 0);
	arena_destroy(&cache.space.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_run_that_is_long_enough_is_found),
		cmocka_unit_test(clients_have_slots_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
