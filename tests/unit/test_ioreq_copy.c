/* SPDX-License-Identifier: MIT */
/*
 * mapcache_ioreq_copy() against guest memory read and written item by item, without the cache.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tests/support/rig.h>

#define PAGES 64u
#define BYTES (PAGES * 4096u)

struct fixture {
	struct rig rig;
	struct mapcache_client *client;
};

static uint8_t pattern(uint64_t gpa)
{
	return (uint8_t)((gpa * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static void start(struct fixture *fixture, uint32_t bucket_shift)
{
	struct rig_options options = { .ram_pages = PAGES, .cache.bucket_shift = bucket_shift };
	uint8_t page[4096];

	rig_start(&fixture->rig, &options);
	assert_int_equal(mapcache_client_open(fixture->rig.cache, &fixture->client), 0);
	for (uint64_t gpa = 0; gpa < BYTES; gpa += sizeof(page)) {
		for (unsigned int i = 0; i < sizeof(page); i++)
			page[i] = pattern(gpa + i);
		assert_int_equal(xensim_guest_write(fixture->rig.domain, gpa, page, sizeof(page)),
				 0);
	}
}

static void stop(struct fixture *fixture)
{
	assert_int_equal(mapcache_client_close(fixture->client), 0);
	rig_stop(&fixture->rig);
}

static uint64_t item_gpa(const struct mapcache_request *request, uint32_t item)
{
	uint64_t distance = (uint64_t)item * request->size;

	return request->backwards ? request->data - distance : request->data + distance;
}

/* Every item that was moved is where it belongs; nothing behind them was touched. */
static void check_to_device(const struct mapcache_request *request, uint32_t first, uint32_t moved,
			    uint32_t count, const uint8_t *buffer)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t gpa = item_gpa(request, first + i);

		for (uint32_t byte = 0; byte < request->size; byte++)
			assert_int_equal(buffer[i * request->size + byte],
					 i < moved ? pattern(gpa + byte) : 0xee);
	}
}

static void to_device(struct fixture *fixture, struct mapcache_request request, uint32_t first,
		      uint32_t count)
{
	uint8_t *buffer = malloc((size_t)count * request.size);

	assert_non_null(buffer);
	memset(buffer, 0xee, (size_t)count * request.size);
	request.write = true;
	assert_int_equal(mapcache_ioreq_copy(fixture->client, &request, first, count, buffer),
			 count);
	check_to_device(&request, first, count, count, buffer);
	free(buffer);
}

static void from_device(struct fixture *fixture, struct mapcache_request request, uint32_t first,
			uint32_t count)
{
	size_t bytes = (size_t)count * request.size;
	uint8_t *buffer = malloc(bytes), memory[BYTES], expected[BYTES];

	assert_non_null(buffer);
	for (uint64_t gpa = 0; gpa < BYTES; gpa++)
		expected[gpa] = pattern(gpa);
	for (size_t i = 0; i < bytes; i++) {
		buffer[i] = (uint8_t)(rand() & 0xff);
		expected[item_gpa(&request, first + (uint32_t)(i / request.size)) +
			 i % request.size] = buffer[i];
	}
	request.write = false;
	assert_int_equal(mapcache_ioreq_copy(fixture->client, &request, first, count, buffer),
			 count);
	assert_int_equal(xensim_guest_read(fixture->rig.domain, 0, memory, BYTES), 0);
	assert_memory_equal(memory, expected, BYTES);
	for (uint64_t gpa = 0; gpa < BYTES; gpa++)
		memory[gpa] = pattern(gpa);
	assert_int_equal(xensim_guest_write(fixture->rig.domain, 0, memory, BYTES), 0);
	free(buffer);
}

/* Sizes, counts and places that cross pages and buckets, aligned and not, both ways. */
static void copy_everything(uint32_t bucket_shift)
{
	static const uint32_t sizes[] = { 1, 2, 4, 8 };
	static const uint32_t counts[] = { 1, 2, 63, 64, 65, 511, 513, 4000 };
	static const uint32_t offsets[] = { 0, 1, 3, 8, 4088, 4093, 4095 };
	struct fixture fixture;

	start(&fixture, bucket_shift);
	srand(1);
	for (unsigned int i = 0; i < 4 * 8 * 7 * 2; i++) {
		struct mapcache_request request = {
			.size = sizes[i % 4],
			.count = counts[i / 4 % 8],
			.data_is_ptr = true,
			.backwards = i / 4 / 8 / 7 != 0,
			.data = UINT64_C(0x1000) + offsets[i / 4 / 8 % 7],
		};
		uint32_t first = request.count / 3;

		if (request.backwards)
			request.data += UINT64_C(0x10000) + (uint64_t)request.count * request.size;
		to_device(&fixture, request, 0, request.count);
		to_device(&fixture, request, first, request.count - first);
		from_device(&fixture, request, 0, request.count);
		from_device(&fixture, request, first, 1);
	}
	stop(&fixture);
}

static void items_of_all_sizes_cross_pages_and_small_buckets(void **state)
{
	(void)state;
	copy_everything(12);
}

static void items_of_all_sizes_cross_pages_and_buckets_of_64_kib(void **state)
{
	(void)state;
	copy_everything(16);
}

static void items_of_all_sizes_cross_pages_in_one_bucket(void **state)
{
	(void)state;
	copy_everything(20);
}

/* ---- holes --------------------------------------------------------------------------------- */

static void make_hole(struct fixture *fixture, uint64_t gfn)
{
	assert_int_equal(xensim_outside_decrease(fixture->rig.domain, &gfn, 1), 1);
	mapcache_invalidate(fixture->rig.cache);
}

