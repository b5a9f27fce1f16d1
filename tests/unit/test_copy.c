/* SPDX-License-Identifier: MIT */
/* mapcache_read() and mapcache_write(): like pread(2) and pwrite(2), across buckets and holes. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define SIZE (4 * BED_BUCKET) /* all of the guest */

static unsigned char pattern(uint64_t gpa, unsigned int salt)
{
	return (unsigned char)(gpa * 31 + gpa / 4096 + salt);
}

static void whole_guest_is_written_and_read_back(void **state)
{
	unsigned char *out = malloc(SIZE), *in = calloc(1, SIZE);
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	for (uint64_t i = 0; i < SIZE; i++)
		out[i] = pattern(i, 0);
	assert_int_equal(mapcache_write(bed.client, 0, out, SIZE), SIZE);
	assert_int_equal(xensim_guest_read(bed.domain, 0, in, SIZE), 0);
	assert_memory_equal(in, out, SIZE);
	memset(in, 0, SIZE);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_read(bed.other, 0, in, SIZE), SIZE);
	assert_memory_equal(in, out, SIZE);
	free(out);
	free(in);
	bed_stop(&bed);
}

static void any_offset_and_length_copies_those_bytes_only(void **state)
{
	static const uint64_t starts[] = { 0, 1, 4095, BED_BUCKET - 1, BED_BUCKET - 70000, 65535 };
	static const size_t lengths[] = { 1, 2, 4096, 65535, 65536, 65537, 140000, BED_BUCKET + 2 };
	unsigned char *buffer = malloc(SIZE), *guest = malloc(SIZE);
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < 48; i++) {
		uint64_t gpa = BED_BUCKET + starts[i / 8];
		size_t len = lengths[i % 8];

		memset(guest, 0xee, SIZE);
		assert_int_equal(xensim_guest_write(bed.domain, 0, guest, SIZE), 0);
		for (size_t j = 0; j < len; j++)
			buffer[j] = guest[gpa + j] = pattern(gpa + j, i);
		assert_int_equal(mapcache_write(bed.client, gpa, buffer, len), len);
		memset(buffer, 0, len + 1);
		assert_int_equal(mapcache_read(bed.client, gpa, buffer, len), len);
		assert_memory_equal(buffer, guest + gpa, len);
		assert_int_equal(buffer[len], 0);
		assert_int_equal(xensim_guest_read(bed.domain, gpa - 1, buffer, len + 2), 0);
		assert_memory_equal(buffer, guest + gpa - 1, len + 2);
		if (i % 3 == 0)
			mapcache_invalidate(bed.cache);
	}
	free(buffer);
	free(guest);
	bed_stop(&bed);
}

static void a_copy_ends_at_a_hole_and_says_how_far_it_came(void **state)
{
	static const uint64_t holes[] = { 0, 1, 15, 16, 17, 100, 255, 256, 300 };
	char *buffer = malloc(SIZE);
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < sizeof(holes) / sizeof(*holes); i++) {
		uint64_t end = holes[i] * BED_PAGE;
		uint64_t gpa = end > 5 * BED_PAGE ? end - 5 * BED_PAGE + 7 : 0;

		bed_remove(&bed, holes[i]);
		mapcache_invalidate(bed.cache);
		for (unsigned int again = 0; again < 2; again++) {
			ssize_t expected = end > gpa ? (ssize_t)(end - gpa) : -EFAULT;

			assert_int_equal(mapcache_read(bed.client, gpa, buffer, 400000), expected);
			assert_int_equal(mapcache_write(bed.client, gpa, buffer, 400000), expected);
		}
		assert_int_equal(mapcache_read(bed.client, end, buffer, 8), -EFAULT);
		assert_int_equal(mapcache_read(bed.client, end + 4095, buffer, 8), -EFAULT);
		bed_populate(&bed, holes[i], 1);
		assert_int_equal(mapcache_read(bed.client, gpa, buffer, 400000), 400000);
	}
	/* The end of the guest is one, too. */
	assert_int_equal(mapcache_read(bed.client, SIZE - 10, buffer, 20), 10);
	assert_int_equal(mapcache_read(bed.client, SIZE, buffer, 20), -EFAULT);
	free(buffer);
	bed_stop(&bed);
}

