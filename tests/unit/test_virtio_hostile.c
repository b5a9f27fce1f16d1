/* SPDX-License-Identifier: MIT */
/* What a hostile driver can write into a ring: refused, bounded, and cured by a reset. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "virtio_rig.h"

#define IN VIRTIO_BLK_T_IN

/* A read of one sector whose descriptors the test may then spoil. */
static void put_good_chain(struct virtio_rig *rig)
{
	put_header(rig, IN, 0);
	put_descriptor(rig, 0, 0, HEADER, 16, NEXT, 1);
	put_descriptor(rig, 0, 1, DATA, 512, NEXT | WRITE, 2);
	put_descriptor(rig, 0, 2, STATUS, 1, WRITE, 0);
}

static void start(struct virtio_rig *rig)
{
	virtio_rig_start(rig, NULL);
	put_good_chain(rig);
}

/* Offer descriptor 0, see that the device stops, that a reset cures it, and end. */
static void stops_the_device(struct virtio_rig *rig, int error)
{
	uint8_t status;

	offer(rig, 0, 0);
	assert_int_equal(serve(rig, 0), 0);
	assert_int_equal(used_index(rig, 0), 0);
	assert_int_equal(rig->blk.device.error, error);
	ram_read(rig, STATUS, &status, 1);
	assert_int_equal(status, NO_STATUS);
	assert_needs_reset(rig);
	assert_works_after_reset(rig);
	virtio_rig_stop(rig);
}

/* ---- chains ------------------------------------------------------------------------------- */

static void loop_in_a_chain_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 2, STATUS, 1, WRITE | NEXT, 1);
	stops_the_device(&rig, -EPROTO);
}

static void descriptor_that_follows_itself_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT, 0);
	stops_the_device(&rig, -EPROTO);
}

static void next_past_the_table_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT, QUEUE_SIZE);
	stops_the_device(&rig, -EPROTO);
}

static void chain_longer_than_the_queue_stops_the_device(void **state)
{
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	start(&rig);
	for (i = 0; i < QUEUE_SIZE; i++)
		put_descriptor(&rig, 0, i, HEADER, 16, NEXT, (i + 1) % QUEUE_SIZE);
	stops_the_device(&rig, -EPROTO);
}

static void empty_descriptor_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 1, DATA, 0, NEXT | WRITE, 2);
	stops_the_device(&rig, -EPROTO);
}

static void address_that_overflows_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 1, UINT64_MAX - 510, 512, NEXT | WRITE, 2);
	stops_the_device(&rig, -EPROTO);
}

static void readable_after_writable_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 0, HEADER, 16, NEXT | WRITE, 1);
	put_descriptor(&rig, 0, 1, DATA, 512, NEXT, 2);
	stops_the_device(&rig, -EPROTO);
}

static void chain_without_a_place_for_the_status_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 1, DATA, 512, 0, 0);
	stops_the_device(&rig, -EPROTO);
}

static void status_without_memory_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 2, BEYOND, 1, WRITE, 0);
	stops_the_device(&rig, -EFAULT);
}

/* ---- indirect tables ---------------------------------------------------------------------- */

static void put_table(struct virtio_rig *rig, const struct vring_desc *table, uint32_t count,
		      uint32_t len, uint32_t flags)
{
	ram_write(rig, TABLE, table, count * sizeof(*table));
	put_descriptor(rig, 0, 0, TABLE, len, INDIRECT | flags, 1);
}

static const struct vring_desc good_table[3] = {
	{ HEADER, 16, NEXT, 1 }, { DATA, 512, NEXT | WRITE, 2 }, { STATUS, 1, WRITE, 0 },
};

static void indirect_table_serves_when_it_is_good(void **state)
{
	struct virtio_rig rig;
	uint8_t status;

	(void)state;
	start(&rig);
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
	stops_the_device(&rig, -EPROTO);
}

static void indirect_table_of_odd_or_huge_length_stops_the_device(void **state)
{
	const uint32_t lengths[] = { 0, 15, 17, 47, 16 * (VIRTQUEUE_SEGMENTS_MAX + 1), UINT32_MAX,
				     UINT32_MAX & ~15u };
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		start(&rig);
		put_table(&rig, good_table, 3, lengths[i], 0);
		stops_the_device(&rig, -EPROTO);
	}
}

static void indirect_table_that_goes_on_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_table(&rig, good_table, 3, sizeof(good_table), NEXT);
	stops_the_device(&rig, -EPROTO);
}

static void indirect_table_inside_another_stops_the_device(void **state)
{
	const struct vring_desc table[1] = { { TABLE, 16, INDIRECT, 0 } };
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_table(&rig, table, 1, sizeof(table), 0);
	stops_the_device(&rig, -EPROTO);
}

static void indirect_table_after_other_descriptors_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	ram_write(&rig, TABLE, good_table, sizeof(good_table));
	put_descriptor(&rig, 0, 1, TABLE, sizeof(good_table), INDIRECT, 0);
	stops_the_device(&rig, -EPROTO);
}

static void indirect_loop_or_next_past_the_table_stops_the_device(void **state)
{
	struct vring_desc table[3];
	struct virtio_rig rig;
	uint16_t next;

	(void)state;
	for (next = 1; next <= 3; next += 2) {
		start(&rig);
		memcpy(table, good_table, sizeof(table));
		table[2].flags |= NEXT;
		table[2].next = next;
		put_table(&rig, table, 3, sizeof(table), 0);
		stops_the_device(&rig, -EPROTO);
	}
}

