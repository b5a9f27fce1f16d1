/* SPDX-License-Identifier: MIT */
/*
 * A virtio block device against any guest: the input is a list of steps, each of which
 * accesses a register, writes guest memory, takes a frame away or gives it back, or serves a
 * queue. Nothing may crash, hang, grow or be left pinned, and what lies around guest memory
 * and around the disk stays as it is. A reset must always bring the device back.
 *
 * short run: 30000
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include <examples/virtio-blk/blk.h>
#include <tests/xensim/xensim.h>

#include "input.h"

#define PAGES 64u
#define QUEUES 2u
#define QUEUE_SIZE 16u
#define SECTORS 256u
#define STEPS 256u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* The host lives as long as the process; device and memory are put back for each input. */
struct world {
	struct xensim_domain *domain;
	struct mapcache *cache;
	struct mapcache_client *client;
	int disk;
	struct blk_file file;
	struct virtio_blk blk;
	bool hole[PAGES];
};

/* ---- steps ---------------------------------------------------------------------------------- */

/* Where queue q's parts are when a step sets it up the short way. */
static uint64_t ring_of(uint64_t queue)
{
	return 0x1000 + queue * 0x4000;
}

static void reg(struct world *world, uint64_t offset, uint64_t value)
{
	must(virtio_mmio_write(&world->blk.device, offset, 4, value) == 0);
}

