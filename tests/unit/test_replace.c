/* SPDX-License-Identifier: MIT */
/* Relocation at the same host address, and placeholders for memory that is not there yet. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define VIDEO (UINT64_C(64) << 20) /* no memory of the guest there */
#define LEN (BED_BUCKET + 2 * BED_PAGE)
#define TARGET (2 * BED_BUCKET)

static volatile uint64_t *pin_own(struct bed *bed, uint64_t gpa, size_t len)
{
	return bed_pin_range(bed->client, gpa, len, PROT_READ | PROT_WRITE,
			     MAPCACHE_PIN_OWN_MAPPING);
}

static void a_placeholder_is_memory_where_the_guest_has_none(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(bed_error(bed.client, VIDEO, 8, PROT_READ), EFAULT);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	assert_int_equal(bed_read(bed.client, VIDEO), 0);
	pointer = pin_own(&bed, VIDEO, LEN);
	*bed_at(pointer, BED_BUCKET) = 3;
	/* Bucket and pin show the same memory, and an invalidation does not lose it. */
	assert_int_equal(bed_read(bed.other, VIDEO + BED_BUCKET), 3);
	bed_write(bed.other, VIDEO + 8, 4);
	mapcache_invalidate(bed.cache);
	assert_int_equal(*bed_at(pointer, 8), 4);
	assert_int_equal(bed_read(bed.other, VIDEO + BED_BUCKET), 3);
	/* Next to it there is still nothing. */
	assert_int_equal(bed_error(bed.client, VIDEO + LEN, 8, PROT_READ), EFAULT);
	assert_int_equal(bed_error(bed.client, VIDEO - 8, 8, PROT_READ), EFAULT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* Nor has a 32-bit process to hold it at once. */
static void a_placeholder_may_be_larger_than_4_gib(void **state)
{
	uint64_t gpa = UINT64_C(4) << 30, len = UINT64_C(5) << 30;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							  .guest_limit = gpa + len } });
	assert_int_equal(mapcache_placeholder(bed.cache, gpa, len), 0);
	for (uint64_t i = 1; i <= 5; i++)
		bed_write(bed.client, gpa + (i << 30) - 8, i);
	mapcache_invalidate(bed.cache);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(bed_read(bed.other, gpa + (i << 30) - 8), i);
	bed_stop(&bed);
}

