/* SPDX-License-Identifier: MIT */
/*
 * The virtio-mmio register block (virtio 1.x, section 4.2), for one device with some queues.
 * What the device does with its queues is behind struct virtio_operations.
 *
 * Threads: registers are accessed by one thread, the one that serves MMIO. Each queue is
 * served by any one thread at a time through virtio_queue_enter(). The register side waits for
 * queues at a reset only; a queue that is still at work otherwise reads as ready, which is what
 * drivers poll for.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtqueue.h"

#define VIRTIO_MMIO_SIZE 0x1000u
#define VIRTIO_QUEUES_MAX 16u

struct virtio_device;

struct virtio_operations {
	/* Configuration space; offset + size is inside config_size. */
	void (*config_read)(struct virtio_device *device, uint32_t offset, void *buffer,
			    uint32_t size);
	void (*config_write)(struct virtio_device *device, uint32_t offset, const void *buffer,
			     uint32_t size);
	/* The device has been reset: back to power-on defaults. */
	void (*reset)(struct virtio_device *device);
};

struct virtio_hooks {
	/* The driver has put something into a queue. Called by the register side. */
	void (*notify)(void *data, uint32_t queue);
	/* The interrupt line rises or falls; called by any thread, one at a time. */
	void (*interrupt)(void *data, bool level);
	void *data;
};

struct virtio_queue {
	pthread_mutex_t lock; /* held while the queue is served or set up */
	struct virtqueue ring;
	bool ready;  /* written with the lock held */
	bool wanted; /* what the driver asked for last; register side only */
	/* Registers; register side only. */
	uint32_t size;
	uint64_t descriptors, available, used;
};

struct virtio_device {
	const struct virtio_operations *operations;
	struct virtio_hooks hooks;
	uint32_t device_id;
	uint32_t config_size;
	uint64_t features; /* offered */
	uint64_t required; /* and not to be left out by the driver */
	uint32_t queue_size_max, queue_count;

	/* Register side. */
	uint64_t driver_features;
	uint32_t device_features_select, driver_features_select, queue_select;
	bool resetting; /* atomic: whoever serves a queue shall leave it */

	uint32_t status; /* atomic: queues set DEVICE_NEEDS_RESET */
	int error;       /* atomic: why, the last time */
	pthread_mutex_t interrupt_lock;
	uint32_t interrupt_status; /* under interrupt_lock */

	struct virtio_queue queue[VIRTIO_QUEUES_MAX];
};

/* The caller has filled in everything up to queue_count. 0 or -errno. */
int virtio_device_init(struct virtio_device *device);
/* No queue may be entered any more. */
void virtio_device_destroy(struct virtio_device *device);

/*
 * One access at offset in the block. Returns 0, or -EINVAL for an access that the
 * specification does not allow: it changes nothing and reads as all ones.
 */
int virtio_mmio_read(struct virtio_device *device, uint64_t offset, uint32_t size, uint64_t *value);
int virtio_mmio_write(struct virtio_device *device, uint64_t offset, uint32_t size, uint64_t value);

/*
 * Enter a queue to serve it: the ring, or NULL when it is not to be served now (not set up,
 * device not running, reset asked for). Leave it soon: a reset waits for that.
 */
struct virtqueue *virtio_queue_enter(struct virtio_device *device, uint32_t queue);
void virtio_queue_leave(struct virtio_device *device, uint32_t queue);
/* Is whoever serves a queue asked to leave it? */
bool virtio_queue_leaving(struct virtio_device *device);

/* A request has been given back. Any thread. */
void virtio_interrupt_queue(struct virtio_device *device);
/* The driver broke the protocol, or its rings cannot be reached: stop until it resets the
 * device. error says why, -errno. Any thread. */
void virtio_needs_reset(struct virtio_device *device, int error);

#endif