static void indirect_table_without_memory_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	put_descriptor(&rig, 0, 0, BEYOND, 48, INDIRECT, 0);
	stops_the_device(&rig, -EFAULT);
	start(&rig);
	put_descriptor(&rig, 0, 0, UINT64_MAX - 8, 48, INDIRECT, 0);
	stops_the_device(&rig, -ERANGE);
}

/* ---- rings -------------------------------------------------------------------------------- */

static void head_past_the_table_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	offer(&rig, 0, QUEUE_SIZE);
	assert_int_equal(serve(&rig, 0), 0);
	assert_needs_reset(&rig);
	assert_works_after_reset(&rig);
	virtio_rig_stop(&rig);
}

static void index_that_jumps_over_the_ring_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	rig.available[0] = QUEUE_SIZE;
	stops_the_device(&rig, -EPROTO);
}

static void part_of_the_ring_without_memory_stops_the_device(void **state)
{
	const uint64_t parts[] = { RING, RING + AVAILABLE, RING + USED };
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		start(&rig);
		offer(&rig, 0, 0);
		ram_hole(&rig, parts[i]);
		assert_int_equal(serve(&rig, 0), 0);
		assert_int_equal(rig.blk.device.error, -EFAULT);
		assert_true(reg_read(&rig, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(serve(&rig, 0), 0);
		ram_back(&rig, parts[i]);
		assert_works_after_reset(&rig);
		virtio_rig_stop(&rig);
	}
}

static void used_ring_in_read_only_memory_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	offer(&rig, 0, 0);
	assert_int_equal(xensim_p2m_set_type(rig.rig.domain, (RING + USED) >> 12, 1,
					     XENSIM_RAM_RO), 0);
	mapcache_invalidate(rig.rig.cache);
	assert_int_equal(serve(&rig, 0), 0);
	assert_int_equal(rig.blk.device.error, -EACCES);
	assert_int_equal(xensim_p2m_set_type(rig.rig.domain, (RING + USED) >> 12, 1, XENSIM_RAM),
			 0);
	mapcache_invalidate(rig.rig.cache);
	assert_works_after_reset(&rig);
	virtio_rig_stop(&rig);
}

static void ring_far_outside_of_memory_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	start(&rig);
	rig.blk.device.queue[0].ring.available = UINT64_MAX - 0xfff;
	assert_int_equal(serve(&rig, 0), 0);
	assert_int_equal(rig.blk.device.error, -ERANGE);
	assert_needs_reset(&rig);
	assert_works_after_reset(&rig);
	virtio_rig_stop(&rig);
}

/* ---- bounds ------------------------------------------------------------------------------- */

static void one_call_serves_at_most_the_ring(void **state)
{
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	start(&rig);
	for (i = 0; i < QUEUE_SIZE; i++)
		offer(&rig, 0, 0);
	assert_int_equal(serve(&rig, 0), QUEUE_SIZE);
	assert_int_equal(serve(&rig, 0), 0);
	virtio_rig_stop(&rig);
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *state >> 33;
}

/* Descriptors that are nearly right: mostly small numbers and addresses in RAM. */
static void put_random_ring(struct virtio_rig *rig, uint64_t *random)
{
	uint32_t i;

	for (i = 0; i < QUEUE_SIZE; i++) {
		uint64_t gpa = next_random(random) % (RAM_PAGES * 4096 + 4096);
		uint32_t len = (uint32_t)next_random(random) % 2048;

		if (next_random(random) % 8 == 0)
			gpa = next_random(random) << 33 | next_random(random);
		if (next_random(random) % 8 == 0)
			len = (uint32_t)next_random(random) << 1;
		if (next_random(random) % 4 == 0)
			gpa = HEADER;
		put_descriptor(rig, 0, i, gpa, len, (uint32_t)next_random(random) % 8,
			       (uint32_t)next_random(random) % (QUEUE_SIZE + 1));
	}
	put_header(rig, (uint32_t)next_random(random) % 16, next_random(random) % 5000);
	for (i = 0; i < QUEUE_SIZE; i++)
		offer(rig, 0, (uint32_t)next_random(random) % QUEUE_SIZE);
}

static void random_rings_are_survived(void **state)
{
	uint64_t random = 0x6d617063;
	struct virtio_rig rig;
	uint32_t round, served = 0;

	(void)state;
	print_message("seed %#llx\n", (unsigned long long)random);
	virtio_rig_start(&rig, NULL);
	for (round = 0; round < 3000; round++) {
		put_random_ring(&rig, &random);
		served += serve(&rig, 0);
		virtio_rig_negotiate(&rig, 0);
	}
	/* Some of it made sense: the test reaches more than the first check. */
	assert_true(served > 100);
	assert_works_after_reset(&rig);
	virtio_rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loop_in_a_chain_stops_the_device),
		cmocka_unit_test(descriptor_that_follows_itself_stops_the_device),
		cmocka_unit_test(next_past_the_table_stops_the_device),
		cmocka_unit_test(chain_longer_than_the_queue_stops_the_device),
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
		cmocka_unit_test(head_past_the_table_stops_the_device),
		cmocka_unit_test(index_that_jumps_over_the_ring_stops_the_device),
		cmocka_unit_test(part_of_the_ring_without_memory_stops_the_device),
		cmocka_unit_test(used_ring_in_read_only_memory_stops_the_device),
		cmocka_unit_test(ring_far_outside_of_memory_stops_the_device),
		cmocka_unit_test(one_call_serves_at_most_the_ring),
		cmocka_unit_test(random_rings_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