static void a_placeholder_that_is_over_is_seen_by_its_pins_only(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	pointer = pin_own(&bed, VIDEO, LEN);
	*pointer = 5;
	assert_int_equal(bed_read(bed.other, VIDEO), 5);
	assert_int_equal(mapcache_placeholder_end(bed.cache, VIDEO, BED_PAGE), -EBUSY);
	assert_int_equal(mapcache_placeholder_end(bed.cache, VIDEO + 1, LEN), -EINVAL);
	assert_int_equal(mapcache_placeholder_end(bed.cache, VIDEO, UINT64_MAX & ~(BED_PAGE - 1)),
			 -ERANGE);
	assert_int_equal(mapcache_placeholder_end(bed.cache, VIDEO, LEN), 0);
	assert_int_equal(bed_error(bed.other, VIDEO, 8, PROT_READ), EFAULT);
	assert_int_equal(*pointer, 5);
	assert_int_equal(mapcache_placeholder_end(bed.cache, VIDEO, LEN), 0);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	assert_int_equal(bed_read(bed.other, VIDEO), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

static void replace_swaps_a_placeholder_for_the_guests_memory_in_place(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	pointer = pin_own(&bed, VIDEO, LEN);
	*pointer = 1;
	assert_int_equal(mapcache_replace(bed.cache, VIDEO, TARGET, LEN), 1);
	assert_int_equal(*pointer, bed_value(512));
	assert_int_equal(*bed_at(pointer, LEN - BED_PAGE), bed_value(512 + LEN / BED_PAGE - 1));
	*bed_at(pointer, BED_BUCKET) = 42;
	assert_int_equal(bed_guest(&bed, TARGET + BED_BUCKET), 42);
	assert_int_equal(bed_read(bed.other, TARGET + BED_BUCKET), 42);
	assert_int_equal(mapcache_gpa(bed.cache, (char *)(uintptr_t)pointer + BED_BUCKET + 3, &gpa),
			 0);
	assert_int_equal(gpa, TARGET + BED_BUCKET + 3);
	/* The placeholder is gone. */
	assert_int_equal(bed_error(bed.client, VIDEO, 8, PROT_READ), EFAULT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

static void a_pinned_area_inside_one_bucket_can_be_relocated(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = pin_own(&bed, 5 * BED_PAGE, 2 * BED_PAGE);
	assert_int_equal(*pointer, bed_value(5));
	assert_int_equal(
		mapcache_replace(bed.cache, 4 * BED_PAGE, TARGET + 4 * BED_PAGE, 8 * BED_PAGE), 1);
	assert_int_equal(*pointer, bed_value(517));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

static void a_replacement_that_cannot_be_mapped_changes_nothing(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	pointer = pin_own(&bed, VIDEO, LEN);
	*bed_at(pointer, BED_BUCKET) = 8;
	bed_remove(&bed, 769);
	assert_int_equal(mapcache_replace(bed.cache, VIDEO, TARGET, LEN), -EFAULT);
	assert_int_equal(*bed_at(pointer, BED_BUCKET), 8);
	assert_int_equal(bed_read(bed.other, VIDEO + BED_BUCKET), 8);
	assert_int_equal(mapcache_gpa(bed.cache, (void *)pointer, &gpa), 0);
	assert_int_equal(gpa, VIDEO);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* The trial passes, the second call in place fails: all is as it was. */
static void a_replacement_that_fails_half_way_is_undone(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = pin_own(&bed, 0, LEN);
	xensim_fail(XENSIM_CALL_MAP, 4, ENOMEM);
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, LEN), -ENOMEM);
	assert_int_equal(*pointer, bed_value(0));
	assert_int_equal(*bed_at(pointer, BED_BUCKET), bed_value(256));
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, LEN), 1);
	assert_int_equal(*bed_at(pointer, BED_BUCKET), bed_value(768));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* The trial passes; then the guest's memory is gone, the old as well as the new. */
static int remove_both(struct spy *spy, const struct spy_call *call)
{
	struct bed *bed = spy->data;

	if (bed && call->map && spy->maps == 2 + 2 + 1) {
		spy->data = NULL;
		bed_remove(bed, 256);
		bed_remove(bed, 768);
	}
	return 0;
}

static void what_cannot_be_undone_is_memory_all_the_same(void **state)
{
	struct spy spy = { .before = remove_both };
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .backend = &spy_backend,
							  .backend_data = &spy,
							  .bucket_shift = RIG_BUCKET_SHIFT,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	pointer = pin_own(&bed, 0, LEN);
	spy.data = &bed;
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, LEN), -EFAULT);
	assert_null(spy.data);
	for (uint64_t at = 0; at < LEN; at += BED_PAGE) {
		assert_int_equal(*bed_at(pointer, at), 0);
		*bed_at(pointer, at) = at;
	}
	assert_int_equal(mapcache_gpa(bed.cache, (void *)pointer, &gpa), 0);
	assert_int_equal(gpa, 0);
	/* It is the pin's alone, and gone with it. */
	assert_int_equal(bed_read(bed.other, BED_PAGE), bed_value(1));
	assert_int_equal(bed_error(bed.other, 256 * BED_PAGE, 8, PROT_READ), EFAULT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, LEN), 0);
	bed_stop(&bed);
}

/* As it is promised: every range lies in one bucket. */
static int translate(void *data, uint64_t address, uint64_t len, uint64_t *gpa)
{
	(void)data;
	*gpa = address;
	return address >> 16 == (address + len - 1) >> 16 ? 0 : -ENXIO;
}

