/* SPDX-License-Identifier: MIT */
/* Caches whose backend cannot map at an address: the guarantees are the same. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <bench/random.h>
#include <tests/support/bed.h>
#include <tests/support/spy.h>

#define QUIET ((struct mapcache_options){ .flags = MAPCACHE_NO_RECLAIM_THREAD })

/* ---- look-ups ----------------------------------------------------------------------------------- */

/* The spy is asked for no place, one bucket a call, and to give back what one call mapped. */
static int only_whole_buckets(struct spy *spy, const struct spy_call *call)
{
	size_t *pages = spy->data;

	assert_true(call->map ? call->address == NULL : call->address != NULL && !call->keep);
	assert_int_equal(call->pages, *pages);
	return 0;
}

static void a_bucket_is_one_map_call_wherever_the_backend_likes(void **state)
{
	static const uint32_t shifts[] = { 0, 12, 16, 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(shifts) / sizeof(*shifts); i++) {
		size_t pages = shifts[i] ? (size_t)1 << (shifts[i] - 12) : 1;
		struct spy spy = { .before = only_whole_buckets, .data = &pages };
		struct bed bed;

		bed_start_anywhere(&bed, &spy,
				   (struct mapcache_options){ .bucket_shift = shifts[i] });
		for (int round = 0; round < 3; round++) {
			for (uint64_t gfn = 0; gfn < 1024; gfn += 7)
				assert_int_equal(bed_read(bed.client, gfn * BED_PAGE),
						 bed_value(gfn));
			mapcache_invalidate(bed.cache);
		}
		bed_write(bed.client, 9 * BED_PAGE + 8, 77);
		assert_int_equal(bed_guest(&bed, 9 * BED_PAGE + 8), 77);
		assert_int_equal(bed_error(bed.client, 5000 * BED_PAGE, 8, PROT_READ), EFAULT);
		bed_stop(&bed);
	}
}

/* 2^26 slots of a page: their bookkeeping alone is more than a 32-bit process has. */
static void a_budget_whose_bookkeeping_does_not_fit_is_refused(void **state)
{
	struct spy spy = { .before = NULL };
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = 12,
					    .max_bytes = UINT64_C(1) << 38,
					    .backend = &spy_backend_anywhere,
					    .backend_data = &spy };
	struct mapcache *cache;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	options.domid = bed.rig.domid;
	if (sizeof(void *) < 8) {
		assert_int_equal(mapcache_open(&options, &cache), -ENOMEM);
	} else {
		assert_int_equal(mapcache_open(&options, &cache), 0);
		assert_int_equal(mapcache_close(cache), 0);
	}
	bed_stop(&bed);
}

static void a_hit_maps_nothing_and_an_invalidation_makes_the_next_look_up_fresh(void **state)
{
	struct spy spy = { .before = NULL };
	struct bed bed;
	uint64_t maps;

	(void)state;
	bed_start_anywhere(&bed, &spy, QUIET);
	assert_int_equal(bed_read(bed.client, 3 * BED_PAGE), bed_value(3));
	maps = spy.maps;
	for (int i = 0; i < 100; i++)
		assert_int_equal(bed_read(bed.client, 3 * BED_PAGE), bed_value(3));
	assert_int_equal(spy.maps, maps);
	bed_exchange(&bed, 3, 4711);
	assert_int_equal(bed_read(bed.client, 3 * BED_PAGE), bed_value(3));
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, 3 * BED_PAGE), 4711);
	assert_int_equal(spy.maps, maps + 1);
	bed_stop(&bed);
}

/* ---- pins --------------------------------------------------------------------------------------- */