static void set_up(struct world *world, struct input *input)
{
	uint64_t features = world->blk.device.features & ~take(input, 2), queue;
	const uint32_t status =
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

	reg(world, VIRTIO_MMIO_STATUS, 0);
	reg(world, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg(world, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	reg(world, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg(world, VIRTIO_MMIO_DRIVER_FEATURES, features >> 32);
	reg(world, VIRTIO_MMIO_STATUS, status);
	for (queue = 0; queue < QUEUES; queue++) {
		uint64_t shift = take(input, 1);

		reg(world, VIRTIO_MMIO_QUEUE_SEL, queue);
		reg(world, VIRTIO_MMIO_QUEUE_NUM, 1u << (shift & 7));
		reg(world, VIRTIO_MMIO_QUEUE_DESC_LOW, ring_of(queue));
		reg(world, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring_of(queue) + 0x1000);
		reg(world, VIRTIO_MMIO_QUEUE_USED_LOW, ring_of(queue) + 0x2000);
		reg(world, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	reg(world, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void access_register(struct world *world, struct input *input)
{
	uint64_t shape = take(input, 1), offset = take(input, 2) & 0x1ff, value;
	uint32_t size = 1u << (shape & 3);

	if (shape & 0x80)
		virtio_mmio_read(&world->blk.device, offset, size, &value);
	else
		virtio_mmio_write(&world->blk.device, offset, size, take(input, size));
}

/* A descriptor with numbers that are mostly near something. */
static void write_descriptor(struct world *world, struct input *input)
{
	uint64_t shape = take(input, 1), queue = shape & 1, index = take(input, 1) % QUEUE_SIZE;
	struct vring_desc descriptor = {
		.addr = shape & 0x80 ? take(input, 8) : take(input, 3) % ((PAGES + 1) * 4096),
		.len = (uint32_t)(shape & 0x40 ? take(input, 4) : take(input, 2)),
		.flags = (uint16_t)(shape >> 1 & 7),
		.next = (uint16_t)(take(input, 1) % (QUEUE_SIZE + 1)),
	};

	if (shape & 0x20)
		descriptor.len = 512;
	xensim_guest_write(world->domain, ring_of(queue) + index * sizeof(descriptor), &descriptor,
			   sizeof(descriptor));
}

static void write_header(struct world *world, struct input *input)
{
	struct virtio_blk_outhdr header = {
		.type = (uint32_t)take(input, 1) & 15,
		.sector = take(input, 1) & 0x80 ? take(input, 8) : take(input, 2),
	};

	xensim_guest_write(world->domain, take(input, 3) % (PAGES * 4096), &header, sizeof(header));
}

static void write_memory(struct world *world, struct input *input)
{
	uint8_t bytes[32];
	uint64_t gpa = take(input, 3) % (PAGES * 4096), len = take(input, 1) % sizeof(bytes);

	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)take(input, 1);
	xensim_guest_write(world->domain, gpa, bytes, len);
}

static void offer(struct world *world, struct input *input)
{
	uint64_t ring = ring_of(take(input, 1) & 1) + 0x1000;
	uint16_t head = (uint16_t)(take(input, 1) % (QUEUE_SIZE + 1)), index = 0;

	xensim_guest_read(world->domain, ring + 2, &index, 2);
	xensim_guest_write(world->domain, ring + 4 + 2u * (index % QUEUE_SIZE), &head, 2);
	index++;
	xensim_guest_write(world->domain, ring + 2, &index, 2);
}

static void change_frame(struct world *world, uint64_t gfn)
{
	if (world->hole[gfn]) {
		must(xensim_outside_populate(world->domain, &gfn, 1, 0) == 1);
	} else {
		must(xensim_outside_decrease(world->domain, &gfn, 1) == 1);
		mapcache_invalidate(world->cache);
	}
	world->hole[gfn] = !world->hole[gfn];
}

static void serve(struct world *world, uint32_t queue)
{
	uint32_t served = virtio_blk_process(&world->blk, world->client, queue);

	must(served <= QUEUE_SIZE);
}

static void one_step(struct world *world, struct input *input)
{
	switch (take(input, 1) & 7) {
	case 0:
		access_register(world, input);
		break;
	case 1:
		write_header(world, input);
		break;
	case 2:
		write_memory(world, input);
		break;
	case 3:
		offer(world, input);
		break;
	case 4:
		change_frame(world, take(input, 1) % PAGES);
		break;
	case 5:
		set_up(world, input);
		break;
	case 6:
		serve(world, (uint32_t)take(input, 1) % (QUEUES + 1));
		break;
	default:
		write_descriptor(world, input);
	}
}

/* ---- the world ------------------------------------------------------------------------------ */

static void interrupt(void *data, bool level)
{
	bool *line = data;

	must(*line != level); /* it rises and falls in turn */
	*line = level;
}

static void start(struct world *world)
{
	static bool line;
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = 14,
					    .flags = MAPCACHE_NO_RECLAIM_THREAD };
	struct virtio_blk_options device = { .queues = QUEUES,
					     .queue_size = QUEUE_SIZE,
					     .serial = "fuzz",
					     .hooks = { .interrupt = interrupt, .data = &line } };
	char path[64];

	must(xensim_start(NULL) == 0);
	must(xensim_domain_create(1, 0, PAGES, &world->domain) == 0);
	options.domid = xensim_domid(world->domain);
	must(mapcache_open(&options, &world->cache) == 0);
	must(mapcache_client_open(world->cache, &world->client) == 0);
	world->disk = memfd_create("disk", MFD_CLOEXEC);
	must(world->disk >= 0 && ftruncate(world->disk, SECTORS * BLK_SECTOR) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", world->disk);
	must(blk_file_open(path, 0, &world->file) == 0);
	must(virtio_blk_open(&device, &world->file, &world->blk) == 0);
}

/* All frames there, nothing in them, the device just reset. */
static void put_back(struct world *world)
{
	static const uint8_t zeroes[PAGES * 4096];
	uint64_t gfn;

	for (gfn = 0; gfn < PAGES; gfn++)
		if (world->hole[gfn])
			change_frame(world, gfn);
	must(xensim_guest_write(world->domain, 0, zeroes, sizeof(zeroes)) == 0);
	reg(world, VIRTIO_MMIO_STATUS, 0);
}

/* With nothing pinned and nothing current, everything can be unmapped. */
static void check(struct world *world)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t status;

	reg(world, VIRTIO_MMIO_STATUS, 0);
	must(virtio_mmio_read(&world->blk.device, VIRTIO_MMIO_STATUS, 4, &status) == 0);
	must(status == 0);
	mapcache_invalidate(world->cache);
	must(mapcache_drain(world->cache, mapcache_epoch(world->cache), 0, MAPCACHE_DRAIN_PINS) ==
	     0);
	must(mapcache_stats(world->cache, &stats) == 0);
	must(lseek(world->disk, 0, SEEK_END) == SECTORS * BLK_SECTOR);
}

static struct world world;

static void stop(void)
{
	virtio_blk_close(&world.blk);
	blk_file_close(&world.file);
	close(world.disk);
	must(mapcache_client_close(world.client) == 0);
	must(mapcache_close(world.cache) == 0);
	must(xensim_domain_destroy(world.domain) == 0);
	must(xensim_stop(stderr) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = { bytes, len };
	unsigned int steps;

	if (!world.cache) {
		start(&world);
		must(atexit(stop) == 0);
	}
	put_back(&world);
	set_up(&world, &input);
	for (steps = 0; steps < STEPS && input.len > 0; steps++)
		one_step(&world, &input);
	serve(&world, 0);
	serve(&world, 1);
	check(&world);
	return 0;
}
