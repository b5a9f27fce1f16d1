/* SPDX-License-Identifier: MIT */
/*
 * Guarantee F: when mapcache_drain(cache, E, ...) returns 0, no section that began before E is
 * running and, with MAPCACHE_DRAIN_PINS, no pin older than E is left, nor on its way.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/gate.h>
#include <tests/support/peer.h>

struct drain {
	uint64_t epoch;
	int timeout_ms;
	unsigned int flags;
};

static int drain(struct peer *peer, void *data)
{
	struct drain *drain = data;

	return mapcache_drain(peer->cache, drain->epoch, drain->timeout_ms, drain->flags);
}

static void drain_waits_for_sections_begun_before_the_epoch(void **state)
{
	struct drain forever = { 2, -1, 0 };
	struct peer inside, drainer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	peer_open(&inside, bed.cache);
	peer_open(&drainer, bed.cache);
	assert_int_equal(peer_run(&inside, peer_begin, NULL), 0);
	assert_int_equal(mapcache_drain(bed.cache, 1, 0, 0), 0);
	forever.epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, forever.epoch, 0, 0), -ETIMEDOUT);
	assert_int_equal(mapcache_drain(bed.cache, forever.epoch, 20, 0), -ETIMEDOUT);
	peer_start(&drainer, drain, &forever);
	assert_int_equal(mapcache_drain(bed.cache, forever.epoch, 20, 0), -ETIMEDOUT);
	assert_true(peer_busy(&drainer));
	assert_int_equal(peer_run(&inside, peer_end, NULL), 0);
	assert_int_equal(peer_wait(&drainer), 0);
	assert_int_equal(mapcache_drain(bed.cache, forever.epoch, 0, 0), 0);
	peer_close(&drainer);
	peer_close(&inside);
	bed_stop(&bed);
}

static void drain_does_not_wait_for_sections_of_the_epoch(void **state)
{
	struct peer peer;
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, NULL);
	peer_open(&peer, bed.cache);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(peer_run(&peer, peer_begin, NULL), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, -1, MAPCACHE_DRAIN_PINS), 0);
	assert_int_equal(peer_run(&peer, peer_end, NULL), 0);
	peer_close(&peer);
	bed_stop(&bed);
}

/* The outermost section counts, and one that ends is not forgotten for the next. */
static void drain_sees_through_nesting_and_through_what_it_remembers(void **state)
{
	struct peer peer;
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, NULL);
	peer_open(&peer, bed.cache);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(peer_run(&peer, peer_begin, NULL), 0);
		epoch = mapcache_invalidate(bed.cache);
		assert_int_equal(peer_run(&peer, peer_begin, NULL), 0);
		assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), -ETIMEDOUT);
		assert_int_equal(peer_run(&peer, peer_end, NULL), 0);
		assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), -ETIMEDOUT);
		assert_int_equal(mapcache_drain(bed.cache, epoch - 1, 0, 0), 0);
		assert_int_equal(peer_run(&peer, peer_end, NULL), 0);
		assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), 0);
	}
	peer_close(&peer);
	bed_stop(&bed);
}

static void drain_of_pins_waits_for_older_pins_only(void **state)
{
	volatile uint64_t *old, *young;
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, BED_QUIET);
	old = bed_pin(bed.client, 0);
	epoch = mapcache_invalidate(bed.cache);
	young = bed_pin(bed.client, 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 10, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_drain(bed.cache, epoch - 1, 0, MAPCACHE_DRAIN_PINS), 0);
	/* Reclaim takes the old slot out of every index; the pin is still one. */
	bed_reclaim(&bed);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)old, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), 0);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)young, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), 0);
	bed_stop(&bed);
}

