/* SPDX-License-Identifier: MIT */
/*
 * A virtio block device: options, registers, queues. The device knows no threads, event
 * channels or Xen handles; whoever embeds it forwards register accesses from one thread and
 * serves each queue from a thread with a client of the cache.
 */
#ifndef BLK_H
#define BLK_H

#include <linux/virtio_blk.h>

#include "blk_file.h"
#include "virtio_mmio.h"

/* Data descriptors of one request, besides header and status. */
#define BLK_SEGMENTS_MAX (VIRTQUEUE_SEGMENTS_MAX - 2)
#define BLK_SEGMENT_BYTES (256u << 10)
/* A longer request fails: no request keeps a queue busy for ever. */
#define BLK_REQUEST_BYTES ((uint64_t)BLK_SEGMENTS_MAX * BLK_SEGMENT_BYTES)
/* DISCARD and WRITE_ZEROES: ranges of one request, sectors of one range. */
#define BLK_RANGES_MAX 16u
#define BLK_RANGE_SECTORS (32u << 11)

struct virtio_blk_options {
	uint32_t queues;     /* 1..VIRTIO_QUEUES_MAX; 0: 1 */
	uint32_t queue_size; /* a power of two; 0: 128 */
	uint32_t block_size; /* logical block, a power of two from 512; 0: the file's */
	const char *serial;  /* up to 20 bytes, NULL: none */
	/* The driver names memory by grants: caches of them, for reading and for writing; NULL:
	 * by address. */
	struct mapcache *grants[2];
	struct virtio_hooks hooks;
};

/* Counters of one queue; written by whoever serves it, read by anybody. */
struct virtio_blk_counters {
	uint64_t requests, errors, read_bytes, written_bytes;
};

struct virtio_blk {
	struct virtio_device device;
	struct blk_file *file;
	struct mapcache *grants[2];
	struct virtio_blk_config config;
	uint8_t writeback; /* atomic: CONFIG_WCE */
	char serial[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_counters counters[VIRTIO_QUEUES_MAX];
};

/* file stays the caller's and outlives the device. 0 or -EINVAL. */
int virtio_blk_open(const struct virtio_blk_options *options, struct blk_file *file,
		    struct virtio_blk *blk);
void virtio_blk_close(struct virtio_blk *blk);

/*
 * Serve a queue: at most as many requests as it has entries. Returns how many: call again
 * until it is 0. Blocks as file I/O and mapping do. Any thread, with its own client.
 */
uint32_t virtio_blk_process(struct virtio_blk *blk, struct mapcache_client *client, uint32_t queue);

/* The sum over all queues. Any thread. */
void virtio_blk_count(const struct virtio_blk *blk, struct virtio_blk_counters *sum);

#endif
