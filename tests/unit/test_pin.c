/* SPDX-License-Identifier: MIT */
/* Pins: taken and released by anybody, counted without wrapping, found by any pointer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/space/space.h>
#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define BOTH (PROT_READ | PROT_WRITE)
#define GFN 3u
#define GPA (GFN * BED_PAGE)

/* Whether the old page is still held after an INVALIDATE and reclaim. */
static bool is_held(struct bed *bed)
{
	bed_reclaim(bed);
	return bed_totals().pages_held != 0;
}

static uint64_t slot_of(struct bed *bed, volatile void *pointer)
{
	return arena_slot(bed->cache, (const void *)pointer);
}

static void len_comes_back_as_what_is_contiguous(void **state)
{
	static const struct {
		uint64_t gpa;
		size_t in, out;
	} cases[] = {
		{ 0, 1, 1 },
		{ 0, BED_BUCKET, BED_BUCKET },
		{ 0, BED_BUCKET + 1, BED_BUCKET },
		{ 100, SIZE_MAX, BED_BUCKET - 100 },
		{ BED_BUCKET - 1, 2, 1 },
		{ BED_BUCKET - 1, 1, 1 },
		{ 5000, 10000, 10000 },
	};
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < 3 * sizeof(cases) / sizeof(*cases); i++) {
		unsigned int n = i % (sizeof(cases) / sizeof(*cases));
		size_t len = cases[n].in;
		char *pointer = mapcache_pin(bed.client, cases[n].gpa, &len, BOTH, 0);
		uint64_t gpa;

		assert_non_null(pointer);
		assert_int_equal(len, cases[n].out);
		pointer[0] = pointer[len - 1];
		assert_int_equal(mapcache_gpa(bed.cache, pointer + len - 1, &gpa), 0);
		assert_int_equal(gpa, cases[n].gpa + len - 1);
		assert_int_equal(mapcache_unpin(bed.cache, pointer + len - 1, 0), 0);
		if (i % 2)
			mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

static void a_pin_up_to_a_hole_is_shorter(void **state)
{
	struct bed bed;
	size_t len = 10 * BED_PAGE;
	void *pointer;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_remove(&bed, 7);
	pointer = mapcache_pin(bed.client, 100, &len, BOTH, 0);
	assert_non_null(pointer);
	/* How much shorter is not promised; that it ends before the hole is. */
	assert_in_range(len, 1, 7 * BED_PAGE - 100);
	assert_int_equal(mapcache_unpin(bed.cache, pointer, 0), 0);
	len = 8;
	assert_null(mapcache_pin(bed.client, 7 * BED_PAGE, &len, BOTH, 0));
	assert_int_equal(errno, EFAULT);
	assert_int_equal(len, 8);
	bed_stop(&bed);
}

static void pin_refuses_wrong_arguments(void **state)
{
	struct bed bed;
	size_t len = 8;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int mapped = 0; mapped < 2; mapped++) {
		errno = 0;
		assert_null(mapcache_pin(NULL, 0, &len, PROT_READ, 0));
		assert_int_equal(errno, EINVAL);
		errno = 0;
		assert_null(mapcache_pin(bed.client, 0, NULL, PROT_READ, 0));
		assert_int_equal(errno, EINVAL);
		errno = 0;
		assert_null(mapcache_pin(bed.client, 0, &len, PROT_READ, 4));
		assert_int_equal(errno, EINVAL);
		len = 0;
		assert_null(mapcache_pin(bed.client, 0, &len, PROT_READ, 0));
		assert_int_equal(errno, EINVAL);
		len = 8;
		bed_read(bed.client, 0);
	}
	assert_int_equal(mapcache_client_unpin(NULL, NULL, 0), -EINVAL);
	assert_int_equal(mapcache_unpin(NULL, NULL, 0), -EINVAL);
	bed_stop(&bed);
}

