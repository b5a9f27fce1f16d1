/* SPDX-License-Identifier: MIT */
/* The image file: vectored transfers that are whole, flush, and zeroes with or without holes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk_file.h"

#define ZEROES (64u << 10)

static int file_bytes(int fd, uint64_t *bytes)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if (S_ISBLK(status.st_mode))
		return ioctl(fd, BLKGETSIZE64, bytes) ? -errno : 0;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	*bytes = (uint64_t)status.st_size;
	return 0;
}

int blk_file_open(const char *path, bool read_only, struct blk_file *file)
{
	uint64_t bytes = 0;
	int error;

	file->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (file->fd < 0)
		return -errno;
	error = file_bytes(file->fd, &bytes);
	if (!error && bytes < BLK_SECTOR)
		error = -EINVAL;
	if (error) {
		close(file->fd);
		return error;
	}
	file->read_only = read_only;
	file->sectors = bytes / BLK_SECTOR;
	/* A hole past the end changes nothing and tells whether holes can be made. */
	file->punches =
		!read_only && fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)bytes, 4096) == 0;
	return 0;
}

void blk_file_close(struct blk_file *file)
{
	close(file->fd);
}

/* Drop what has been transferred from the front; returns what is left to do. */
static int advance(struct iovec **iov, int count, size_t done)
{
	while (count && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		(*iov)++;
		count--;
	}
	if (count) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
	return count;
}

int blk_file_read(struct blk_file *file, struct iovec *iov, int count, uint64_t offset)
{
	while (count) {
		ssize_t got = preadv(file->fd, iov, count, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -EIO; /* the file has shrunk */
		offset += (uint64_t)got;
		count = advance(&iov, count, (size_t)got);
	}
	return 0;
}

int blk_file_write(struct blk_file *file, struct iovec *iov, int count, uint64_t offset,
		   bool durable)
{
	int flags = durable ? RWF_DSYNC : 0;

	while (count) {
		ssize_t put = pwritev2(file->fd, iov, count, (off_t)offset, flags);

		if (put < 0 && errno == EINTR)
			continue;
		/* A system or file system without the flag: flushed at the end. */
		if (put < 0 && errno == EOPNOTSUPP && flags) {
			flags = 0;
			continue;
		}
		if (put <= 0)
			return put ? -errno : -EIO;
		offset += (uint64_t)put;
		count = advance(&iov, count, (size_t)put);
	}
	return durable && !flags ? blk_file_flush(file) : 0;
}

int blk_file_flush(struct blk_file *file)
{
	return fdatasync(file->fd) ? -errno : 0;
}

static int write_zeroes(struct blk_file *file, uint64_t offset, uint64_t len)
{
	static const char zeroes[ZEROES];

	while (len) {
		struct iovec iov = { (void *)(uintptr_t)zeroes, len < ZEROES ? len : ZEROES };
		uint64_t step = iov.iov_len;
		int error = blk_file_write(file, &iov, 1, offset, false);

		if (error)
			return error;
		offset += step;
		len -= step;
	}
	return 0;
}

int blk_file_zero(struct blk_file *file, uint64_t offset, uint64_t len, bool unmap)
{
	int mode = unmap && file->punches ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	if (fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EINTR)
		return -errno;
	return write_zeroes(file, offset, len);
}
