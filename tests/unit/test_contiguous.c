/* SPDX-License-Identifier: MIT */
/* Contiguous pins: any length in one piece, coherent with the buckets, held to B, C, E and F. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/space/space.h>
#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define EDGE (BED_BUCKET - 2 * BED_PAGE)
#define LEN                                                                                        \
	(BED_BUCKET + 4 * BED_PAGE) /* the last two pages of the first to the third's first two */

static volatile uint64_t *pin(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	return bed_pin_range(client, gpa, len, prot, MAPCACHE_PIN_CONTIGUOUS);
}

static int pin_error(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		     unsigned int flags)
{
	size_t got = len;

	if (mapcache_pin(client, gpa, &got, prot, flags) != NULL)
		return 0;
	return errno;
}

static void a_contiguous_pin_shows_every_page_of_three_buckets(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = pin(bed.client, EDGE, LEN, PROT_READ);
	for (uint64_t offset = 0; offset < LEN; offset += BED_PAGE) {
		assert_int_equal(*bed_at(pointer, offset), bed_value((EDGE + offset) / BED_PAGE));
		assert_int_equal(
			mapcache_gpa(bed.cache, (char *)(uintptr_t)pointer + offset + 5, &gpa), 0);
		assert_int_equal(gpa, EDGE + offset + 5);
	}
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* The page count has the offset inside the first page in it. */
static void an_unaligned_contiguous_pin_reaches_its_last_byte(void **state)
{
	volatile char *pointer;
	struct bed bed;
	char byte = 'x';

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = (volatile char *)pin(bed.client, BED_BUCKET - 8, BED_PAGE + 9,
				       PROT_READ | PROT_WRITE);
	pointer[BED_PAGE + 8] = byte;
	assert_int_equal(xensim_guest_read(bed.domain, BED_BUCKET + BED_PAGE, &byte, 1), 0);
	assert_int_equal(byte, 'x');
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)(uintptr_t)pointer, 0), 0);
	bed_stop(&bed);
}

static void a_contiguous_pin_and_the_buckets_under_it_see_each_other(void **state)
{
	volatile uint64_t *pointer, *bucket;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bucket = bed_pin(bed.client, BED_BUCKET);
	pointer = pin(bed.client, EDGE, LEN, PROT_READ | PROT_WRITE);
	*bed_at(pointer, 2 * BED_PAGE) = 77;
	assert_int_equal(*bucket, 77);
	assert_int_equal(bed_read(bed.other, BED_BUCKET), 77);
	bed_write(bed.other, BED_BUCKET + BED_PAGE, 78);
	assert_int_equal(*bed_at(pointer, 3 * BED_PAGE), 78);
	assert_int_equal(bed_guest(&bed, BED_BUCKET), 77);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)bucket, 0), 0);
	bed_stop(&bed);
}

static void the_same_range_is_not_mapped_twice_while_it_is_current(void **state)
{
	volatile uint64_t *first, *second;
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed, BED_QUIET);
	first = pin(bed.client, EDGE, LEN, PROT_READ | PROT_WRITE);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)first, 0), 0);
	calls = bed_totals().map_calls;
	for (unsigned int i = 0; i < 100; i++) {
		second = pin(bed.other, EDGE + BED_PAGE, LEN - BED_PAGE, PROT_READ);
		assert_ptr_equal(second, bed_at(first, BED_PAGE));
		assert_int_equal(mapcache_client_unpin(bed.other, (void *)second, 0), 0);
	}
	assert_int_equal(bed_totals().map_calls, calls);
	bed_stop(&bed);
}

static void C_a_stale_contiguous_pin_serves_its_pinner_only(void **state)
{
	volatile uint64_t *stale, *fresh;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	stale = pin(bed.client, EDGE, LEN, PROT_READ);
	bed_exchange(&bed, 256, 5);
	mapcache_invalidate(bed.cache);
	fresh = pin(bed.other, EDGE, LEN, PROT_READ);
	assert_ptr_not_equal(stale, fresh);
	assert_int_equal(*bed_at(stale, 2 * BED_PAGE), bed_value(256));
	assert_int_equal(*bed_at(fresh, 2 * BED_PAGE), 5);
	bed_reclaim(&bed);
	assert_int_equal(*bed_at(stale, 2 * BED_PAGE), bed_value(256));
	assert_int_equal(bed_stats(&bed).pinned_stale_bytes, LEN);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)stale, 0), 0);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().pages_held, 0);
	assert_int_equal(mapcache_client_unpin(bed.other, (void *)fresh, 0), 0);
	bed_stop(&bed);
}

static void a_range_invalidation_hides_contiguous_pins_that_touch_it(void **state)
{
	volatile uint64_t *stale, *fresh;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	stale = pin(bed.client, EDGE, LEN, PROT_READ);
	bed_exchange(&bed, 256, 6);
	assert_int_equal(mapcache_invalidate_range(bed.cache, BED_BUCKET, 1), 0);
	fresh = pin(bed.client, EDGE, LEN, PROT_READ);
	assert_int_equal(*bed_at(fresh, 2 * BED_PAGE), 6);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)stale, 0), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)fresh, 0), 0);
	bed_stop(&bed);
}

