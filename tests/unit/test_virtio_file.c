/* SPDX-License-Identifier: MIT */
/* The image behind virtio-blk on a real file system and on a real block device. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include <examples/virtio-blk/blk_file.h>

#define BYTES (1u << 20)

static char image[] = "build/virtio-file-XXXXXX";

static int setup(void **state)
{
	int file = mkstemp(strcpy(image, "build/virtio-file-XXXXXX"));

	(void)state;
	if (file < 0 || ftruncate(file, BYTES) || close(file))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(image);
}

/* In three pieces of odd sizes and places, as a guest's buffers are. */
static int transfer(struct blk_file *file, char *buffer, size_t len, uint64_t offset, bool write)
{
	struct iovec iov[] = { { buffer, 700 }, { buffer + 700, 1 }, { buffer + 701, len - 701 } };

	return write ? blk_file_write(file, iov, 3, offset, true)
		     : blk_file_read(file, iov, 3, offset);
}

static void assert_round_trip(struct blk_file *file, uint64_t offset)
{
	static char out[64 << 10], in[sizeof(out)];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + offset / 4096);
	memset(in, 0, sizeof(in));
	assert_int_equal(transfer(file, out, sizeof(out), offset, true), 0);
	assert_int_equal(transfer(file, in, sizeof(in), offset, false), 0);
	assert_memory_equal(in, out, sizeof(in));
}

static void past_the_page_cache_transfers_go_by_way_of_a_buffer(void **state)
{
	struct blk_file file;
	int error = blk_file_open(image, BLK_FILE_DIRECT, &file);
	char byte[2048];

	(void)state;
	if (error == -EINVAL) {
		print_message("the file system here has no O_DIRECT\n");
		skip();
	}
	assert_int_equal(error, 0);
	assert_true(file.block >= BLK_SECTOR);
	for (uint64_t offset = 0; offset < 8 * (64 << 10); offset += 64 << 10)
		assert_round_trip(&file, offset);
	/* The driver was told the block's size. */
	assert_int_equal(transfer(&file, byte, sizeof(byte), 1, false), -EINVAL);
	assert_int_equal(transfer(&file, byte, 1024 + 1, 0, false), -EINVAL);
	blk_file_close(&file);
}

static void a_file_gives_back_what_is_discarded(void **state)
{
	struct blk_file file;
	char bytes[4096];

	(void)state;
	assert_int_equal(blk_file_open(image, 0, &file), 0);
	assert_round_trip(&file, 0);
	if (file.discards) {
		assert_int_equal(blk_file_discard(&file, 4096, 8192), 0);
		assert_int_equal(transfer(&file, bytes, sizeof(bytes), 4096, false), 0);
		assert_int_equal(bytes[0], 0);
	}
	blk_file_close(&file);
	assert_int_equal(blk_file_open(image, BLK_FILE_READ_ONLY, &file), 0);
	assert_int_equal(blk_file_discard(&file, 0, 4096), -EOPNOTSUPP);
	blk_file_close(&file);
}

/* A loop device over the image; -1: there are none here. */
static int attach(char *path, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing, device;
	long number;

	if (control < 0)
		return -1;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (number < 0)
		return -1;
	snprintf(path, size, "/dev/loop%ld", number);
	device = open(path, O_RDWR | O_CLOEXEC);
	backing = open(image, O_RDWR | O_CLOEXEC);
	if (device >= 0 && (backing < 0 || ioctl(device, LOOP_SET_FD, backing))) {
		close(device);
		device = -1;
	}
	if (backing >= 0)
		close(backing);
	return device;
}

static void a_block_device_is_served_zeroed_and_discarded(void **state)
{
	char path[32], bytes[4096];
	struct blk_file file;
	int device = attach(path, sizeof(path));

	(void)state;
	if (device < 0) {
		print_message("no loop devices for this user here\n");
		skip();
	}
	assert_int_equal(blk_file_open(path, 0, &file), 0);
	assert_true(file.device);
	assert_int_equal(file.sectors, BYTES / BLK_SECTOR);
	assert_round_trip(&file, 128 << 10);
	assert_int_equal(blk_file_zero(&file, 128 << 10, 8192, false), 0);
	assert_int_equal(transfer(&file, bytes, sizeof(bytes), 128 << 10, false), 0);
	assert_int_equal(bytes[5], 0);
	/* A loop device's discards make holes in its file, which read zeroes. */
	if (file.discards) {
		assert_int_equal(blk_file_discard(&file, 64 << 10, 128 << 10), 0);
		assert_int_equal(transfer(&file, bytes, sizeof(bytes), 140 << 10, false), 0);
		assert_int_equal(bytes[5], 0);
	}
	blk_file_close(&file);
	assert_int_equal(ioctl(device, LOOP_CLR_FD), 0);
	close(device);
}

static void what_is_no_disk_is_refused(void **state)
{
	struct blk_file file;

	(void)state;
	assert_int_equal(blk_file_open("/dev/null", 0, &file), -EINVAL);
	assert_int_equal(blk_file_open("build/no such file", 0, &file), -ENOENT);
	assert_int_equal(truncate(image, 100), 0);
	assert_int_equal(blk_file_open(image, 0, &file), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(past_the_page_cache_transfers_go_by_way_of_a_buffer,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_gives_back_what_is_discarded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_block_device_is_served_zeroed_and_discarded,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_disk_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
