/* SPDX-License-Identifier: MIT */
/*
 * Requests: header and status by copy, data straight between guest memory and the file. No
 * assumption is made on how the driver cut the request into descriptors.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "blk_request.h"
#include "guest.h"

/* Pins held at once for one request. Any slice fits, with buckets as small as a page. */
#define IOVECS 256
#define SLICE ((IOVECS - 1) * 4096u)
#define LIST 64 /* segments pinned by one call */

struct request {
	struct virtio_blk *blk;
	const struct guest *guest;
	struct virtio_blk_counters *counters;
	struct virtio_blk_outhdr header;
	/* What is left of the chain without header and status; segments may be empty. */
	struct virtqueue_segment *out, *in;
	uint32_t out_count, in_count;
	uint64_t out_bytes, in_bytes;
	uint64_t status_gpa;
	uint64_t written; /* bytes of data written to guest memory */
};

/* ---- taking a chain apart --------------------------------------------------------------- */

static uint64_t total(const struct virtqueue_segment *segment, uint32_t count)
{
	uint64_t bytes = 0;

	while (count--)
		bytes += (segment++)->len;
	return bytes;
}

/* Copy the next len bytes of what the device reads and take them off. */
static int take(struct request *request, void *buffer, uint32_t len)
{
	struct virtqueue_segment *segment = request->out;

	if (request->out_bytes < len)
		return -EPROTO;
	request->out_bytes -= len;
	while (len) {
		uint32_t step = segment->len < len ? segment->len : len;
		int error = step ? guest_read(request->guest, segment->gpa, buffer, step) : 0;

		if (error)
			return error;
		segment->gpa += step;
		segment->len -= step;
		buffer = (char *)buffer + step;
		len -= step;
		segment++;
	}
	return 0;
}

/* The status is the last byte that the device writes. Without one there is no answer. */
static int take_status(struct request *request)
{
	struct virtqueue_segment *last;

	if (request->in_count == 0)
		return -EPROTO;
	last = &request->in[request->in_count - 1];
	last->len--;
	request->status_gpa = last->gpa + last->len;
	request->in_bytes--;
	return 0;
}

/* ---- data ------------------------------------------------------------------------------- */

struct transfer {
	struct request *request;
	bool to_guest;
	uint64_t offset; /* in the file, of the first iovec */
	uint64_t bytes;  /* in iov */
	int count;
	struct iovec iov[IOVECS];
};

static void unpin(struct transfer *transfer, bool written)
{
	int i;

	for (i = 0; i < transfer->count; i++)
		guest_unpin(transfer->request->guest, &transfer->iov[i], written);
	transfer->count = 0;
	transfer->bytes = 0;
}

/* Move what is pinned. The pins go before the guest hears of it: it may then give away the
 * memory at once. */
static int move(struct transfer *transfer)
{
	struct virtio_blk *blk = transfer->request->blk;
	struct iovec iov[IOVECS];
	bool durable;
	int error;

	if (!transfer->count)
		return 0;
	memcpy(iov, transfer->iov, (size_t)transfer->count * sizeof(iov[0]));
	if (transfer->to_guest) {
		error = blk_file_read(blk->file, iov, transfer->count, transfer->offset);
	} else {
		durable = !__atomic_load_n(&blk->writeback, __ATOMIC_RELAXED) ||
			  !(blk->device.driver_features & (1u << VIRTIO_BLK_F_FLUSH));
		error = blk_file_write(blk->file, iov, transfer->count, transfer->offset, durable);
	}
	if (!error) {
		transfer->offset += transfer->bytes;
		if (transfer->to_guest)
			transfer->request->written += transfer->bytes;
	}
	unpin(transfer, transfer->to_guest);
	return error;
}