/* What is at another offset in its bucket is other parts of other buckets. */
static void replace_works_at_any_page_offset(void **state)
{
	struct rig_options options = { .cache = { .bucket_shift = 16,
						  .granule_shift = 12,
						  .translate = translate,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD } };
	uint64_t old = (5 << 16) + 3 * BED_PAGE, len = (2 << 16) + BED_PAGE, gpa;
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	pointer = pin_own(&bed, old, len);
	/* There and back, and from one odd place to another. */
	for (uint64_t page = 0; page < 40; page++) {
		uint64_t new = (40 << 16) + page * 7 % 40 * BED_PAGE;

		assert_int_equal(mapcache_replace(bed.cache, old, new, len), 1);
		for (uint64_t offset = 0; offset < len; offset += BED_PAGE) {
			assert_int_equal(*bed_at(pointer, offset),
					 bed_value((new + offset) / BED_PAGE));
			assert_int_equal(mapcache_gpa(bed.cache,
						      (char *)(uintptr_t)pointer + offset + 7,
						      &gpa),
					 0);
			assert_int_equal(gpa, new + offset + 7);
		}
		old = new;
	}
	/* To where a slot's first byte would be before the first frame. */
	assert_int_equal(mapcache_replace(bed.cache, old, 0, len), 1);
	assert_int_equal(*bed_at(pointer, len - BED_PAGE), bed_value(len / BED_PAGE - 1));
	assert_int_equal(mapcache_gpa(bed.cache, (void *)(uintptr_t)pointer, &gpa), 0);
	assert_int_equal(gpa, 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* All of it stays at the same place while the guest's address moves by less than its length. */
static void replace_works_for_overlapping_ranges(void **state)
{
	static const int64_t distances[] = { 1, -1, 17, -300, 256, -256 };
	uint64_t old = 300 * BED_PAGE;
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = pin_own(&bed, old, LEN);
	for (unsigned int i = 0; i < sizeof(distances) / sizeof(*distances); i++) {
		uint64_t new = old + (uint64_t)distances[i] * BED_PAGE;

		assert_int_equal(mapcache_replace(bed.cache, old, new, LEN), 1);
		for (uint64_t offset = 0; offset < LEN; offset += BED_PAGE)
			assert_int_equal(*bed_at(pointer, offset),
					 bed_value((new + offset) / BED_PAGE));
		old = new;
	}
	bed_reclaim(&bed);
	assert_int_equal(bed_stats(&bed).stale_bytes, 0);
	assert_int_equal(bed_stats(&bed).pinned_stale_bytes, 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* The guest's memory is behind a part of where the placeholder was. */
static void a_placeholder_does_not_show_in_what_takes_its_place(void **state)
{
	uint64_t new = VIDEO + 64 * BED_PAGE;
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	pointer = pin_own(&bed, VIDEO, LEN);
	*bed_at(pointer, 64 * BED_PAGE) = 3;
	assert_int_equal(bed_read(bed.other, new), 3);
	/* The first attempt finds a page missing, and all is as it was. */
	for (uint64_t gfn = new / BED_PAGE; gfn < (new + LEN) / BED_PAGE - 1; gfn++)
		bed_populate(&bed, gfn, gfn);
	assert_int_equal(mapcache_replace(bed.cache, VIDEO, new, LEN), -EFAULT);
	assert_int_equal(*bed_at(pointer, 64 * BED_PAGE), 3);
	assert_int_equal(bed_read(bed.other, new), 3);
	bed_populate(&bed, (new + LEN) / BED_PAGE - 1, 0);
	assert_int_equal(mapcache_replace(bed.cache, VIDEO, new, LEN), 1);
	for (uint64_t offset = 0; offset < LEN - BED_PAGE; offset += BED_PAGE)
		assert_int_equal(*bed_at(pointer, offset), (new + offset) / BED_PAGE);
	assert_int_equal(bed_read(bed.other, new), new / BED_PAGE);
	assert_int_equal(bed_error(bed.client, VIDEO, 8, PROT_READ), EFAULT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* The trial passes, a call in place fails, back at another offset: all is as it was. */
static void a_replacement_at_another_offset_is_undone(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	pointer = pin_own(&bed, VIDEO, LEN);
	*bed_at(pointer, BED_BUCKET) = 9;
	/* Two for the trial, the third of four in place. */
	xensim_fail(XENSIM_CALL_MAP, 5, ENOMEM);
	assert_int_equal(mapcache_replace(bed.cache, VIDEO, TARGET + 16 * BED_PAGE, LEN), -ENOMEM);
	assert_int_equal(*bed_at(pointer, BED_BUCKET), 9);
	assert_int_equal(bed_read(bed.other, VIDEO + BED_BUCKET), 9);
	assert_int_equal(mapcache_gpa(bed.cache, (void *)(uintptr_t)pointer, &gpa), 0);
	assert_int_equal(gpa, VIDEO);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

/* The one that lies in the range, however many others there are. */
static void replace_relocates_its_pins_among_hundreds(void **state)
{
	enum { PINS = 300 };
	volatile uint64_t *pins[PINS];
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 16,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (unsigned int i = 0; i < PINS; i++)
		pins[i] = pin_own(&bed, i * BED_PAGE, BED_PAGE);
	for (unsigned int i = 0; i < PINS; i += 23)
		assert_int_equal(mapcache_replace(bed.cache, i * BED_PAGE, (700 + i) * BED_PAGE,
						  BED_PAGE),
				 1);
	for (unsigned int i = 0; i < PINS; i++) {
		uint64_t gfn = i % 23 ? i : 700 + i;

		assert_int_equal(*pins[i], bed_value(gfn));
		assert_int_equal(mapcache_gpa(bed.cache, (void *)(uintptr_t)pins[i], &gpa), 0);
		assert_int_equal(gpa, gfn * BED_PAGE);
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pins[i], 0), 0);
	}
	bed_stop(&bed);
}

static void C_other_pins_are_not_relocated(void **state)
{
	volatile uint64_t *bucket;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bucket = bed_pin(bed.client, 0);
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, BED_BUCKET), 0);
	assert_int_equal(*bucket, bed_value(0));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)bucket, 0), 0);
	bed_stop(&bed);
}

