/* SPDX-License-Identifier: MIT */
/* Well-formed chains with requests in them that the virtio block device must fail. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "virtio_rig.h"

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define OK VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR
#define SECTORS (DISK_BYTES / 512)

/* The device takes the chain that begins with descriptor 0 of queue 0, and says so. */
static uint8_t status_of_chain(struct virtio_rig *rig)
{
	uint8_t status;

	offer(rig, 0, 0);
	assert_int_equal(serve(rig, 0), 1);
	ram_read(rig, STATUS, &status, 1);
	return status;
}

static void transfers_past_the_end_fail(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(request(&rig, IN, SECTORS, DATA, 512, true), IOERR);
	assert_int_equal(request(&rig, IN, SECTORS - 1, DATA, 1024, true), IOERR);
	assert_int_equal(request(&rig, OUT, SECTORS, DATA, 512, false), IOERR);
	assert_int_equal(request(&rig, IN, UINT64_MAX, DATA, 512, true), IOERR);
	assert_int_equal(request(&rig, IN, UINT64_MAX / 512, DATA, 1024, true), IOERR);
	assert_int_equal(request(&rig, IN, SECTORS - 1, DATA, 512, true), OK);
	virtio_rig_stop(&rig);
}

static void odd_empty_and_misdirected_transfers_fail(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(request(&rig, IN, 0, DATA, 511, true), IOERR);
	assert_int_equal(request(&rig, OUT, 0, DATA, 513, false), IOERR);
	assert_int_equal(request(&rig, IN, 0, 0, 0, true), IOERR);
	assert_int_equal(request(&rig, OUT, 0, 0, 0, true), IOERR);
	assert_int_equal(request(&rig, IN, 0, DATA, 512, false), IOERR);
	assert_int_equal(request(&rig, OUT, 0, DATA, 512, true), IOERR);
	assert_int_equal(request(&rig, OUT, 0, DATA, UINT32_MAX & ~511u, false), IOERR);
	assert_int_equal(request(&rig, IN, 0, DATA, 512, true), OK);
	virtio_rig_stop(&rig);
}

/* A read must not carry data to the device, a write must not ask for any. */
static void transfers_both_ways_fail(void **state)
{
	const uint32_t types[] = { IN, OUT };
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start(&rig, NULL);
	for (i = 0; i < 2; i++) {
		put_header(&rig, types[i], 0);
		put_descriptor(&rig, 0, 0, HEADER, 16, NEXT, 1);
		put_descriptor(&rig, 0, 1, DATA, 512, NEXT, 2);
		put_descriptor(&rig, 0, 2, DATA, 512, NEXT | WRITE, 3);
		put_descriptor(&rig, 0, 3, STATUS, 1, WRITE, 0);
		assert_int_equal(status_of_chain(&rig), IOERR);
	}
	virtio_rig_stop(&rig);
}

/* Segments that together are as long as a request may be, and a sector more. */
static uint8_t long_request(struct virtio_rig *rig, uint32_t more)
{
	struct vring_desc table[BLK_SEGMENTS_MAX + 2];
	uint32_t i;

	put_header(rig, IN, 0);
	table[0] = (struct vring_desc){ HEADER, 16, NEXT, 1 };
	for (i = 1; i <= BLK_SEGMENTS_MAX; i++)
		table[i] = (struct vring_desc){ DATA, BLK_SEGMENT_BYTES, NEXT | WRITE,
						(uint16_t)(i + 1) };
	table[1].len += more;
	table[i] = (struct vring_desc){ STATUS, 1, WRITE, 0 };
	ram_write(rig, TABLE, table, sizeof(table));
	put_descriptor(rig, 0, 0, TABLE, sizeof(table), INDIRECT, 0);
	return status_of_chain(rig);
}

static void longest_request_works_and_a_longer_one_fails(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(long_request(&rig, 0), OK);
	assert_int_equal(long_request(&rig, 512), IOERR);
	virtio_rig_stop(&rig);
}

/* What was pinned for the first piece is let go: the end of the test sees it. */
static void hole_in_the_second_piece_leaves_nothing_pinned(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	put_header(&rig, IN, 0);
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT, 1);
	put_descriptor(&rig, 0, 1, DATA, 512, NEXT | WRITE, 2);
	put_descriptor(&rig, 0, 2, BEYOND, 512, NEXT | WRITE, 3);
	put_descriptor(&rig, 0, 3, STATUS, 1, WRITE, 0);
	assert_int_equal(status_of_chain(&rig), IOERR);
	virtio_rig_stop(&rig);
}

static void data_without_memory_fails_the_request_only(void **state)
{
	struct virtio_rig rig;
	uint64_t hole = DATA + 4096;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(request(&rig, IN, 0, BEYOND, 512, true), IOERR);
	assert_int_equal(request(&rig, IN, 0, UINT64_C(1) << 62, 512, true), IOERR);
	ram_hole(&rig, hole);
	assert_int_equal(request(&rig, IN, 0, DATA, 8192, true), IOERR);
	assert_int_equal(request(&rig, OUT, 0, DATA, 8192, false), IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_GET_ID, 0, hole, 20, true), IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_DISCARD, 0, hole, 16, false), IOERR);
	assert_int_equal(request(&rig, IN, 0, DATA, 4096, true), OK);
	ram_back(&rig, hole);
	assert_int_equal(request(&rig, IN, 0, DATA, 8192, true), OK);
	virtio_rig_stop(&rig);
}

static void read_only_memory_can_be_written_from_only(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(xensim_p2m_set_type(rig.rig.domain, DATA >> 12, 1, XENSIM_DENIED), 0);
	mapcache_invalidate(rig.rig.cache);
	assert_int_equal(request(&rig, IN, 0, DATA, 512, true), IOERR);
	assert_int_equal(request(&rig, OUT, 0, DATA, 512, false), OK);
	assert_int_equal(xensim_p2m_set_type(rig.rig.domain, DATA >> 12, 1, XENSIM_RAM), 0);
	virtio_rig_stop(&rig);
}

static void short_header_fails_the_request(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	put_header(&rig, IN, 0);
	put_descriptor(&rig, 0, 0, HEADER, 15, NEXT, 1);
	put_descriptor(&rig, 0, 1, STATUS, 1, WRITE, 0);
	assert_int_equal(status_of_chain(&rig), IOERR);
	virtio_rig_stop(&rig);
}

static void header_in_a_hole_fails_the_request(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	put_header(&rig, IN, 0);
	put_descriptor(&rig, 0, 0, BEYOND, 16, NEXT, 1);
	put_descriptor(&rig, 0, 1, DATA, 512, NEXT | WRITE, 2);
	put_descriptor(&rig, 0, 2, STATUS, 1, WRITE, 0);
	assert_int_equal(status_of_chain(&rig), IOERR);
	virtio_rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transfers_past_the_end_fail),
		cmocka_unit_test(odd_empty_and_misdirected_transfers_fail),
		cmocka_unit_test(transfers_both_ways_fail),
		cmocka_unit_test(longest_request_works_and_a_longer_one_fails),
		cmocka_unit_test(hole_in_the_second_piece_leaves_nothing_pinned),
		cmocka_unit_test(data_without_memory_fails_the_request_only),
		cmocka_unit_test(read_only_memory_can_be_written_from_only),
		cmocka_unit_test(short_header_fails_the_request),
		cmocka_unit_test(header_in_a_hole_fails_the_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