/* Items before the hole are moved, the count says so; from the hole itself it is an error. */
static void copy_into_hole(bool write, bool backwards, uint32_t size, uint32_t offset)
{
	struct mapcache_request request = {
		.size = size,
		.count = 3000,
		.data_is_ptr = true,
		.write = write,
		.backwards = backwards,
	};
	uint32_t reachable;
	struct fixture fixture;
	uint8_t *buffer = malloc((size_t)request.count * size);

	assert_non_null(buffer);
	start(&fixture, 12);
	make_hole(&fixture, 20);
	if (backwards) {
		request.data = 21 * 4096 + 1000 + offset;
		reachable = (1000 + offset) / size + 1;
	} else {
		request.data = 20 * 4096 - 1000 - offset;
		reachable = (1000 + offset) / size;
	}
	memset(buffer, 0xee, (size_t)request.count * size);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, request.count, buffer),
			 reachable);
	if (write)
		check_to_device(&request, 0, reachable, reachable, buffer);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, reachable,
					     request.count - reachable, buffer),
			 -EFAULT);
	free(buffer);
	stop(&fixture);
}

static void a_hole_ends_the_copy_at_the_item_before_it(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		copy_into_hole(i & 1, i >> 1, 8, 0);
		copy_into_hole(i & 1, i >> 1, 4, 0);
		copy_into_hole(i & 1, i >> 1, 1, 7);
		/* An item lies half in the hole. */
		copy_into_hole(i & 1, i >> 1, 8, 3);
		copy_into_hole(i & 1, i >> 1, 2, 1);
	}
}

static void memory_behind_a_hole_is_not_written(void **state)
{
	struct mapcache_request request = { .size = 8,
					    .count = 2000,
					    .data_is_ptr = true,
					    .backwards = true,
					    .data = 21 * 4096 + 64 };
	static uint64_t buffer[2000];
	uint8_t page[4096];
	struct fixture fixture;

	(void)state;
	start(&fixture, 16);
	make_hole(&fixture, 20);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 2000, buffer), 9);
	assert_int_equal(xensim_guest_read(fixture.rig.domain, 19 * 4096, page, 4096), 0);
	for (unsigned int i = 0; i < 4096; i++)
		assert_int_equal(page[i], pattern(19 * 4096 + i));
	stop(&fixture);
}

static void items_behind_one_that_cannot_be_reached_are_not_written(void **state)
{
	/* The first item lies half in the hole; the others, below it, could be written. */
	struct mapcache_request request = { .size = 8,
					    .count = 100,
					    .data_is_ptr = true,
					    .backwards = true,
					    .data = 20 * 4096 - 4 };
	uint64_t buffer[100] = { 0 };
	uint8_t page[4096];
	struct fixture fixture;

	(void)state;
	start(&fixture, 16);
	make_hole(&fixture, 20);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 100, buffer), -EFAULT);
	assert_int_equal(xensim_guest_read(fixture.rig.domain, 19 * 4096, page, 4096), 0);
	for (unsigned int i = 0; i < 4092; i++)
		assert_int_equal(page[i], pattern(19 * 4096 + i));
	stop(&fixture);
}

/* ---- what is refused --------------------------------------------------------------------------- */

static void wrong_arguments_are_refused(void **state)
{
	const struct mapcache_request good = {
		.size = 4, .count = 10, .data_is_ptr = true, .data = 0x1000, .write = true
	};
	struct mapcache_request request = good;
	uint8_t buffer[64];
	struct fixture fixture;

	(void)state;
	start(&fixture, 20);
	assert_int_equal(mapcache_ioreq_copy(NULL, &request, 0, 1, buffer), -EINVAL);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, NULL, 0, 1, buffer), -EINVAL);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 1, NULL), -EINVAL);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 11, buffer), -EINVAL);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 11, 0, buffer), -EINVAL);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 9, UINT32_MAX, buffer),
			 -EINVAL);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, UINT32_MAX, 9, buffer),
			 -EINVAL);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 10, 0, buffer), 0);
	request.data_is_ptr = false;
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 1, buffer), -EINVAL);
	request = good;
	request.size = 3;
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 1, buffer), -EINVAL);
	request = good;
	request.data = UINT64_MAX - 8;
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 1, buffer), -EINVAL);
	request.data = 8;
	request.backwards = true;
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 1, buffer), -EINVAL);
	request.count = 3;
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, 0, 3, buffer), 3);
	stop(&fixture);
}

static void addresses_past_the_guests_limit_are_an_error(void **state)
{
	struct mapcache_request request = { .size = 8,
					    .count = UINT32_MAX,
					    .data_is_ptr = true,
					    .data = UINT64_C(1) << 62,
					    .write = true };
	uint64_t buffer[8];
	struct fixture fixture;

	(void)state;
	start(&fixture, 20);
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, UINT32_MAX - 8, 8, buffer),
			 -ERANGE);
	request.backwards = true;
	assert_int_equal(mapcache_ioreq_copy(fixture.client, &request, UINT32_MAX - 8, 8, buffer),
			 -ERANGE);
	stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_of_all_sizes_cross_pages_and_small_buckets),
		cmocka_unit_test(items_of_all_sizes_cross_pages_and_buckets_of_64_kib),
		cmocka_unit_test(items_of_all_sizes_cross_pages_in_one_bucket),
		cmocka_unit_test(a_hole_ends_the_copy_at_the_item_before_it),
		cmocka_unit_test(memory_behind_a_hole_is_not_written),
		cmocka_unit_test(items_behind_one_that_cannot_be_reached_are_not_written),
		cmocka_unit_test(wrong_arguments_are_refused),
		cmocka_unit_test(addresses_past_the_guests_limit_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