/* It is about whole buckets, whatever looks into them. */
static void a_range_invalidation_hides_contiguous_pins_in_its_buckets(void **state)
{
	volatile uint64_t *stale, *fresh;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	stale = pin(bed.client, EDGE, 4 * BED_PAGE, PROT_READ);
	bed_exchange(&bed, 256, 6);
	assert_int_equal(mapcache_invalidate_range(bed.cache, 2 * BED_BUCKET - 1, 1), 0);
	fresh = pin(bed.client, EDGE, 4 * BED_PAGE, PROT_READ);
	assert_int_equal(*bed_at(fresh, 2 * BED_PAGE), 6);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)stale, 0), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)fresh, 0), 0);
	bed_stop(&bed);
}

static void F_drain_waits_for_stale_contiguous_pins(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = pin(bed.client, EDGE, LEN, PROT_READ);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), 0);
	bed_stop(&bed);
}

static void a_contiguous_pin_is_released_by_any_pointer_into_it(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = pin(bed.client, EDGE, LEN, PROT_READ);
	assert_int_equal(mapcache_close(bed.cache), -EBUSY);
	assert_int_equal(mapcache_client_unpin(bed.other, (char *)(uintptr_t)pointer + LEN - 1, 0),
			 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), -EINVAL);
	bed_stop(&bed);
}

static int release_peer(struct peer *peer, void *data)
{
	(void)peer;
	return mapcache_unpin(peer->cache, data, 0);
}

/* Whether the client has pins of the slot that another thread has released for it. */
static bool carries_a_count(struct bed *bed, volatile uint64_t *pointer, uint64_t offset)
{
	const void *inside = (char *)(uintptr_t)pointer + offset;
	uint64_t slot = arena_slot(bed->cache, inside);

	return bed->client->pins[slot] > 0 &&
	       (int64_t)mapping_at(bed->cache, slot)->shared_pins < 0;
}

/*
 * Slots that were pinned by one client and released by another thread have a count of their own
 * and its opposite. A contiguous pin that gets them is none the wiser: its pins are the sum over
 * all of them. Another one holds the slots that nobody ever had.
 */
static void slots_pinned_and_released_by_different_threads_can_be_joined(void **state)
{
	struct rig_options options = { .cache = { .max_bytes = 12 * BED_BUCKET,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD },
				       .ram_pages = 24 * 256 };
	volatile uint64_t *pointer, *fresh;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	peer_open(&peer, bed.cache);
	for (uint64_t i = 0; i < 96; i++)
		assert_int_equal(peer_run(&peer, release_peer,
					  (void *)bed_pin(bed.client, i % 24 * BED_BUCKET)),
				 0);
	fresh = pin(bed.client, 10 * BED_BUCKET + EDGE, LEN, PROT_READ);
	for (unsigned int round = 0; round < 20; round++) {
		mapcache_invalidate(bed.cache);
		bed_reclaim(&bed);
		pointer = pin(bed.client, EDGE, LEN, PROT_READ);
		assert_true(round || carries_a_count(&bed, pointer, LEN / 2));
		assert_int_equal(mapcache_client_unpin(bed.client,
						       (char *)(uintptr_t)pointer + LEN / 2, 0),
				 0);
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), -EINVAL);
	}
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)fresh, 0), 0);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(bed_stats(&bed).spans, 0);
	assert_int_equal(bed_stats(&bed).slots_used, 0);
	peer_close(&peer);
	bed_stop(&bed);
}

static void a_hole_in_a_contiguous_pin_is_an_error_and_nothing_stays(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_remove(&bed, 257);
	assert_int_equal(pin_error(bed.client, EDGE, LEN, PROT_READ, MAPCACHE_PIN_CONTIGUOUS),
			 EFAULT);
	assert_int_equal(pin_error(bed.client, BED_BUCKET, 3 * BED_PAGE, PROT_READ,
				   MAPCACHE_PIN_CONTIGUOUS),
			 EFAULT);
	assert_int_equal(bed_stats(&bed).spans, 0);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	bed_stop(&bed);
}

static void read_only_memory_is_pinned_for_reading_and_refused_for_writing(void **state)
{
	volatile uint64_t *reader, *writer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(xensim_p2m_set_type(bed.domain, 257, 1, XENSIM_DENIED), 0);
	reader = pin(bed.client, EDGE, LEN, PROT_READ);
	assert_int_equal(pin_error(bed.client, EDGE, LEN, PROT_WRITE, MAPCACHE_PIN_CONTIGUOUS),
			 EACCES);
	assert_int_equal(pin_error(bed.client, BED_BUCKET, 2 * BED_PAGE, PROT_WRITE,
				   MAPCACHE_PIN_CONTIGUOUS),
			 EACCES);
	assert_int_equal(xensim_p2m_set_type(bed.domain, 257, 1, XENSIM_RAM), 0);
	writer = pin(bed.client, EDGE, LEN, PROT_WRITE);
	*bed_at(writer, 3 * BED_PAGE) = 9;
	assert_int_equal(*bed_at(reader, 3 * BED_PAGE), 9);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)reader, 0), 0);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)writer, 0), 0);
	bed_stop(&bed);
}