static void a_write_ends_at_memory_that_can_only_be_read(void **state)
{
	char *buffer = calloc(1, SIZE);
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_true(xensim_p2m_set_type(bed.domain, 10, 2, XENSIM_DENIED) >= 0);
	assert_int_equal(mapcache_write(bed.client, 0, buffer, 100000), 10 * BED_PAGE);
	assert_int_equal(mapcache_write(bed.client, 10 * BED_PAGE, buffer, 8), -EACCES);
	assert_int_equal(mapcache_write(bed.client, 11 * BED_PAGE + 5, buffer, 8000), -EACCES);
	assert_int_equal(mapcache_read(bed.client, 0, buffer, 100000), 100000);
	assert_int_equal(mapcache_write(bed.client, 12 * BED_PAGE, buffer, 100000), 100000);
	free(buffer);
	bed_stop(&bed);
}

static void a_copy_ends_at_the_limit_of_the_guest_space(void **state)
{
	char buffer[64];
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache.guest_limit = 2 * BED_BUCKET });
	assert_int_equal(mapcache_read(bed.client, 2 * BED_BUCKET - 10, buffer, 64), 10);
	assert_int_equal(mapcache_write(bed.client, 2 * BED_BUCKET - 10, buffer, 64), 10);
	assert_int_equal(mapcache_read(bed.client, 2 * BED_BUCKET, buffer, 64), -ERANGE);
	assert_int_equal(mapcache_read(bed.client, UINT64_MAX - 5, buffer, 64), -ERANGE);
	assert_int_equal(mapcache_write(bed.client, UINT64_MAX, buffer, 2), -ERANGE);
	bed_stop(&bed);
}

static void wrong_arguments_are_refused(void **state)
{
	char buffer[8];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_read(NULL, 0, buffer, 8), -EINVAL);
	assert_int_equal(mapcache_read(bed.client, 0, NULL, 8), -EINVAL);
	assert_int_equal(mapcache_read(bed.client, 0, buffer, 0), -EINVAL);
	assert_int_equal(mapcache_read(bed.client, 0, buffer, (size_t)SSIZE_MAX + 1), -EINVAL);
	assert_int_equal(mapcache_write(NULL, 0, buffer, 8), -EINVAL);
	assert_int_equal(mapcache_write(bed.client, 0, NULL, 8), -EINVAL);
	assert_int_equal(mapcache_write(bed.client, 0, buffer, 0), -EINVAL);
	bed_stop(&bed);
}

static void copies_work_inside_of_sections_too_and_leave_them_open(void **state)
{
	char buffer[10000];
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, 0, PROT_READ);
	assert_int_equal(mapcache_read(bed.client, BED_BUCKET - 5000, buffer, 10000), 10000);
	assert_int_equal(mapcache_write(bed.client, BED_BUCKET - 5000, buffer, 10000), 10000);
	bed_exchange(&bed, 0, 1);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(*pointer, bed_value(0));
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_end(bed.client), -EINVAL);
	bed_stop(&bed);
}

/* Outside of sections a copy waits a while for room that others' sections hold. */
static int end_soon(struct peer *peer, void *data)
{
	struct timespec soon = { .tv_nsec = 3000000 };

	(void)data;
	nanosleep(&soon, NULL);
	return mapcache_end(peer->client);
}

static int fill_all_room(struct peer *peer, void *data)
{
	(void)data;
	mapcache_begin(peer->client);
	for (uint64_t bucket = 0; bucket < 16; bucket++)
		(void)!mapcache_ptr(peer->client, bucket << 16, 8, PROT_READ);
	return 0;
}

static void a_copy_outside_of_sections_waits_for_room(void **state)
{
	struct bed bed;
	struct peer peer;
	uint64_t value;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 16,
							  .max_bytes = 4 << 16,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	peer_open(&peer, bed.cache);
	for (unsigned int i = 0; i < 10; i++) {
		volatile uint64_t *pin;

		assert_int_equal(peer_run(&peer, fill_all_room, NULL), 0);
		/* The client's own slot is taken, too. */
		pin = bed_pin(bed.client, 20 << 16);
		peer_start(&peer, end_soon, NULL);
		assert_int_equal(mapcache_read(bed.client, 30 << 16, &value, 8), 8);
		assert_int_equal(value, bed_value(30 * 16));
		assert_int_equal(peer_wait(&peer), 0);
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), 0);
	}
	peer_close(&peer);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_guest_is_written_and_read_back),
		cmocka_unit_test(any_offset_and_length_copies_those_bytes_only),
		cmocka_unit_test(a_copy_ends_at_a_hole_and_says_how_far_it_came),
		cmocka_unit_test(a_write_ends_at_memory_that_can_only_be_read),
		cmocka_unit_test(a_copy_ends_at_the_limit_of_the_guest_space),
		cmocka_unit_test(wrong_arguments_are_refused),
		cmocka_unit_test(copies_work_inside_of_sections_too_and_leave_them_open),
		cmocka_unit_test(a_copy_outside_of_sections_waits_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