static int pin(struct transfer *transfer, uint64_t gpa, uint32_t len)
{
	int prot = transfer->to_guest ? PROT_READ | PROT_WRITE : PROT_READ;
	int tries, used = -EAGAIN;

	for (tries = 0; tries < GUEST_RETRIES && used == -EAGAIN; tries++) {
		if (tries)
			sched_yield();
		used = guest_pin(transfer->request->guest, gpa, len, prot,
				 transfer->iov + transfer->count, IOVECS - transfer->count);
		if (used == -EMSGSIZE && transfer->count) {
			int error = move(transfer);

			if (error)
				return error;
			used = -EAGAIN;
		}
	}
	if (used < 0)
		return used;
	transfer->count += used;
	transfer->bytes += len;
	return 0;
}

/* All of a short request at once: what is not mapped of it takes one map call. */
static int pin_list(struct transfer *transfer, const struct virtqueue_segment *segment,
		    uint32_t count)
{
	int prot = transfer->to_guest ? PROT_READ | PROT_WRITE : PROT_READ, ranges = 0, used;
	struct mapcache_range range[LIST];
	uint64_t bytes = total(segment, count);

	if (count > LIST || bytes > SLICE)
		return -EMSGSIZE;
	for (uint32_t i = 0; i < count; i++) {
		if (segment[i].len)
			range[ranges++] = (struct mapcache_range){ segment[i].gpa, segment[i].len };
	}
	used = guest_pin_list(transfer->request->guest, range, ranges, prot, transfer->iov, IOVECS);
	if (used < 0)
		return used;
	transfer->count = used;
	transfer->bytes = bytes;
	return 0;
}

static int move_segments(struct transfer *transfer, const struct virtqueue_segment *segment,
			 uint32_t count)
{
	int error = 0;

	/* Else slice by slice; what is wrong with it is found out there. */
	if (count > 1 && !pin_list(transfer, segment, count))
		count = 0;
	for (; count && !error; count--, segment++) {
		uint32_t done = 0;

		while (done < segment->len && !error) {
			uint32_t left = segment->len - done;
			uint32_t step = left < SLICE ? left : SLICE;

			/* A reset waits for us; what it finds half done is nobody's. */
			error = virtio_queue_leaving(&transfer->request->blk->device)
					? -ECANCELED
					: pin(transfer, segment->gpa + done, step);
			done += step;
		}
	}
	if (!error)
		error = move(transfer);
	unpin(transfer, false);
	return error;
}

/* ---- request types ---------------------------------------------------------------------- */

static bool on_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t sectors)
{
	return sector <= blk->file->sectors && sectors <= blk->file->sectors - sector;
}

static uint8_t read_write(struct request *request, bool to_guest)
{
	uint64_t bytes = to_guest ? request->in_bytes : request->out_bytes;
	uint64_t other = to_guest ? request->out_bytes : request->in_bytes;
	struct transfer transfer = { .request = request, .to_guest = to_guest };
	uint64_t *counter =
		to_guest ? &request->counters->read_bytes : &request->counters->written_bytes;
	int error;

	if (bytes == 0 || bytes > BLK_REQUEST_BYTES || bytes % BLK_SECTOR || other ||
	    !on_disk(request->blk, request->header.sector, bytes / BLK_SECTOR) ||
	    (!to_guest && request->blk->file->read_only))
		return VIRTIO_BLK_S_IOERR;
	transfer.offset = request->header.sector * BLK_SECTOR;
	if (to_guest)
		error = move_segments(&transfer, request->in, request->in_count);
	else
		error = move_segments(&transfer, request->out, request->out_count);
	if (error)
		return VIRTIO_BLK_S_IOERR;
	__atomic_fetch_add(counter, bytes, __ATOMIC_RELAXED);
	return VIRTIO_BLK_S_OK;
}