static void drain_of_pins_returns_when_another_thread_unpins(void **state)
{
	struct peer_look look = { .gpa = 0 };
	struct drain forever = { 2, -1, MAPCACHE_DRAIN_PINS };
	struct peer pinner, drainer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	peer_open(&pinner, bed.cache);
	peer_open(&drainer, bed.cache);
	assert_int_equal(peer_run(&pinner, peer_pin, &look), 0);
	mapcache_invalidate(bed.cache);
	peer_start(&drainer, drain, &forever);
	assert_int_equal(mapcache_drain(bed.cache, 2, 20, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_true(peer_busy(&drainer));
	assert_int_equal(peer_run(&pinner, peer_unpin, &look), 0);
	assert_int_equal(peer_wait(&drainer), 0);
	peer_close(&drainer);
	peer_close(&pinner);
	bed_stop(&bed);
}

struct range {
	uint64_t gpa;
	size_t len;
	void *pointer;
};

static int pin_in_one_piece(struct peer *peer, void *data)
{
	struct range *range = data;

	range->pointer = mapcache_pin(peer->client, range->gpa, &range->len, PROT_READ,
				      MAPCACHE_PIN_CONTIGUOUS);
	return range->pointer ? 0 : -errno;
}

/* It has been mapped, but the call has not come back. */
static void drain_of_pins_waits_for_a_contiguous_pin_on_its_way(void **state)
{
	struct range range = { BED_BUCKET, 2 * BED_BUCKET, NULL };
	struct gate gate = GATE;
	struct peer pinner;
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&pinner, bed.cache);
	gate_close(&gate, 600, true);
	peer_start(&pinner, pin_in_one_piece, &range);
	gate_wait(&gate, 1);
	assert_int_equal(mapcache_drain(bed.cache, 1, 0, MAPCACHE_DRAIN_PINS), 0);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 20, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, 0), 0);
	gate_open(&gate);
	assert_int_equal(peer_wait(&pinner), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_unpin(bed.cache, range.pointer, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), 0);
	peer_close(&pinner);
	bed_stop(&bed);
}

/* Nor does one stay on its way that came to nothing. */
static void a_contiguous_pin_that_fails_is_not_waited_for_any_more(void **state)
{
	struct range range = { 3 * BED_BUCKET, 2 * BED_BUCKET, NULL };
	struct gate gate = GATE;
	struct peer pinner;
	struct bed bed;
	uint64_t epoch;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&pinner, bed.cache);
	gate_close(&gate, 800, true);
	peer_start(&pinner, pin_in_one_piece, &range);
	gate_wait(&gate, 1);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	gate_open(&gate);
	assert_int_equal(peer_wait(&pinner), -EFAULT);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 0, MAPCACHE_DRAIN_PINS), 0);
	peer_close(&pinner);
	bed_stop(&bed);
}

/* The word of a page tells since which epoch the guest has it; that of one just populated, nothing. */
#define SINCE(epoch) (UINT64_C(0x5eed) << 48 | (epoch))

struct race {
	uint64_t drained;
	unsigned int pins, older;
};

/* While the pin is held, no drain of a later epoch than its own returns. */
static int pin_and_look(struct peer *peer, void *data)
{
	struct race *race = data;

	for (unsigned int i = 0; i < 300000; i++) {
		struct range range = { BED_BUCKET - BED_PAGE, 2 * BED_PAGE, NULL };
		int error = pin_in_one_piece(peer, &range);
		uint64_t word, drained;

		if (error == -EFAULT)
			continue;
		if (error)
			return error;
		drained = __atomic_load_n(&race->drained, __ATOMIC_ACQUIRE);
		word = *(volatile uint64_t *)range.pointer;
		race->pins++;
		race->older += word >= SINCE(0) && word < SINCE(drained);
		error = mapcache_client_unpin(peer->client, range.pointer, 0);
		if (error)
			return error;
	}
	return 0;
}