static void foreign_pointers_are_refused(void **state)
{
	volatile uint64_t *pin;
	struct bed bed;
	uint64_t gpa;
	char *heap = malloc(64);

	(void)state;
	bed_start(&bed, BED_QUIET);
	pin = bed_pin(bed.client, GPA);
	for (unsigned int i = 0; i < 2; i++) {
		const void *foreign[] = { NULL,
					  heap,
					  &bed,
					  bed.cache->space.arena.base - 1,
					  bed.cache->space.arena.base +
						  bed.cache->space.arena.bytes,
					  (void *)UINTPTR_MAX };

		for (unsigned int j = 0; j < sizeof(foreign) / sizeof(*foreign); j++) {
			assert_int_equal(mapcache_unpin(bed.cache, (void *)foreign[j], 0), -EINVAL);
			assert_int_equal(mapcache_client_unpin(bed.client, (void *)foreign[j], 0),
					 -EINVAL);
			assert_int_equal(mapcache_gpa(bed.cache, foreign[j], &gpa),
					 foreign[j] ? -ENOENT : -EINVAL);
		}
		/* Inside, but pinned by nobody. */
		assert_int_equal(mapcache_unpin(bed.cache, bed.cache->space.arena.base, 0),
				 -EINVAL);
		assert_int_equal(mapcache_unpin(bed.cache, (char *)pin + BED_BUCKET, 0), -EINVAL);
		assert_int_equal(mapcache_gpa(bed.cache, (char *)pin + BED_BUCKET, &gpa), -ENOENT);
	}
	assert_int_equal(mapcache_gpa(NULL, heap, &gpa), -EINVAL);
	assert_int_equal(mapcache_gpa(bed.cache, (const void *)pin, NULL), -EINVAL);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), -EINVAL);
	assert_int_equal(mapcache_client_unpin(bed.other, (void *)pin, 0), -EINVAL);
	free(heap);
	bed_stop(&bed);
}

static void any_pointer_into_a_pin_tells_its_guest_address(void **state)
{
	volatile uint64_t *pins[4];
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (uint64_t bucket = 0; bucket < 4; bucket++)
		pins[bucket] = bed_pin(bed.client, bucket * BED_BUCKET);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	for (uint64_t offset = 0; offset < BED_BUCKET; offset += 4093) {
		for (uint64_t bucket = 0; bucket < 4; bucket++) {
			assert_int_equal(
				mapcache_gpa(bed.cache, (char *)pins[bucket] + offset, &gpa), 0);
			assert_int_equal(gpa, bucket * BED_BUCKET + offset);
		}
	}
	for (uint64_t bucket = 0; bucket < 4; bucket++) {
		assert_int_equal(mapcache_unpin(bed.cache, (char *)pins[bucket] + 12345, 0), 0);
		bed_reclaim(&bed);
		assert_int_equal(mapcache_gpa(bed.cache, (const void *)pins[bucket], &gpa),
				 -ENOENT);
	}
	bed_stop(&bed);
}

/* ---- counts ----------------------------------------------------------------------------------- */

static void as_many_unpins_as_pins_and_not_one_less(void **state)
{
	volatile uint64_t *pin = NULL;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < 256; i++)
		pin = bed_pin(i % 3 ? bed.client : bed.other, GPA);
	bed_remove(&bed, GFN);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 256; i++) {
		assert_true(is_held(&bed));
		if (i % 2)
			assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), 0);
		else
			assert_int_equal(mapcache_client_unpin(i % 4 ? bed.client : bed.other,
							       (void *)pin, 0),
					 0);
	}
	assert_false(is_held(&bed));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), -EINVAL);
	bed_stop(&bed);
}

/* All through one client and all back through another: each count alone would be wrong. */
static void counts_that_drift_apart_add_up(void **state)
{
	volatile uint64_t *pin = NULL;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 50; i++)
			pin = bed_pin(bed.client, GPA);
		for (unsigned int i = 0; i < 50; i++)
			assert_int_equal(mapcache_client_unpin(bed.other, (void *)pin, 0), 0);
		assert_int_equal(mapcache_client_unpin(bed.other, (void *)pin, 0), -EINVAL);
	}
	pin = bed_pin(bed.client, GPA);
	bed_remove(&bed, GFN);
	mapcache_invalidate(bed.cache);
	assert_true(is_held(&bed));
	assert_int_equal(mapcache_client_close(bed.client), 0);
	bed.client = NULL;
	assert_true(is_held(&bed));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), 0);
	assert_false(is_held(&bed));
	bed_stop(&bed);
}

