/* SPDX-License-Identifier: MIT */
/* The image file: vectored transfers that are whole, flush, and zeroes with or without holes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blk_file.h"

#define ZEROES (64u << 10)

/* A block device says in sysfs whether it takes discards; a partition's disk does. */
static bool device_discards(dev_t device)
{
	static const char *const places[] = { "", "../" };
	unsigned long long most = 0;
	char path[80];
	FILE *file;

	for (unsigned int i = 0; i < 2 && !most; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/discard_max_bytes",
			 major(device), minor(device), places[i]);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &most) != 1)
			most = 0;
		fclose(file);
	}
	return most > 0;
}

static int open_device(struct blk_file *file, const struct stat *status, uint64_t *bytes)
{
	int block;

	if (ioctl(file->fd, BLKGETSIZE64, bytes) || ioctl(file->fd, BLKSSZGET, &block))
		return -errno;
	file->device = true;
	file->block = (uint32_t)block;
	file->discards = !file->read_only && device_discards(status->st_rdev);
	return 0;
}

static int open_file(struct blk_file *file, const struct stat *status, uint64_t *bytes)
{
	if (!S_ISREG(status->st_mode))
		return -EINVAL;
	*bytes = (uint64_t)status->st_size;
	file->block = file->direct ? (uint32_t)status->st_blksize : BLK_SECTOR;
	/* A hole past the end changes nothing and tells whether holes can be made. */
	file->discards =
		!file->read_only && fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					      (off_t)*bytes, 4096) == 0;
	return 0;
}

int blk_file_open(const char *path, unsigned int flags, struct blk_file *file)
{
	uint64_t bytes = 0;
	struct stat status;
	int error;

	*file = (struct blk_file){ .read_only = flags & BLK_FILE_READ_ONLY,
				   .direct = flags & BLK_FILE_DIRECT };
	file->fd = open(path, (file->read_only ? O_RDONLY : O_RDWR) |
				      (file->direct ? O_DIRECT : 0) | O_CLOEXEC);
	if (file->fd < 0)
		return -errno;
	if (fstat(file->fd, &status))
		error = -errno;
	else if (S_ISBLK(status.st_mode))
		error = open_device(file, &status, &bytes);
	else
		error = open_file(file, &status, &bytes);
	if (!error && bytes < file->block)
		error = -EINVAL;
	if (error) {
		close(file->fd);
		return error;
	}
	file->sectors = bytes / file->block * (file->block / BLK_SECTOR);
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

static int read_plain(struct blk_file *file, struct iovec *iov, int count, uint64_t offset)
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

static int write_plain(struct blk_file *file, struct iovec *iov, int count, uint64_t offset,
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

/* ---- past the page cache ----------------------------------------------------------------- */

static size_t total(const struct iovec *iov, int count)
{
	size_t bytes = 0;

	while (count--)
		bytes += (iov++)->iov_len;
	return bytes;
}

/* Between memory of ours and the guest's. */
static void copy(const struct iovec *iov, int count, char *buffer, bool to_guest)
{
	for (; count; buffer += iov->iov_len, iov++, count--) {
		if (to_guest)
			memcpy(iov->iov_base, buffer, iov->iov_len);
		else
			memcpy(buffer, iov->iov_base, iov->iov_len);
	}
}

static int transfer_direct(struct blk_file *file, const struct iovec *iov, int count,
			   uint64_t offset, bool to_guest, bool durable)
{
	size_t bytes = total(iov, count);
	struct iovec bounce = { .iov_len = bytes };
	void *buffer;
	int error;

	if (offset % file->block || bytes % file->block)
		return -EINVAL;
	error = -posix_memalign(&buffer, file->block < 4096 ? 4096 : file->block, bytes);
	if (error)
		return error;
	bounce.iov_base = buffer;
	if (!to_guest)
		copy(iov, count, buffer, false);
	error = to_guest ? read_plain(file, &bounce, 1, offset)
			 : write_plain(file, &bounce, 1, offset, durable);
	if (to_guest && !error)
		copy(iov, count, buffer, true);
	free(buffer);
	return error;
}

int blk_file_read(struct blk_file *file, struct iovec *iov, int count, uint64_t offset)
{
	if (file->direct)
		return transfer_direct(file, iov, count, offset, true, false);
	return read_plain(file, iov, count, offset);
}

int blk_file_write(struct blk_file *file, struct iovec *iov, int count, uint64_t offset,
		   bool durable)
{
	if (file->direct)
		return transfer_direct(file, iov, count, offset, false, durable);
	return write_plain(file, iov, count, offset, durable);
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

int blk_file_discard(struct blk_file *file, uint64_t offset, uint64_t len)
{
	uint64_t range[] = { offset, len };

	if (!file->discards)
		return -EOPNOTSUPP;
	if (file->device)
		return ioctl(file->fd, BLKDISCARD, range) ? -errno : 0;
	return blk_file_zero(file, offset, len, true);
}

int blk_file_zero(struct blk_file *file, uint64_t offset, uint64_t len, bool unmap)
{
	int mode = unmap && file->discards ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	if (fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EINTR)
		return -errno;
	return write_zeroes(file, offset, len);
}
