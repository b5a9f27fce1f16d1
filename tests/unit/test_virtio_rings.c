/* SPDX-License-Identifier: MIT */
/* Rings that point nowhere, that lie, or that hold anything: refused, bounded, and cured by a
 * reset. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <bench/random.h>

#include "virtio_rig.h"

static void head_past_the_table_stops_the_device(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start_spoilable(&rig);
	/* What lies there would make a good request. */
	put_descriptor(&rig, 0, QUEUE_SIZE, HEADER, 16, NEXT, 1);
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
	virtio_rig_start_spoilable(&rig);
	rig.available[0] = QUEUE_SIZE;
	assert_stops(&rig, -EPROTO);
}

static void part_of_the_ring_without_memory_stops_the_device(void **state)
{
	const uint64_t parts[] = { RING, RING + AVAILABLE, RING + USED };
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		virtio_rig_start_spoilable(&rig);
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
	virtio_rig_start_spoilable(&rig);
	offer(&rig, 0, 0);
	assert_int_equal(xensim_p2m_set_type(rig.rig.domain, (RING + USED) >> 12, 1, XENSIM_DENIED),
			 0);
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
	virtio_rig_start_spoilable(&rig);
	rig.blk.device.queue[0].ring.available = UINT64_MAX - 0xfff;
	assert_int_equal(serve(&rig, 0), 0);
	assert_int_equal(rig.blk.device.error, -ERANGE);
	assert_needs_reset(&rig);
	assert_works_after_reset(&rig);
	virtio_rig_stop(&rig);
}

/* ---- bounds ------------------------------------------------------------------------------- */

/*
 * A ring that refills itself: each request reads a sector over the available ring, whose
 * index says that there is one more. It goes on only as far as there are sectors for it.
 */
static void put_refilling_ring(struct virtio_rig *rig)
{
	uint32_t head, i;

	for (head = 0; head < QUEUE_SIZE; head++) {
		struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = head };
		uint64_t own = DATA + head * 512;
		struct vring_desc table[3] = {
			{ own, sizeof(header), NEXT, 1 },
			{ RING + AVAILABLE, 512, NEXT | WRITE, 2 },
			{ STATUS, 1, WRITE, 0 },
		};
		uint16_t ring[256] = { 0, (uint16_t)(head + 2) };

		for (i = 0; i < QUEUE_SIZE; i++)
			ring[2 + i] = (uint16_t)i;
		image_write(rig, head * 512, ring, sizeof(ring));
		ram_write(rig, own, &header, sizeof(header));
		ram_write(rig, own + 64, table, sizeof(table));
		put_descriptor(rig, 0, head, own + 64, sizeof(table), INDIRECT, 0);
	}
}

static void one_call_serves_at_most_as_many_as_the_ring_has(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	put_refilling_ring(&rig);
	offer(&rig, 0, 0);
	assert_int_equal(serve(&rig, 0), QUEUE_SIZE);
	assert_int_equal(rig.blk.device.error, 0);
	assert_int_equal(serve(&rig, 0), 1);
	assert_int_equal(rig.blk.device.error, -EPROTO);
	virtio_rig_stop(&rig);
}

/* Descriptors that are nearly right: mostly small numbers and addresses in RAM. */
static void put_random_ring(struct virtio_rig *rig, uint64_t *random)
{
	uint32_t i;

	for (i = 0; i < QUEUE_SIZE; i++) {
		uint64_t gpa = random_next(random) % (RAM_PAGES * 4096 + 4096);
		uint32_t len = (uint32_t)random_next(random) % 2048;

		if (random_next(random) % 8 == 0)
			gpa = random_next(random) << 33 | random_next(random);
		if (random_next(random) % 8 == 0)
			len = (uint32_t)random_next(random) << 1;
		if (random_next(random) % 4 == 0)
			gpa = HEADER;
		put_descriptor(rig, 0, i, gpa, len, (uint32_t)random_next(random) % 8,
			       (uint32_t)random_next(random) % (QUEUE_SIZE + 1));
	}
	put_header(rig, (uint32_t)random_next(random) % 16, random_next(random) % 5000);
	for (i = 0; i < QUEUE_SIZE; i++)
		offer(rig, 0, (uint32_t)random_next(random) % QUEUE_SIZE);
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
		cmocka_unit_test(head_past_the_table_stops_the_device),
		cmocka_unit_test(index_that_jumps_over_the_ring_stops_the_device),
		cmocka_unit_test(part_of_the_ring_without_memory_stops_the_device),
		cmocka_unit_test(used_ring_in_read_only_memory_stops_the_device),
		cmocka_unit_test(ring_far_outside_of_memory_stops_the_device),
		cmocka_unit_test(one_call_serves_at_most_as_many_as_the_ring_has),
		cmocka_unit_test(random_rings_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
