/* SPDX-License-Identifier: MIT */
/*
 * A raw image, a file or a block device, as the disk behind virtio-blk. Any thread; calls
 * block as file I/O does. 0 or -errno; a transfer is done whole or fails.
 */
#ifndef BLK_FILE_H
#define BLK_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLK_SECTOR 512u

#define BLK_FILE_READ_ONLY 0x1u
/*
 * Past the page cache. The kernel does not transfer between a disk and foreign pages (EFAULT, as
 * for vmsplice and for buffers registered with io_uring): data goes by way of memory of our own.
 */
#define BLK_FILE_DIRECT 0x2u

struct blk_file {
	int fd;
	bool read_only, direct;
	bool device;    /* a block device, not a file */
	bool discards;  /* space can be given back */
	uint32_t block; /* bytes; with BLK_FILE_DIRECT every transfer is of whole ones */
	uint64_t sectors;
};

int blk_file_open(const char *path, unsigned int flags, struct blk_file *file);
void blk_file_close(struct blk_file *file);

/* iov is used up. durable: on the disk when the call returns. */
int blk_file_read(struct blk_file *file, struct iovec *iov, int count, uint64_t offset);
int blk_file_write(struct blk_file *file, struct iovec *iov, int count, uint64_t offset,
		   bool durable);
int blk_file_flush(struct blk_file *file);
/* Nobody needs what is there any more. */
int blk_file_discard(struct blk_file *file, uint64_t offset, uint64_t len);
/* Reads zeroes afterwards. unmap: give the space back where that is possible. */
int blk_file_zero(struct blk_file *file, uint64_t offset, uint64_t len, bool unmap);

#endif
