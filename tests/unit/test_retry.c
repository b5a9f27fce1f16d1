/* SPDX-License-Identifier: MIT */
/* What may pass is tried again, not for ever: others' sections that hold all room, a map call that
 * was interrupted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/space/own.h>
#include <tests/support/bed.h>

/* More clients than there are spare slots: the last one has none. */
#define CLIENTS (ARENA_SPARES + 1)

static void who_finds_no_room_is_told_so_in_the_end(void **state)
{
	struct mapcache_client *client[CLIENTS], *last;
	uint64_t value = 7;
	size_t len = 8;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 16,
							  .max_bytes = 4 << 16,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (unsigned int i = 0; i < CLIENTS; i++)
		assert_int_equal(mapcache_client_open(bed.cache, &client[i]), 0);
	last = client[CLIENTS - 1];
	mapcache_begin(bed.other);
	for (uint64_t bucket = 0; bucket < 16; bucket++)
		(void)!mapcache_ptr(bed.other, bucket << 16, 8, PROT_READ);
	assert_int_equal(mapcache_read(last, 30 << 16, &value, 8), -EAGAIN);
	assert_int_equal(value, 7);
	assert_null(mapcache_pin(last, 30 << 16, &len, PROT_READ, 0));
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(len, 8);
	assert_int_equal(mapcache_end(bed.other), 0);
	assert_int_equal(mapcache_read(last, 30 << 16, &value, 8), 8);
	assert_int_equal(value, bed_value(30 * 16));
	for (unsigned int i = 0; i < CLIENTS; i++)
		assert_int_equal(mapcache_client_close(client[i]), 0);
	bed_stop(&bed);
}

/* ---- map calls that fail for a moment ---------------------------------------------------------- */

static const int passing[] = { EINTR, EAGAIN };
#define PASSING (sizeof(passing) / sizeof(*passing))
#define RW (PROT_READ | PROT_WRITE)

/* Look-ups, plain pins, contiguous pins, relocation: the nth call of each is interrupted. */
static void a_map_call_that_is_interrupted_is_made_again(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	for (unsigned int i = 0; i < PASSING; i++) {
		bed_start(&bed, BED_QUIET);
		xensim_fail(XENSIM_CALL_MAP, 1, passing[i]);
		assert_int_equal(bed_error(bed.client, 0, 8, RW), 0);
		xensim_fail(XENSIM_CALL_MAP, 1, passing[i]);
		pointer = bed_pin_range(bed.client, BED_BUCKET, 8, RW, 0);
		assert_int_equal(*pointer, bed_value(256));
		assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pointer, 0), 0);
		for (uint64_t nth = 1; nth < 3; nth++) {
			xensim_fail(XENSIM_CALL_MAP, nth, passing[i]);
			pointer = bed_pin_range(bed.client, BED_BUCKET, 2 * BED_BUCKET, RW,
						MAPCACHE_PIN_OWN_MAPPING);
			assert_int_equal(*bed_at(pointer, BED_BUCKET), bed_value(512));
			xensim_fail(XENSIM_CALL_MAP, nth + 2, passing[i]);
			assert_int_equal(mapcache_replace(bed.cache, BED_BUCKET, 0, 2 * BED_BUCKET),
					 1);
			assert_int_equal(*bed_at(pointer, BED_BUCKET), bed_value(256));
			assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pointer, 0),
					 0);
		}
		assert_int_equal(bed_stats(&bed).map_errors, 0);
		bed_stop(&bed);
	}
}

/* Some pages of it only. */
static void a_page_that_could_not_be_mapped_just_now_is_mapped_again(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	for (unsigned int i = 0; i < PASSING; i++) {
		bed_start(&bed, BED_QUIET);
		xensim_fail_pages(1, 50, passing[i]);
		assert_int_equal(bed_error(bed.client, 50 * BED_PAGE, 8, RW), 0);
		xensim_fail_pages(1, 3, passing[i]);
		pointer = bed_pin_range(bed.client, BED_BUCKET, 2 * BED_BUCKET, RW,
					MAPCACHE_PIN_CONTIGUOUS);
		assert_int_equal(*bed_at(pointer, 3 * BED_PAGE), bed_value(259));
		assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pointer, 0), 0);
		assert_int_equal(bed_stats(&bed).holes, 0);
		bed_stop(&bed);
	}
}

static int interrupted(struct spy *spy, const struct spy_call *call)
{
	(void)spy;
	return call->map ? -EINTR : 0;
}

static void a_map_call_that_stays_interrupted_is_an_error_in_the_end(void **state)
{
	struct spy spy = { .before = interrupted };
	size_t len = 2 * BED_BUCKET;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .backend = &spy_backend,
							  .backend_data = &spy,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	assert_int_equal(bed_error(bed.client, 0, 8, RW), EINTR);
	assert_in_range(spy.maps, 2, 8);
	spy.maps = 0;
	assert_null(mapcache_pin(bed.client, 0, &len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS));
	assert_int_equal(errno, EINTR);
	assert_in_range(spy.maps, 2, 8);
	assert_int_equal(bed_stats(&bed).spans, 0);
	spy.before = NULL;
	assert_int_equal(bed_error(bed.client, 0, 8, RW), 0);
	bed_stop(&bed);
}

struct taker {
	uint64_t *mine;
	size_t bytes;
};

/* As the real library leaves it when the call fails, and another thread of the process is quick. */
static int take_the_range(struct spy *spy, const struct spy_call *call)
{
	struct taker *taker = spy->data;

	if (!call->map || taker->mine)
		return 0;
	taker->bytes = call->pages * BED_PAGE;
	assert_int_equal(munmap(call->address, taker->bytes), 0);
	taker->mine = mmap(call->address, taker->bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(taker->mine, call->address);
	taker->mine[0] = 42;
	return -EINTR;
}

static void a_range_that_somebody_else_has_taken_is_not_mapped_again(void **state)
{
	struct taker taker = { NULL, 0 };
	struct spy spy = { .before = take_the_range, .data = &taker };
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .backend = &spy_backend,
							  .backend_data = &spy,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	assert_int_equal(bed_error(bed.client, 0, 8, RW), EINTR);
	assert_int_equal(spy.maps, 1);
	assert_int_equal(taker.mine[0], 42);
	assert_int_equal(bed_error(bed.client, 0, 8, RW), 0);
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	assert_int_equal(taker.mine[0], 42);
	bed_stop(&bed);
	assert_int_equal(taker.mine[0], 42);
	munmap(taker.mine, taker.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_finds_no_room_is_told_so_in_the_end),
		cmocka_unit_test(a_map_call_that_is_interrupted_is_made_again),
		cmocka_unit_test(a_page_that_could_not_be_mapped_just_now_is_mapped_again),
		cmocka_unit_test(a_map_call_that_stays_interrupted_is_an_error_in_the_end),
		cmocka_unit_test(a_range_that_somebody_else_has_taken_is_not_mapped_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
