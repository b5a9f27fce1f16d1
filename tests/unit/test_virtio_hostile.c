/* SPDX-License-Identifier: MIT */
/* What a hostile driver can write into descriptors: refused, and cured by a reset. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "virtio_rig.h"

/* ---- chains ------------------------------------------------------------------------------- */

static void loop_in_a_chain_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 2, STATUS, 1, WRITE | NEXT, 1);
	assert_stops(&rig, -EPROTO);
}

static void descriptor_that_follows_itself_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT, 0);
	assert_stops(&rig, -EPROTO);
}

static void next_past_the_table_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	/* What lies there would make a good request. */
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT, QUEUE_SIZE);
	put_descriptor(&rig, 0, QUEUE_SIZE, DATA, 512, NEXT | WRITE, 2);
	assert_stops(&rig, -EPROTO);
}

static void chain_longer_than_the_queue_stops_the_device(void **state)
{
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	for (i = 0; i < QUEUE_SIZE; i++)
		put_descriptor(&rig, 0, i, HEADER, 16, NEXT, (i + 1) % QUEUE_SIZE);
	assert_stops(&rig, -EPROTO);
}

static void chain_longer_than_a_request_can_be_stops_the_device(void **state)
{
	struct virtio_rig_options options = { .queue_size = 256 };
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start(&rig, &options);
	put_header(&rig, VIRTIO_BLK_T_IN, 0);
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT, 1);
	for (i = 1; i < VIRTQUEUE_SEGMENTS_MAX; i++)
		put_descriptor(&rig, 0, i, DATA, 512, NEXT | WRITE, i + 1);
	put_descriptor(&rig, 0, i, STATUS, 1, WRITE, 0);
	assert_stops(&rig, -EPROTO);
}

static void empty_descriptor_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 1, DATA, 0, NEXT | WRITE, 2);
	assert_stops(&rig, -EPROTO);
}

static void address_that_overflows_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 1, UINT64_MAX - 510, 512, NEXT | WRITE, 2);
	assert_stops(&rig, -EPROTO);
}

static void readable_after_writable_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT | WRITE, 1);
	put_descriptor(&rig, 0, 1, DATA, 512, NEXT, 2);
	assert_stops(&rig, -EPROTO);
}

static void chain_without_a_place_for_the_status_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 1, DATA, 512, 0, 0);
	assert_stops(&rig, -EPROTO);
}

static void status_without_memory_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 2, BEYOND, 1, WRITE, 0);
	assert_stops(&rig, -EFAULT);
}

/* ---- indirect tables ---------------------------------------------------------------------- */

static void put_table(struct virtio_rig *rig, const struct vring_desc *table, uint32_t count,
		      uint32_t len, uint32_t flags)
{
	ram_write(rig, TABLE, table, count * sizeof(*table));
	put_descriptor(rig, 0, 0, TABLE, len, INDIRECT | flags, 1);
}

static const struct vring_desc good_table[3] = {
	{ HEADER, 16, NEXT, 1 },
	{ DATA, 512, NEXT | WRITE, 2 },
	{ STATUS, 1, WRITE, 0 },
};

static void indirect_table_serves_when_it_is_good(void **state)
{
	struct virtio_rig rig;
	uint8_t status;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_table(&rig, good_table, 3, sizeof(good_table), 0);
	offer(&rig, 0, 0);
	assert_int_equal(serve(&rig, 0), 1);
	ram_read(&rig, STATUS, &status, 1);
	assert_int_equal(status, VIRTIO_BLK_S_OK);
	virtio_rig_stop(&rig);
}

static void indirect_table_not_negotiated_stops_the_device(void **state)
{
	struct virtio_rig_options options = {
		.refused = UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC,
	};
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, &options);
	put_good_chain(&rig);
	put_table(&rig, good_table, 3, sizeof(good_table), 0);
	assert_stops(&rig, -EPROTO);
}

static void indirect_table_of_odd_or_huge_length_stops_the_device(void **state)
{
	const uint32_t lengths[] = {
		0, 15, 17, 49, 16 * (VIRTQUEUE_SEGMENTS_MAX + 1), UINT32_MAX, UINT32_MAX & ~15u
	};
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		virtio_rig_start_spoilable(&rig);
		put_table(&rig, good_table, 3, lengths[i], 0);
		assert_stops(&rig, -EPROTO);
	}
}

static void indirect_table_that_goes_on_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_table(&rig, good_table, 3, sizeof(good_table), NEXT);
	assert_stops(&rig, -EPROTO);
}

static void indirect_table_inside_another_stops_the_device(void **state)
{
	struct vring_desc table[3];
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	memcpy(table, good_table, sizeof(table));
	table[0].flags |= INDIRECT;
	put_table(&rig, table, 3, sizeof(table), 0);
	assert_stops(&rig, -EPROTO);
}

static void indirect_table_after_other_descriptors_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	ram_write(&rig, TABLE, good_table, sizeof(good_table));
	put_descriptor(&rig, 0, 1, TABLE, sizeof(good_table), INDIRECT, 0);
	assert_stops(&rig, -EPROTO);
}

static void indirect_loop_or_next_past_the_table_stops_the_device(void **state)
{
	struct vring_desc table[3];
	struct virtio_rig rig;
	const uint16_t next[] = { 1, 3, UINT16_MAX };
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		virtio_rig_start_spoilable(&rig);
		memcpy(table, good_table, sizeof(table));
		table[2].flags |= NEXT;
		table[2].next = next[i];
		put_table(&rig, table, 3, sizeof(table), 0);
		assert_stops(&rig, -EPROTO);
	}
}

static void indirect_table_without_memory_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 0, BEYOND, 48, INDIRECT, 0);
	assert_stops(&rig, -EFAULT);
	virtio_rig_start_spoilable(&rig);
	put_descriptor(&rig, 0, 0, UINT64_MAX - 8, 48, INDIRECT, 0);
	assert_stops(&rig, -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loop_in_a_chain_stops_the_device),
		cmocka_unit_test(descriptor_that_follows_itself_stops_the_device),
		cmocka_unit_test(next_past_the_table_stops_the_device),
		cmocka_unit_test(chain_longer_than_the_queue_stops_the_device),
		cmocka_unit_test(chain_longer_than_a_request_can_be_stops_the_device),
		cmocka_unit_test(empty_descriptor_stops_the_device),
		cmocka_unit_test(address_that_overflows_stops_the_device),
		cmocka_unit_test(readable_after_writable_stops_the_device),
		cmocka_unit_test(chain_without_a_place_for_the_status_stops_the_device),
		cmocka_unit_test(status_without_memory_stops_the_device),
		cmocka_unit_test(indirect_table_serves_when_it_is_good),
		cmocka_unit_test(indirect_table_not_negotiated_stops_the_device),
		cmocka_unit_test(indirect_table_of_odd_or_huge_length_stops_the_device),
		cmocka_unit_test(indirect_table_that_goes_on_stops_the_device),
		cmocka_unit_test(indirect_table_inside_another_stops_the_device),
		cmocka_unit_test(indirect_table_after_other_descriptors_stops_the_device),
		cmocka_unit_test(indirect_loop_or_next_past_the_table_stops_the_device),
		cmocka_unit_test(indirect_table_without_memory_stops_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