static void no_contiguous_pin_comes_after_a_drain_and_is_older(void **state)
{
	uint64_t gfn = (BED_BUCKET - BED_PAGE) / BED_PAGE;
	struct race race = { 0, 0, 0 };
	struct peer pinner;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	peer_open(&pinner, bed.cache);
	peer_start(&pinner, pin_and_look, &race);
	while (peer_busy(&pinner)) {
		uint64_t epoch;

		bed_exchange(&bed, gfn, SINCE(mapcache_epoch(bed.cache) + 1));
		epoch = mapcache_invalidate(bed.cache);
		assert_int_equal(mapcache_drain(bed.cache, epoch, -1, MAPCACHE_DRAIN_PINS), 0);
		__atomic_store_n(&race.drained, epoch, __ATOMIC_RELEASE);
	}
	assert_int_equal(peer_wait(&pinner), 0);
	assert_true(race.pins > 0);
	assert_int_equal(race.older, 0);
	peer_close(&pinner);
	bed_stop(&bed);
}

static void drain_refuses_what_cannot_be_waited_for(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_drain(NULL, 1, 0, 0), -EINVAL);
	assert_int_equal(mapcache_drain(bed.cache, 2, 0, 0), -EINVAL);
	assert_int_equal(mapcache_drain(bed.cache, UINT64_MAX, 0, 0), -EINVAL);
	assert_int_equal(mapcache_drain(bed.cache, 1, 0, 2), -EINVAL);
	assert_int_equal(mapcache_drain(bed.cache, 1, 0, ~0u), -EINVAL);
	assert_int_equal(mapcache_drain(bed.cache, 0, 0, MAPCACHE_DRAIN_PINS), 0);
	mapcache_begin(bed.other);
	assert_int_equal(mapcache_drain(bed.cache, 1, -1, 0), -EDEADLK);
	assert_int_equal(mapcache_drain(bed.cache, 1, 0, MAPCACHE_DRAIN_PINS), -EDEADLK);
	assert_int_equal(mapcache_end(bed.other), 0);
	assert_int_equal(mapcache_drain(bed.cache, 1, -1, 0), 0);
	bed_stop(&bed);
}

/* After it, the embedder may free or reuse what sections could have seen. */
static int use_what_is_published(struct peer *peer, void *data)
{
	uint64_t **published = data;

	for (;;) {
		uint64_t *seen;

		mapcache_begin(peer->client);
		seen = __atomic_load_n(published, __ATOMIC_ACQUIRE);
		if (seen && *seen == 0) {
			(void)mapcache_end(peer->client);
			return -ESTALE;
		}
		if (mapcache_end(peer->client))
			return -EINVAL;
		if (!seen)
			return 0;
	}
}

static void after_drain_nobody_uses_what_was_withdrawn_before_the_invalidation(void **state)
{
	uint64_t values[2000], *published = &values[0];
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	for (unsigned int i = 0; i < 2000; i++)
		values[i] = 1;
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], use_what_is_published, &published);
	}
	for (unsigned int i = 1; i <= 300; i++) {
		__atomic_store_n(&published, i < 300 ? &values[i] : NULL, __ATOMIC_RELEASE);
		assert_int_equal(mapcache_drain(bed.cache, mapcache_invalidate(bed.cache), -1, 0),
				 0);
		values[i - 1] = 0; /* as good as freed */
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
		cmocka_unit_test(drain_waits_for_sections_begun_before_the_epoch),
		cmocka_unit_test(drain_does_not_wait_for_sections_of_the_epoch),
		cmocka_unit_test(drain_sees_through_nesting_and_through_what_it_remembers),
		cmocka_unit_test(drain_of_pins_waits_for_older_pins_only),
		cmocka_unit_test(drain_of_pins_returns_when_another_thread_unpins),
		cmocka_unit_test(drain_of_pins_waits_for_a_contiguous_pin_on_its_way),
		cmocka_unit_test(a_contiguous_pin_that_fails_is_not_waited_for_any_more),
		cmocka_unit_test(no_contiguous_pin_comes_after_a_drain_and_is_older),
		cmocka_unit_test(drain_refuses_what_cannot_be_waited_for),
		cmocka_unit_test(
			after_drain_nobody_uses_what_was_withdrawn_before_the_invalidation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
