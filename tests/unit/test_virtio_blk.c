/* SPDX-License-Identifier: MIT */
/* Every request type of the virtio block device, well-formed and refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "virtio_rig.h"

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define OK VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP
#define SECTORS (DISK_BYTES / 512)

static void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24);
	}
}

/* ---- reading and writing ------------------------------------------------------------------ */

static void read_gives_what_the_image_holds(void **state)
{
	uint8_t disk[8192], found[8192];
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	fill(disk, sizeof(disk), 1);
	image_write(&rig, 3 * 512, disk, sizeof(disk));
	assert_int_equal(request(&rig, IN, 3, DATA + 100, sizeof(disk), true), OK);
	ram_read(&rig, DATA + 100, found, sizeof(found));
	assert_memory_equal(found, disk, sizeof(disk));
	assert_int_equal(used_element(&rig, 0, 0).len, sizeof(disk) + 1);
	assert_int_equal(used_element(&rig, 0, 0).id, 0);
	virtio_rig_stop(&rig);
}

static void write_reaches_the_image(void **state)
{
	uint8_t data[4096], found[4096];
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	fill(data, sizeof(data), 2);
	ram_write(&rig, DATA, data, sizeof(data));
	assert_int_equal(request(&rig, OUT, SECTORS - 8, DATA, sizeof(data), false), OK);
	image_read(&rig, DISK_BYTES - sizeof(data), found, sizeof(found));
	assert_memory_equal(found, data, sizeof(data));
	assert_int_equal(used_element(&rig, 0, 0).len, 1);
	virtio_rig_stop(&rig);
}

/* Header and status share descriptors with data or are cut anywhere; pages are buckets. */
static void framing_is_the_drivers_choice(void **state)
{
	struct virtio_rig_options options = { .bucket_shift = 12 };
	uint8_t disk[1024], found[1024], status;
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, &options);
	fill(disk, sizeof(disk), 3);
	image_write(&rig, 512, disk, sizeof(disk));
	put_header(&rig, IN, 1);
	put_descriptor(&rig, 0, 0, HEADER, 5, NEXT, 7);
	put_descriptor(&rig, 0, 7, HEADER + 5, 11, NEXT, 3);
	put_descriptor(&rig, 0, 3, DATA + 4096 - 300, 301, NEXT | WRITE, 4);
	put_descriptor(&rig, 0, 4, DATA + 3 * 4096 - 1, 1024 - 301 + 1, WRITE, 0);
	offer(&rig, 0, 0);
	assert_int_equal(serve(&rig, 0), 1);
	ram_read(&rig, DATA + 4096 - 300, found, 301);
	ram_read(&rig, DATA + 3 * 4096 - 1, found + 301, 1024 - 301);
	assert_memory_equal(found, disk, sizeof(disk));
	ram_read(&rig, DATA + 3 * 4096 - 1 + 1024 - 301, &status, 1);
	assert_int_equal(status, OK);
	virtio_rig_stop(&rig);
}

static void one_request_takes_more_pins_than_fit_at_once(void **state)
{
	struct virtio_rig_options options = { .bucket_shift = 12 };
	static uint8_t disk[2 << 20], found[2 << 20];
	const uint32_t len = 32768, segments = 64;
	struct vring_desc table[66];
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start(&rig, &options);
	fill(disk, sizeof(disk), 4);
	image_write(&rig, 0, disk, sizeof(disk));
	put_header(&rig, IN, 0);
	table[0] = (struct vring_desc){ HEADER, 16, NEXT, 1 };
	/* Each over 9 buckets; all to one place, so that the last one stays. */
	for (i = 1; i <= segments; i++)
		table[i] = (struct vring_desc){ DATA + 2048, len, NEXT | WRITE, (uint16_t)(i + 1) };
	table[i] = (struct vring_desc){ STATUS, 1, WRITE, 0 };
	ram_write(&rig, TABLE, table, sizeof(table));
	put_descriptor(&rig, 0, 0, TABLE, sizeof(table), INDIRECT, 0);
	offer(&rig, 0, 0);
	assert_int_equal(serve(&rig, 0), 1);
	ram_read(&rig, STATUS, found, 1);
	assert_int_equal(found[0], OK);
	ram_read(&rig, DATA + 2048, found, len);
	assert_memory_equal(found, disk + (segments - 1) * len, len);
	assert_int_equal(used_element(&rig, 0, 0).len, segments * len + 1);
	/* The same number of bytes in one descriptor, both ways. */
	assert_int_equal(request(&rig, IN, 0, DATA + 1, sizeof(disk), true), OK);
	ram_read(&rig, DATA + 1, found, sizeof(found));
	assert_memory_equal(found, disk, sizeof(disk));
	assert_int_equal(request(&rig, OUT, 0, DATA, sizeof(disk), false), OK);
	image_read(&rig, 1, found, sizeof(found) - 1);
	assert_memory_equal(found, disk, sizeof(disk) - 1);
	virtio_rig_stop(&rig);
}