static void a_stale_pin_serves_its_pinner_only(void **state)
{
	struct spy spy = { .before = NULL };
	volatile uint64_t *pin;
	struct bed bed;
	uint64_t gpa;

	(void)state;
	bed_start_anywhere(&bed, &spy, QUIET);
	pin = bed_pin(bed.client, 5 * BED_PAGE);
	bed_exchange(&bed, 5, 4711);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, 5 * BED_PAGE), 4711);
	(void)bed_reclaim(&bed);
	assert_int_equal(*pin, bed_value(5));
	assert_int_equal(mapcache_gpa(bed.cache, (char *)(uintptr_t)pin + 123, &gpa), 0);
	assert_int_equal(gpa, 5 * BED_PAGE + 123);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0), -EINVAL);
	(void)bed_reclaim(&bed);
	assert_int_equal(mapcache_gpa(bed.cache, (void *)(uintptr_t)pin, &gpa), -ENOENT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0), -EINVAL);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)(uintptr_t)pin, 0), -EINVAL);
	bed_stop(&bed);
}

static void a_contiguous_pin_is_one_call_and_coherent_with_the_buckets(void **state)
{
	const uint64_t first = 106 * BED_PAGE + 40; /* crosses a bucket of any size here */
	struct spy spy = { .before = NULL };
	size_t len = 9 * BED_PAGE;
	struct bed bed;
	uint64_t gpa;
	char *pin;

	(void)state;
	for (uint32_t shift = 12; shift <= 16; shift += 2) {
		bed_start_anywhere(&bed, &spy,
				   (struct mapcache_options){ .flags = MAPCACHE_NO_RECLAIM_THREAD,
							      .bucket_shift = shift });
		spy.maps = 0;
		pin = mapcache_pin(bed.client, first, &len, PROT_READ | PROT_WRITE,
				   MAPCACHE_PIN_CONTIGUOUS);
		assert_non_null(pin);
		assert_int_equal(spy.maps, 1);
		for (uint64_t i = 1; i < 9; i++)
			assert_int_equal(*(uint64_t *)(pin + i * BED_PAGE - 40),
					 bed_value(106 + i));
		for (size_t offset = 0; offset < len; offset += 77) {
			assert_int_equal(mapcache_gpa(bed.cache, pin + offset, &gpa), 0);
			assert_int_equal(gpa, first + offset);
		}
		*(uint64_t *)(pin + 4 * BED_PAGE) = 99;
		assert_int_equal(bed_read(bed.client, first + 4 * BED_PAGE), 99);
		/* Each by a pointer into another slot. */
		for (uint64_t i = 1; i < (shift == 12 ? 9 : 1); i++) {
			size_t part = BED_PAGE;
			char *again = mapcache_pin(bed.client, first + i * BED_PAGE - BED_PAGE / 2,
						   &part, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);

			assert_ptr_equal(again, pin + i * BED_PAGE - BED_PAGE / 2);
			assert_int_equal(mapcache_unpin(bed.cache, again + BED_PAGE / 2, 0), 0);
		}
		assert_int_equal(spy.maps, 2);
		assert_int_equal(mapcache_client_unpin(bed.client, pin, 0), 0);
		bed_stop(&bed);
	}
}

/* ---- room --------------------------------------------------------------------------------------- */

static void room_is_made_by_unmapping_and_pins_stay(void **state)
{
	struct spy spy = { .before = NULL };
	volatile uint64_t *pin;
	struct bed bed;

	(void)state;
	bed_start_anywhere(&bed, &spy,
			   (struct mapcache_options){ .flags = MAPCACHE_NO_RECLAIM_THREAD,
						      .max_bytes = 64 * BED_PAGE });
	pin = bed_pin(bed.client, 1000 * BED_PAGE);
	for (uint64_t i = 0; i < 3000; i++)
		assert_int_equal(bed_read(bed.client, i * 37 % 1000 * BED_PAGE),
				 bed_value(i * 37 % 1000));
	assert_true(bed_totals().foreign_mappings <= 64);
	assert_int_equal(*pin, bed_value(1000));
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)(uintptr_t)pin, 0), 0);
	bed_stop(&bed);
}

static int every_third_unmap_fails(struct spy *spy, const struct spy_call *call)
{
	uint64_t *count = spy->data;

	return !call->map && ++*count % 3 == 0 ? -ENOMEM : 0;
}