static uint8_t flush(struct request *request)
{
	if (request->out_bytes || request->in_bytes)
		return VIRTIO_BLK_S_IOERR;
	if (request->blk->file->read_only)
		return VIRTIO_BLK_S_OK;
	return blk_file_flush(request->blk->file) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static uint8_t get_id(struct request *request)
{
	const char *from = request->blk->serial;
	uint32_t left = VIRTIO_BLK_ID_BYTES, i;

	if (request->out_bytes || request->in_bytes < left)
		return VIRTIO_BLK_S_IOERR;
	for (i = 0; left; i++) {
		const struct virtqueue_segment *segment = &request->in[i];
		uint32_t step = segment->len < left ? segment->len : left;

		if (step && guest_write(request->guest, segment->gpa, from, step))
			return VIRTIO_BLK_S_IOERR;
		from += step;
		left -= step;
		request->written += step;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t check_range(const struct virtio_blk *blk,
			   const struct virtio_blk_discard_write_zeroes *range, bool discard)
{
	if (range->flags & ~(discard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return VIRTIO_BLK_S_UNSUPP;
	if (range->num_sectors == 0 || range->num_sectors > BLK_RANGE_SECTORS ||
	    !on_disk(blk, range->sector, range->num_sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* DISCARD and WRITE_ZEROES. All ranges are checked before the first one is touched. */
static uint8_t zero_ranges(struct request *request, bool discard)
{
	struct virtio_blk_discard_write_zeroes range[BLK_RANGES_MAX];
	uint64_t bytes = request->out_bytes;
	struct virtio_blk *blk = request->blk;
	uint32_t count, i;

	if (blk->file->read_only || request->in_bytes || bytes == 0 || bytes > sizeof(range) ||
	    bytes % sizeof(range[0]))
		return VIRTIO_BLK_S_IOERR;
	if (discard && !blk->file->discards)
		return VIRTIO_BLK_S_UNSUPP;
	count = (uint32_t)(bytes / sizeof(range[0]));
	if (take(request, range, (uint32_t)bytes))
		return VIRTIO_BLK_S_IOERR;
	for (i = 0; i < count; i++) {
		uint8_t status = check_range(blk, &range[i], discard);

		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	for (i = 0; i < count; i++) {
		uint64_t offset = range[i].sector * BLK_SECTOR;
		uint64_t len = (uint64_t)range[i].num_sectors * BLK_SECTOR;

		if (discard ? blk_file_discard(blk->file, offset, len)
			    : blk_file_zero(blk->file, offset, len, range[i].flags))
			return VIRTIO_BLK_S_IOERR;
	}
	if (!discard && !__atomic_load_n(&blk->writeback, __ATOMIC_RELAXED))
		return blk_file_flush(blk->file) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	return VIRTIO_BLK_S_OK;
}

static uint8_t execute(struct request *request)
{
	switch (request->header.type) {
	case VIRTIO_BLK_T_IN:
		return read_write(request, true);
	case VIRTIO_BLK_T_OUT:
		return read_write(request, false);
	case VIRTIO_BLK_T_FLUSH:
		return flush(request);
	case VIRTIO_BLK_T_GET_ID:
		return get_id(request);
	case VIRTIO_BLK_T_DISCARD:
		return zero_ranges(request, true);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return zero_ranges(request, false);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

int blk_request_serve(struct virtio_blk *blk, const struct guest *guest,
		      struct virtqueue_chain *chain, struct virtio_blk_counters *counters,
		      uint32_t *written)
{
	struct request request = {
		.blk = blk,
		.guest = guest,
		.counters = counters,
		.out = chain->segment,
		.in = chain->segment + chain->readable,
		.out_count = chain->readable,
		.in_count = chain->writable,
	};
	uint8_t status = VIRTIO_BLK_S_IOERR;
	int error;

	request.out_bytes = total(request.out, request.out_count);
	request.in_bytes = total(request.in, request.in_count);
	error = take_status(&request);
	if (error)
		return error;
	if (take(&request, &request.header, sizeof(request.header)) == 0)
		status = execute(&request);
	error = guest_write(guest, request.status_gpa, &status, 1);
	if (error)
		return error;
	*written = (uint32_t)request.written + 1;
	return status;
}