static void queues_are_served_by_themselves(void **state)
{
	struct virtio_rig_options options = { .queues = 4 };
	struct virtio_rig rig;
	uint32_t queue;

	(void)state;
	virtio_rig_start(&rig, &options);
	assert_int_equal(rig.blk.config.num_queues, 4);
	for (queue = 0; queue < 4; queue++) {
		put_header(&rig, IN, queue);
		put_descriptor(&rig, queue, 0, HEADER, 16, NEXT, 1);
		put_descriptor(&rig, queue, 1, DATA, 512, NEXT | WRITE, 2);
		put_descriptor(&rig, queue, 2, STATUS, 1, WRITE, 0);
		offer(&rig, queue, 0);
		reg_write(&rig, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
		assert_int_equal(rig.last_queue, queue);
		assert_int_equal(serve(&rig, (queue + 1) % 4), 0);
		assert_int_equal(serve(&rig, queue), 1);
		assert_int_equal(used_index(&rig, queue), 1);
	}
	assert_int_equal(rig.notified, 4);
	virtio_rig_stop(&rig);
}

static void indices_wrap_around(void **state)
{
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start(&rig, NULL);
	for (i = 0; i < 66000; i++)
		assert_int_equal(request(&rig, IN, i % SECTORS, DATA, 512, true), OK);
	assert_int_equal(used_index(&rig, 0), 66000 - 65536);
	virtio_rig_stop(&rig);
}

/* ---- other requests ----------------------------------------------------------------------- */

static void flush_succeeds_and_takes_no_data(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, 0, false), OK);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_FLUSH, 0, DATA, 512, false), IOERR);
	virtio_rig_stop(&rig);
}

static void identity_is_given_whole_or_not_at_all(void **state)
{
	struct virtio_rig rig;
	char found[21] = "";

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_GET_ID, 0, DATA, 20, true), OK);
	ram_read(&rig, DATA, found, 20);
	assert_string_equal(found, "a serial of 20 bytes");
	assert_int_equal(used_element(&rig, 0, 0).len, 21);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_GET_ID, 0, DATA, 19, true), IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_GET_ID, 0, DATA, 20, false), IOERR);
	virtio_rig_stop(&rig);
}

static uint8_t zero_request(struct virtio_rig *rig, uint32_t type, uint64_t sector,
			    uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, sectors, flags };

	ram_write(rig, DATA, &range, sizeof(range));
	return request(rig, type, 0, DATA, sizeof(range), false);
}

static void assert_zeroes_in_between(struct virtio_rig *rig, uint32_t type, uint32_t flags)
{
	uint8_t disk[6 * 512], found[6 * 512];

	fill(disk, sizeof(disk), 5);
	image_write(rig, 0, disk, sizeof(disk));
	assert_int_equal(zero_request(rig, type, 1, 4, flags), OK);
	memset(disk + 512, 0, 4 * 512);
	image_read(rig, 0, found, sizeof(found));
	assert_memory_equal(found, disk, sizeof(disk));
}