/* Slots and addresses are used again and again, in any order. */
static void pointers_are_found_whatever_was_unmapped_before(void **state)
{
	struct spy spy = { .before = NULL };
	struct mapcache_options options = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
					    .bucket_shift = 16 };
	volatile uint64_t *pins[16];
	struct bed bed;

	(void)state;
	bed_start_anywhere(&bed, &spy, options);
	for (uint64_t round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < 16; i++)
			pins[i] = bed_pin(bed.client, (i ^ round % 16) << 16);
		for (uint64_t page = 0; page < 16 * 16; page++) {
			const volatile void *pointer =
				(const volatile char *)pins[page / 16] + page % 16 * BED_PAGE;
			uint64_t gpa;

			assert_int_equal(mapcache_gpa(bed.cache, (void *)(uintptr_t)pointer, &gpa),
					 0);
			assert_int_equal(gpa,
					 ((page / 16 ^ round % 16) << 16) + page % 16 * BED_PAGE);
		}
		for (uint64_t i = 0; i < 16; i++)
			assert_int_equal(mapcache_client_unpin(bed.client,
							       (void *)(uintptr_t)pins[i], 0),
					 0);
		assert_int_equal(mapcache_unmap(bed.cache, 0, 16 << 16, 1000), 0);
	}
	bed_stop(&bed);
}

static void what_cannot_be_unmapped_is_tried_again(void **state)
{
	uint64_t count = 0;
	struct spy spy = { .before = every_third_unmap_fails, .data = &count };
	struct bed bed;

	(void)state;
	bed_start_anywhere(&bed, &spy,
			   (struct mapcache_options){ .flags = MAPCACHE_NO_RECLAIM_THREAD,
						      .max_bytes = 64 * BED_PAGE });
	for (uint64_t i = 0; i < 2000; i++) {
		assert_int_equal(bed_read(bed.client, i * 37 % 1000 * BED_PAGE),
				 bed_value(i * 37 % 1000));
		if (i % 11 == 0)
			mapcache_invalidate(bed.cache);
	}
	assert_true(count > 100);
	for (int i = 0; i < 20; i++)
		(void)bed_reclaim(&bed);
	spy.before = NULL;
	bed_stop(&bed);
}

/* ---- what needs an address, and what may only be read ------------------------------------------- */

static void what_needs_an_address_is_refused(void **state)
{
	struct spy spy = { .before = NULL };
	struct bed bed;

	(void)state;
	bed_start_anywhere(&bed, &spy, QUIET);
	assert_int_equal(mapcache_placeholder(bed.cache, 0, BED_PAGE), -EOPNOTSUPP);
	assert_int_equal(mapcache_replace(bed.cache, 0, BED_PAGE, BED_PAGE), -EOPNOTSUPP);
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	bed_stop(&bed);
}

static int only_for_reading(struct spy *spy, const struct spy_call *call)
{
	(void)spy;
	assert_true(!call->map || call->prot == PROT_READ);
	return 0;
}

static void a_read_only_backend_is_never_asked_for_more(void **state)
{
	struct spy spy = { .before = only_for_reading };
	struct mapcache_backend backend = spy_backend_anywhere;
	size_t len = 3 * BED_PAGE;
	struct bed bed;

	(void)state;
	for (int fixed = 0; fixed < 2; fixed++) {
		backend.flags = MAPCACHE_BACKEND_READ_ONLY | (fixed ? MAPCACHE_BACKEND_FIXED : 0);
		bed_start(&bed, &(struct rig_options){
					.cache = { .backend = &backend, .backend_data = &spy } });
		for (uint64_t gfn = 0; gfn < 100; gfn++) {
			assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
			if (gfn % 10 == 0)
				mapcache_invalidate(bed.cache);
			assert_int_equal(bed_error(bed.client, gfn * BED_PAGE, 8,
						   PROT_READ | PROT_WRITE),
					 EACCES);
		}
		assert_null(
			mapcache_pin(bed.client, 0, &len, PROT_WRITE, MAPCACHE_PIN_OWN_MAPPING));
		assert_int_equal(errno, EACCES);
		assert_int_equal(bed_stats(&bed).map_errors, 0);
		bed_stop(&bed);
	}
}