/* Nobody pins 2^31 times in a test: the count is set to it. */
static void a_clients_own_count_moves_on_before_it_wraps(void **state)
{
	volatile uint64_t *pin;
	struct mapping *mapping;
	struct bed bed;
	uint64_t slot;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pin = bed_pin(bed.client, GPA);
	slot = slot_of(&bed, pin);
	mapping = mapping_at(bed.cache, slot);
	mapcache_store_relaxed(&bed.client->pins[slot], UINT32_C(1) << 31);
	bed_pin(bed.client, GPA);
	assert_int_equal(mapcache_load_relaxed(&bed.client->pins[slot]), 1);
	assert_int_equal(mapcache_load_relaxed(&mapping->shared_pins), UINT64_C(1) << 31);
	/* Past 2^32 of them, one by one: each is known. */
	mapcache_store_relaxed(&mapping->shared_pins, (UINT64_C(1) << 32) + 1);
	bed_remove(&bed, GFN);
	mapcache_invalidate(bed.cache);
	assert_true(is_held(&bed));
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pin, 0), 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), 0);
	assert_int_equal(mapcache_load_relaxed(&mapping->shared_pins), (UINT64_C(1) << 32) - 2);
	assert_true(is_held(&bed));
	mapcache_store_relaxed(&mapping->shared_pins, 1);
	assert_true(is_held(&bed));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), 0);
	assert_false(is_held(&bed));
	bed_stop(&bed);
}

/* ---- threads ------------------------------------------------------------------------------------ */

#define ROUNDS 20000u

struct exchange {
	void *slots[16]; /* atomic: pins that wait for anybody to release them */
	uint64_t pins, wrong;
};

static int pin_and_release_what_others_pinned(struct peer *peer, void *data)
{
	struct exchange *exchange = data;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t gfn = i % 8 * 16;
		size_t len = 8;
		uint64_t *mine = mapcache_pin(peer->client, gfn * BED_PAGE, &len, PROT_READ, 0);
		void *theirs;

		if (mine && *mine != bed_value(gfn))
			__atomic_fetch_add(&exchange->wrong, 1, __ATOMIC_RELAXED);
		if (mine)
			__atomic_fetch_add(&exchange->pins, 1, __ATOMIC_RELAXED);
		theirs = __atomic_exchange_n(&exchange->slots[i % 16], mine, __ATOMIC_ACQ_REL);
		if (theirs && (i % 2 ? mapcache_unpin(peer->cache, theirs, 0)
				     : mapcache_client_unpin(peer->client, theirs, 0)))
			__atomic_fetch_add(&exchange->wrong, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

static void threads_release_each_others_pins_and_none_is_lost(void **state)
{
	struct exchange exchange = { .pins = 0 };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 16, .reclaim_ms = 4 } });
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], pin_and_release_what_others_pinned, &exchange);
	}
	while (peer_busy(&peers[0]) || peer_busy(&peers[1])) {
		mapcache_invalidate(bed.cache);
		sched_yield();
	}
	for (unsigned int i = 0; i < 2; i++)
		peer_close(&peers[i]);
	assert_int_equal(exchange.wrong, 0);
	assert_true(exchange.pins > ROUNDS);
	for (unsigned int i = 0; i < 16; i++) {
		if (exchange.slots[i])
			assert_int_equal(mapcache_unpin(bed.cache, exchange.slots[i], 0), 0);
	}
	mapcache_invalidate(bed.cache);
	assert_int_equal(
		mapcache_drain(bed.cache, mapcache_epoch(bed.cache), 0, MAPCACHE_DRAIN_PINS), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(len_comes_back_as_what_is_contiguous),
		cmocka_unit_test(a_pin_up_to_a_hole_is_shorter),
		cmocka_unit_test(pin_refuses_wrong_arguments),
		cmocka_unit_test(foreign_pointers_are_refused),
		cmocka_unit_test(any_pointer_into_a_pin_tells_its_guest_address),
		cmocka_unit_test(as_many_unpins_as_pins_and_not_one_less),
		cmocka_unit_test(counts_that_drift_apart_add_up),
		cmocka_unit_test(a_clients_own_count_moves_on_before_it_wraps),
		cmocka_unit_test(threads_release_each_others_pins_and_none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