static void bad_requests_for_contiguous_pins_are_refused(void **state)
{
	const unsigned int flags = MAPCACHE_PIN_CONTIGUOUS;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(pin_error(bed.client, 0, 8, PROT_READ, 4), EINVAL);
	assert_int_equal(pin_error(bed.client, 0, 0, PROT_READ, flags), EINVAL);
	assert_int_equal(pin_error(bed.client, 0, LEN, 0, flags), EINVAL);
	assert_int_equal(pin_error(bed.client, 0, LEN, PROT_EXEC, flags), EINVAL);
	assert_int_equal(pin_error(bed.client, UINT64_MAX - 100, LEN, PROT_READ, flags), ERANGE);
	assert_int_equal(pin_error(bed.client, 4096, SIZE_MAX, PROT_READ, flags),
			 sizeof(size_t) < 8 ? ENOMEM : ERANGE);
	assert_int_equal(pin_error(bed.client, 0,
				   sizeof(size_t) < 8 ? SIZE_MAX >> 1 : SIZE_MAX >> 19, PROT_READ,
				   flags),
			 ENOMEM);
	bed_stop(&bed);
}

static void a_length_that_can_never_be_had_takes_nothing_from_others(void **state)
{
	struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .max_bytes = 64 * BED_BUCKET } };
	volatile uint64_t *kept;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	kept = pin(bed.client, BED_BUCKET - BED_PAGE, 2 * BED_PAGE, PROT_READ);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)kept, 0), 0);
	assert_int_equal(bed_stats(&bed).spans, 1);
	assert_int_equal(pin_error(bed.client, 0, 65 * BED_BUCKET, PROT_READ,
				   MAPCACHE_PIN_CONTIGUOUS),
			 ENOMEM);
	assert_int_equal(bed_stats(&bed).spans, 1);
	bed_stop(&bed);
}

#define ROUNDS 300

static int pin_rounds(struct peer *peer, void *data)
{
	struct bed *bed = data;
	int wrong = 0;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		size_t len = LEN;
		volatile uint64_t *pointer =
			mapcache_pin(peer->client, EDGE, &len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);

		if (pointer == NULL)
			return -errno;
		for (uint64_t offset = 0; offset < LEN; offset += 16 * BED_PAGE)
			wrong += *bed_at(pointer, offset) != bed_value((EDGE + offset) / BED_PAGE);
		wrong += mapcache_unpin(bed->cache, (void *)pointer, 0) != 0;
	}
	return wrong;
}

/* With a reclaim thread, range invalidations and a storm beside it. */
static void B_contiguous_pins_of_two_threads_outlive_a_storm(void **state)
{
	struct rig_options options = { .cache = { .reclaim_ms = 1 } };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], pin_rounds, &bed);
	}
	while (peer_busy(&peers[0]) || peer_busy(&peers[1])) {
		mapcache_invalidate(bed.cache);
		assert_int_equal(mapcache_invalidate_range(bed.cache, BED_BUCKET, 1), 0);
	}
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(peer_wait(&peers[i]), 0);
		peer_close(&peers[i]);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_contiguous_pin_shows_every_page_of_three_buckets),
		cmocka_unit_test(an_unaligned_contiguous_pin_reaches_its_last_byte),
		cmocka_unit_test(a_contiguous_pin_and_the_buckets_under_it_see_each_other),
		cmocka_unit_test(the_same_range_is_not_mapped_twice_while_it_is_current),
		cmocka_unit_test(C_a_stale_contiguous_pin_serves_its_pinner_only),
		cmocka_unit_test(a_range_invalidation_hides_contiguous_pins_that_touch_it),
		cmocka_unit_test(a_range_invalidation_hides_contiguous_pins_in_its_buckets),
		cmocka_unit_test(F_drain_waits_for_stale_contiguous_pins),
		cmocka_unit_test(a_contiguous_pin_is_released_by_any_pointer_into_it),
		cmocka_unit_test(slots_pinned_and_released_by_different_threads_can_be_joined),
		cmocka_unit_test(a_hole_in_a_contiguous_pin_is_an_error_and_nothing_stays),
		cmocka_unit_test(read_only_memory_is_pinned_for_reading_and_refused_for_writing),
		cmocka_unit_test(bad_requests_for_contiguous_pins_are_refused),
		cmocka_unit_test(a_length_that_can_never_be_had_takes_nothing_from_others),
		cmocka_unit_test(B_contiguous_pins_of_two_threads_outlive_a_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
