/* SPDX-License-Identifier: MIT */
/*
 * The guest's virtio block driver: registers by MMIO, rings and buffers in pages of the
 * guest's allocator, several queues, direct and indirect descriptors in turn. Runs on one
 * vCPU. Functions return 0 or -errno; -ESHUTDOWN once the guest is being shut down.
 */
#ifndef DEMO_DRIVER_H
#define DEMO_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_blk.h>
#include <tests/xensim/xensim.h>

#include "pool.h"

#define DRIVER_QUEUES_MAX 4u
#define DRIVER_SLOTS 4u  /* requests in flight on one queue */
#define DRIVER_PAGES 16u /* data of one request */
#define DRIVER_BYTES (DRIVER_PAGES * PAGE_BYTES)
#define DRIVER_DESCRIPTORS 32u /* of one request */
#define DRIVER_QUEUE_SIZE (DRIVER_SLOTS * DRIVER_DESCRIPTORS)

struct driver_request {
	uint32_t type; /* VIRTIO_BLK_T_* */
	uint64_t sector;
	uint32_t bytes; /* of data; for DISCARD and WRITE_ZEROES of the range on the disk */
	uint64_t page[1 + DRIVER_PAGES]; /* gfn: header, status and table; then the data */
	uint32_t pages;
	uint32_t queue, slot;
	bool done;
	uint8_t status;
};

struct driver_queue {
	uint64_t gfn; /* descriptors, available and used ring in one page */
	uint16_t available, used;
	struct driver_request *request[DRIVER_SLOTS];
};

struct driver {
	struct xensim_vcpu *vcpu;
	struct pool *pool;
	uint64_t base; /* of the registers */
	int interrupt; /* eventfd: the interrupt line has risen */
	uint64_t random;
	uint64_t features;
	uint64_t sectors;
	uint32_t queues;
	uint64_t interrupts;
	struct driver_queue queue[DRIVER_QUEUES_MAX];
};

/* Reset the device, negotiate, set up the queues in fresh pages. */
int driver_start(struct driver *driver);
/* Reset the device; the rings' pages are free again. Nothing may be in flight. */
int driver_stop(struct driver *driver);

/* Pages for a request. Data pages hold nothing in particular. */
int driver_take_pages(struct driver *driver, struct driver_request *request);
void driver_give_pages(struct driver *driver, struct driver_request *request);
/* Move data between request's pages and buffer, by the vCPU. */
int driver_fill(struct driver *driver, const struct driver_request *request, const void *buffer);
int driver_drain(struct driver *driver, const struct driver_request *request, void *buffer);

/* Start a request. -EBUSY: its queue (request->queue) is full. */
int driver_submit(struct driver *driver, struct driver_request *request);
/* Sleep until the device interrupts (or a moment has passed), take what is done. */
int driver_wait(struct driver *driver);

#endif