static void bad_requests_to_replace_or_hold_a_place_are_refused(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_placeholder(NULL, 0, BED_PAGE), -EINVAL);
	assert_int_equal(mapcache_placeholder(bed.cache, 1, BED_PAGE), -EINVAL);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, 0), -EINVAL);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, UINT64_MAX & ~(BED_PAGE - 1)),
			 -ERANGE);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO, LEN), 0);
	assert_int_equal(mapcache_placeholder(bed.cache, VIDEO + BED_PAGE, LEN), -EEXIST);
	assert_int_equal(mapcache_replace(NULL, 0, TARGET, BED_PAGE), -EINVAL);
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, 5), -EINVAL);
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET + 5, BED_PAGE), -EINVAL);
	assert_int_equal(mapcache_replace(bed.cache, 0, UINT64_C(1) << 60, BED_PAGE), -ERANGE);
	assert_int_equal(mapcache_replace(bed.cache, VIDEO, 0, BED_PAGE), -EBUSY);
	pointer = pin_own(&bed, 0, 4 * BED_PAGE);
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, 2 * BED_PAGE), -EBUSY);
	mapcache_begin(bed.client);
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, 4 * BED_PAGE), -EDEADLK);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

#define ROUNDS 200

/* Maps and unmaps memory of its own, and looks whether it is still its own. */
static int map_rounds(struct peer *peer, void *data)
{
	uint32_t *stop = data;
	int wrong = 0;

	(void)peer;
	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
		uint64_t *mine =
			mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mine == MAP_FAILED)
			continue;
		mine[0] = 1;
		mine[LEN / 8 - 1] = 2;
		wrong += mine[0] != 1 || mine[LEN / 8 - 1] != 2;
		munmap(mine, LEN);
	}
	return wrong;
}

static void a_replacement_never_lets_another_threads_mmap_in_between(void **state)
{
	volatile uint64_t *pointer;
	uint32_t stop = 0;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	pointer = pin_own(&bed, 0, LEN);
	peer_open(&peer, bed.cache);
	peer_start(&peer, map_rounds, &stop);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t from = i % 2 ? TARGET : 0, to = i % 2 ? 0 : TARGET;

		assert_int_equal(mapcache_replace(bed.cache, from, to, LEN), 1);
		for (uint64_t offset = 0; offset < LEN; offset += 8 * BED_PAGE)
			assert_int_equal(*bed_at(pointer, offset),
					 bed_value((to + offset) / BED_PAGE));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	assert_int_equal(peer_wait(&peer), 0);
	peer_close(&peer);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

static void replace_again(void *data, bool end, uint64_t gfn, size_t pages)
{
	(void)end, (void)gfn, (void)pages;
	xensim_set_map_hook(NULL, NULL);
	assert_int_equal(mapcache_replace(data, 0, 3 * BED_BUCKET, LEN), -EBUSY);
}

/* Nor does it wait for the other one, which may be its own caller. */
static void what_is_being_relocated_is_busy(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = pin_own(&bed, 0, LEN);
	xensim_set_map_hook(replace_again, bed.cache);
	assert_int_equal(mapcache_replace(bed.cache, 0, TARGET, LEN), 1);
	assert_int_equal(*pointer, bed_value(512));
	assert_int_equal(mapcache_replace(bed.cache, TARGET, 0, LEN), 1);
	assert_int_equal(*pointer, bed_value(0));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_placeholder_is_memory_where_the_guest_has_none),
		cmocka_unit_test(a_placeholder_may_be_larger_than_4_gib),
		cmocka_unit_test(a_placeholder_that_is_over_is_seen_by_its_pins_only),
		cmocka_unit_test(replace_swaps_a_placeholder_for_the_guests_memory_in_place),
		cmocka_unit_test(a_pinned_area_inside_one_bucket_can_be_relocated),
		cmocka_unit_test(a_replacement_that_cannot_be_mapped_changes_nothing),
		cmocka_unit_test(a_replacement_that_fails_half_way_is_undone),
		cmocka_unit_test(what_cannot_be_undone_is_memory_all_the_same),
		cmocka_unit_test(replace_works_at_any_page_offset),
		cmocka_unit_test(replace_works_for_overlapping_ranges),
		cmocka_unit_test(a_placeholder_does_not_show_in_what_takes_its_place),
		cmocka_unit_test(a_replacement_at_another_offset_is_undone),
		cmocka_unit_test(replace_relocates_its_pins_among_hundreds),
		cmocka_unit_test(C_other_pins_are_not_relocated),
		cmocka_unit_test(bad_requests_to_replace_or_hold_a_place_are_refused),
		cmocka_unit_test(what_is_being_relocated_is_busy),
		cmocka_unit_test(a_replacement_never_lets_another_threads_mmap_in_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