/* ---- many threads ------------------------------------------------------------------------------- */

#define THREADS 4
#define STEPS 20000

struct walker {
	struct mapcache *cache;
	uint64_t seed, wrong;
};

static bool walk_pin(struct walker *walker, struct mapcache_client *client, uint64_t gfn,
		     bool contiguous)
{
	size_t len = contiguous ? 3 * BED_PAGE : 8;
	uint64_t gpa = 0, value;
	char *pin = mapcache_pin(client, gfn * BED_PAGE, &len, PROT_READ | PROT_WRITE,
				 contiguous ? MAPCACHE_PIN_CONTIGUOUS : 0);

	if (!pin)
		return errno == EAGAIN || errno == ENOMEM;
	value = *(volatile uint64_t *)(pin + len / BED_PAGE / 2 * BED_PAGE);
	if (mapcache_gpa(walker->cache, pin + len - 1, &gpa) || gpa != gfn * BED_PAGE + len - 1)
		return false;
	if (mapcache_client_unpin(client, pin, 0))
		return false;
	return value == bed_value(gfn + len / BED_PAGE / 2);
}

static bool walk_read(struct mapcache_client *client, uint64_t gfn)
{
	uint64_t value = 0;
	ssize_t got = mapcache_read(client, gfn * BED_PAGE, &value, sizeof(value));

	return got == -EAGAIN || got == -ENOMEM || (got == 8 && value == bed_value(gfn));
}

static void *walk(void *data)
{
	struct walker *walker = data;
	struct mapcache_client *client;

	if (mapcache_client_open(walker->cache, &client)) {
		walker->wrong++;
		return NULL;
	}
	for (int i = 0; i < STEPS; i++) {
		uint64_t dice = random_next(&walker->seed), gfn = (dice >> 8) % 1000;

		if (dice % 64 == 0)
			mapcache_invalidate(walker->cache);
		else if (dice % 64 == 1)
			(void)!mapcache_unmap(walker->cache, gfn * BED_PAGE, BED_PAGE, 0);
		else if (dice % 4 == 1)
			walker->wrong += !walk_pin(walker, client, gfn, dice % 8 == 5);
		else
			walker->wrong += !walk_read(client, gfn);
	}
	walker->wrong += mapcache_client_close(client) != 0;
	return NULL;
}

static void threads_share_a_cache_whose_backend_chooses_where(void **state)
{
	struct spy spy = { .before = NULL };
	struct walker walker[THREADS];
	pthread_t thread[THREADS];
	struct bed bed;

	(void)state;
	print_message("seed 1..%d\n", THREADS);
	bed_start_anywhere(&bed, &spy,
			   (struct mapcache_options){ .max_bytes = 256 * BED_PAGE,
						      .reclaim_ms = 1 });
	for (uint64_t i = 0; i < THREADS; i++) {
		walker[i] = (struct walker){ .cache = bed.cache, .seed = i + 1 };
		assert_int_equal(pthread_create(&thread[i], NULL, walk, &walker[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(walker[i].wrong, 0);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_budget_whose_bookkeeping_does_not_fit_is_refused),
		cmocka_unit_test(a_bucket_is_one_map_call_wherever_the_backend_likes),
		cmocka_unit_test(
			a_hit_maps_nothing_and_an_invalidation_makes_the_next_look_up_fresh),
		cmocka_unit_test(a_stale_pin_serves_its_pinner_only),
		cmocka_unit_test(a_contiguous_pin_is_one_call_and_coherent_with_the_buckets),
		cmocka_unit_test(room_is_made_by_unmapping_and_pins_stay),
		cmocka_unit_test(pointers_are_found_whatever_was_unmapped_before),
		cmocka_unit_test(what_cannot_be_unmapped_is_tried_again),
		cmocka_unit_test(what_needs_an_address_is_refused),
		cmocka_unit_test(a_read_only_backend_is_never_asked_for_more),
		cmocka_unit_test(threads_share_a_cache_whose_backend_chooses_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