static void discard_and_write_zeroes_leave_zeroes(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_true(rig.file.discards);
	assert_zeroes_in_between(&rig, VIRTIO_BLK_T_DISCARD, 0);
	assert_zeroes_in_between(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0);
	assert_zeroes_in_between(&rig, VIRTIO_BLK_T_WRITE_ZEROES,
				 VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	virtio_rig_stop(&rig);
}

static uint64_t image_blocks(const struct virtio_rig *rig)
{
	struct stat status;

	assert_int_equal(fstat(rig->image, &status), 0);
	return (uint64_t)status.st_blocks;
}

static void discarded_space_is_given_back(void **state)
{
	uint8_t page[4096] = { 1 };
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	image_write(&rig, 0, page, sizeof(page));
	assert_int_equal(image_blocks(&rig), 8);
	assert_int_equal(zero_request(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0), OK);
	assert_int_equal(image_blocks(&rig), 0);
	virtio_rig_stop(&rig);
}

static void bad_ranges_touch_nothing(void **state)
{
	struct virtio_blk_discard_write_zeroes range[BLK_RANGES_MAX + 1] = {
		{ 0, 1, 0 },
		{ SECTORS, 1, 0 },
	};
	const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	uint8_t sector[512], found[512];
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start(&rig, NULL);
	fill(sector, sizeof(sector), 6);
	image_write(&rig, 0, sector, sizeof(sector));
	for (i = 0; i < 2; i++) {
		assert_int_equal(zero_request(&rig, types[i], SECTORS, 1, 0), IOERR);
		assert_int_equal(zero_request(&rig, types[i], 0, SECTORS + 1, 0), IOERR);
		assert_int_equal(zero_request(&rig, types[i], UINT64_MAX, 2, 0), IOERR);
		assert_int_equal(zero_request(&rig, types[i], 0, 0, 0), IOERR);
		assert_int_equal(zero_request(&rig, types[i], 0, BLK_RANGE_SECTORS + 1, 0), IOERR);
		assert_int_equal(zero_request(&rig, types[i], 0, 1, 2), UNSUPP);
		/* The second one is bad, so the first one is not done. */
		ram_write(&rig, DATA, range, sizeof(range));
		assert_int_equal(request(&rig, types[i], 0, DATA, 32, false), IOERR);
		assert_int_equal(request(&rig, types[i], 0, DATA, 15, false), IOERR);
		assert_int_equal(request(&rig, types[i], 0, DATA, sizeof(range), false), IOERR);
		assert_int_equal(request(&rig, types[i], 0, 0, 0, false), IOERR);
		assert_int_equal(request(&rig, types[i], 0, DATA, 16, true), IOERR);
	}
	assert_int_equal(zero_request(&rig, VIRTIO_BLK_T_DISCARD, 0, 1,
				      VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 UNSUPP);
	image_read(&rig, 0, found, sizeof(found));
	assert_memory_equal(found, sector, sizeof(sector));
	virtio_rig_stop(&rig);
}

static void unknown_types_are_unsupported(void **state)
{
	const uint32_t types[] = { 2, 3, 5, 10, VIRTIO_BLK_T_SECURE_ERASE, 0x80000000, UINT32_MAX };
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start(&rig, NULL);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(request(&rig, types[i], 0, DATA, 512, true), UNSUPP);
	virtio_rig_stop(&rig);
}

static void read_only_disks_are_not_written(void **state)
{
	struct virtio_rig_options options = { .read_only = true };
	uint8_t data[512] = { 1 }, found[512];
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, &options);
	assert_true(rig.blk.device.features & (1u << VIRTIO_BLK_F_RO));
	assert_false(rig.blk.device.features & (1u << VIRTIO_BLK_F_DISCARD));
	ram_write(&rig, DATA, data, sizeof(data));
	assert_int_equal(request(&rig, OUT, 0, DATA, 512, false), IOERR);
	assert_int_equal(zero_request(&rig, VIRTIO_BLK_T_DISCARD, 0, 1, 0), IOERR);
	assert_int_equal(zero_request(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, 0, false), OK);
	assert_int_equal(request(&rig, IN, 0, DATA, 512, true), OK);
	image_read(&rig, 0, found, sizeof(found));
	assert_int_equal(found[0], 0);
	virtio_rig_stop(&rig);
}

/* ---- the cache behind it ------------------------------------------------------------------ */

static void dma_goes_to_the_new_page_after_an_invalidate(void **state)
{
	uint8_t disk[4096], found[4096];
	struct virtio_rig rig;
	int round;

	(void)state;
	virtio_rig_start(&rig, NULL);
	for (round = 0; round < 20; round++) {
		fill(disk, sizeof(disk), (uint32_t)round);
		ram_write(&rig, DATA, disk, sizeof(disk));
		assert_int_equal(request(&rig, OUT, 8, DATA, sizeof(disk), false), OK);
		ram_hole(&rig, DATA);
		ram_back(&rig, DATA);
		assert_int_equal(request(&rig, IN, 8, DATA, sizeof(disk), true), OK);
		ram_read(&rig, DATA, found, sizeof(found));
		assert_memory_equal(found, disk, sizeof(disk));
	}
	virtio_rig_stop(&rig);
}

/* A read into a page of each of so many buckets. Returns the map calls that it took. */
static uint64_t read_scattered(struct virtio_rig *rig, uint16_t segments)
{
	struct vring_desc table[10];
	struct xensim_totals before, after;
	uint8_t disk[8 * 512], found[512], status;

	fill(disk, sizeof(disk), segments);
	image_write(rig, 0, disk, sizeof(disk));
	put_header(rig, IN, 0);
	table[0] = (struct vring_desc){ HEADER, 16, NEXT, 1 };
	for (uint16_t i = 1; i <= segments; i++)
		table[i] = (struct vring_desc){ DATA + i * 0x20000, 512, NEXT | WRITE,
						(uint16_t)(i + 1) };
	table[segments + 1] = (struct vring_desc){ STATUS, 1, WRITE, 0 };
	ram_write(rig, TABLE, table, sizeof(table));
	put_descriptor(rig, 0, 0, TABLE, (segments + 2u) * sizeof(*table), INDIRECT, 0);
	mapcache_invalidate(rig->rig.cache);
	offer(rig, 0, 0);
	xensim_totals(&before);
	assert_int_equal(serve(rig, 0), 1);
	xensim_totals(&after);
	ram_read(rig, STATUS, &status, 1);
	assert_int_equal(status, OK);
	for (uint16_t i = 0; i < segments; i++) {
		ram_read(rig, DATA + (i + 1) * 0x20000, found, sizeof(found));
		assert_memory_equal(found, disk + i * 512, sizeof(found));
	}
	return after.map_calls - before.map_calls;
}

static void scattered_buffers_take_one_map_call_after_an_invalidate(void **state)
{
	struct virtio_rig_options options = { .bucket_shift = 16 };
	struct virtio_rig rig;
	uint64_t calls;

	(void)state;
	virtio_rig_start(&rig, &options);
	read_scattered(&rig, 1);
	calls = read_scattered(&rig, 1);
	assert_int_equal(read_scattered(&rig, 8), calls);
	assert_int_equal(read_scattered(&rig, 8), calls);
	virtio_rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_gives_what_the_image_holds),
		cmocka_unit_test(write_reaches_the_image),
		cmocka_unit_test(framing_is_the_drivers_choice),
		cmocka_unit_test(one_request_takes_more_pins_than_fit_at_once),
		cmocka_unit_test(queues_are_served_by_themselves),
		cmocka_unit_test(indices_wrap_around),
		cmocka_unit_test(flush_succeeds_and_takes_no_data),
		cmocka_unit_test(identity_is_given_whole_or_not_at_all),
		cmocka_unit_test(discard_and_write_zeroes_leave_zeroes),
		cmocka_unit_test(discarded_space_is_given_back),
		cmocka_unit_test(bad_ranges_touch_nothing),
		cmocka_unit_test(unknown_types_are_unsupported),
		cmocka_unit_test(read_only_disks_are_not_written),
		cmocka_unit_test(dma_goes_to_the_new_page_after_an_invalidate),
		cmocka_unit_test(scattered_buffers_take_one_map_call_after_an_invalidate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
