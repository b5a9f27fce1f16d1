/* SPDX-License-Identifier: MIT */
/* The device: features, configuration space, and the loop over a queue. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "blk.h"
#include "blk_request.h"

static struct virtio_blk *blk_of(struct virtio_device *device)
{
	return (struct virtio_blk *)((char *)device - offsetof(struct virtio_blk, device));
}

/* ---- configuration space --------------------------------------------------------------- */

static void config_read(struct virtio_device *device, uint32_t offset, void *buffer, uint32_t size)
{
	struct virtio_blk *blk = blk_of(device);
	struct virtio_blk_config config = blk->config;

	config.wce = __atomic_load_n(&blk->writeback, __ATOMIC_RELAXED);
	memcpy(buffer, (const char *)&config + offset, size);
}

/* Only the cache mode can be written. */
static void config_write(struct virtio_device *device, uint32_t offset, const void *buffer,
			 uint32_t size)
{
	struct virtio_blk *blk = blk_of(device);

	if (offset != offsetof(struct virtio_blk_config, wce) || size != 1 ||
	    !(device->driver_features & (1u << VIRTIO_BLK_F_CONFIG_WCE)))
		return;
	__atomic_store_n(&blk->writeback, *(const uint8_t *)buffer & 1, __ATOMIC_RELAXED);
}

static void reset(struct virtio_device *device)
{
	struct virtio_blk *blk = blk_of(device);
	struct guest guest = { NULL, { blk->grants[0], blk->grants[1] } };

	__atomic_store_n(&blk->writeback, 1, __ATOMIC_RELAXED);
	guest_give_back_all(&guest);
}

static const struct virtio_operations operations = {
	.config_read = config_read,
	.config_write = config_write,
	.reset = reset,
};

static void fill_config(struct virtio_blk *blk, uint32_t block_size, uint32_t queues)
{
	struct virtio_blk_config *config = &blk->config;

	config->capacity = blk->file->sectors;
	config->size_max = BLK_SEGMENT_BYTES;
	config->seg_max = BLK_SEGMENTS_MAX;
	config->blk_size = block_size;
	config->num_queues = (uint16_t)queues;
	config->max_discard_sectors = BLK_RANGE_SECTORS;
	config->max_discard_seg = BLK_RANGES_MAX;
	config->discard_sector_alignment = block_size / BLK_SECTOR;
	config->max_write_zeroes_sectors = BLK_RANGE_SECTORS;
	config->max_write_zeroes_seg = BLK_RANGES_MAX;
	config->write_zeroes_may_unmap = blk->file->discards;
}

static uint64_t offered(const struct blk_file *file, uint32_t queues)
{
	uint64_t features = UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |
			    1u << VIRTIO_BLK_F_SIZE_MAX | 1u << VIRTIO_BLK_F_SEG_MAX |
			    1u << VIRTIO_BLK_F_BLK_SIZE;

	if (queues > 1)
		features |= 1u << VIRTIO_BLK_F_MQ;
	if (file->read_only)
		return features | 1u << VIRTIO_BLK_F_RO;
	features |= 1u << VIRTIO_BLK_F_FLUSH | 1u << VIRTIO_BLK_F_CONFIG_WCE |
		    1u << VIRTIO_BLK_F_WRITE_ZEROES;
	if (file->discards)
		features |= 1u << VIRTIO_BLK_F_DISCARD;
	return features;
}

/* ---- open and close -------------------------------------------------------------------- */

int virtio_blk_open(const struct virtio_blk_options *options, struct blk_file *file,
		    struct virtio_blk *blk)
{
	uint32_t block_size = options->block_size ? options->block_size : file->block;
	uint32_t queues = options->queues ? options->queues : 1;

	if (block_size < BLK_SECTOR || (block_size & (block_size - 1)))
		return -EINVAL;
	memset(blk, 0, sizeof(*blk));
	blk->file = file;
	blk->writeback = 1;
	if (options->serial)
		memcpy(blk->serial, options->serial, strnlen(options->serial, sizeof(blk->serial)));
	fill_config(blk, block_size, queues);
	blk->grants[0] = options->grants[0];
	blk->grants[1] = options->grants[1];
	blk->device = (struct virtio_device){
		.operations = &operations,
		.hooks = options->hooks,
		.device_id = VIRTIO_ID_BLOCK,
		.config_size = sizeof(struct virtio_blk_config),
		.features = offered(file, queues),
		.required = options->grants[0] ? UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM : 0,
		.queue_size_max = options->queue_size ? options->queue_size : 128,
		.queue_count = queues,
	};
	return virtio_device_init(&blk->device);
}

void virtio_blk_close(struct virtio_blk *blk)
{
	virtio_device_destroy(&blk->device);
}

/* ---- queues ---------------------------------------------------------------------------- */

/* Granted pages: those of the request are the driver's as soon as it is given back. */
static void give_back(const struct guest *guest, const struct virtqueue_chain *chain)
{
	uint32_t count = chain->readable + chain->writable, i;

	for (i = 0; i < count; i++)
		guest_give_back(guest, chain->segment[i].gpa, chain->segment[i].len);
	if (chain->table.len)
		guest_give_back(guest, chain->table.gpa, chain->table.len);
}

/* 1: a request was served, 0: there is none. -errno: the ring is of no use any more. */
static int process_one(struct virtio_blk *blk, const struct guest *guest, struct virtqueue *ring,
		       struct virtio_blk_counters *counters)
{
	struct virtqueue_chain chain, given;
	uint32_t written = 0;
	int result;

	result = virtqueue_pop(ring, guest, &chain);
	if (result <= 0)
		return result;
	given = chain; /* serving uses it up */
	result = blk_request_serve(blk, guest, &chain, counters, &written);
	give_back(guest, &given);
	if (result < 0)
		return result;
	__atomic_fetch_add(&counters->requests, 1, __ATOMIC_RELAXED);
	if (result != VIRTIO_BLK_S_OK)
		__atomic_fetch_add(&counters->errors, 1, __ATOMIC_RELAXED);
	result = virtqueue_push(ring, guest, chain.head, written);
	if (result < 0)
		return result;
	if (result)
		virtio_interrupt_queue(&blk->device);
	return 1;
}

uint32_t virtio_blk_process(struct virtio_blk *blk, struct mapcache_client *client, uint32_t queue)
{
	struct virtqueue *ring = virtio_queue_enter(&blk->device, queue);
	struct guest guest = { client, { blk->grants[0], blk->grants[1] } };
	uint32_t served;

	if (!ring)
		return 0;
	for (served = 0; served < ring->size && !virtio_queue_leaving(&blk->device); served++) {
		int result = process_one(blk, &guest, ring, &blk->counters[queue]);

		if (result < 0)
			virtio_needs_reset(&blk->device, result);
		if (result <= 0)
			break;
	}
	virtio_queue_leave(&blk->device, queue);
	return served;
}

void virtio_blk_count(const struct virtio_blk *blk, struct virtio_blk_counters *sum)
{
	uint32_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < blk->device.queue_count; i++) {
		const struct virtio_blk_counters *queue = &blk->counters[i];

		sum->requests += __atomic_load_n(&queue->requests, __ATOMIC_RELAXED);
		sum->errors += __atomic_load_n(&queue->errors, __ATOMIC_RELAXED);
		sum->read_bytes += __atomic_load_n(&queue->read_bytes, __ATOMIC_RELAXED);
		sum->written_bytes += __atomic_load_n(&queue->written_bytes, __ATOMIC_RELAXED);
	}
}
