/* SPDX-License-Identifier: MIT */
/* Registers, status, reset and interrupts of a virtio-mmio device. */
#include <errno.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "virtio_mmio.h"

#define MAGIC 0x74726976u  /* "virt" */
#define VENDOR 0x4d50434du /* "MCPM" */

int virtio_device_init(struct virtio_device *device)
{
	uint32_t i;

	if (device->queue_count == 0 || device->queue_count > VIRTIO_QUEUES_MAX ||
	    device->queue_size_max == 0 || device->queue_size_max > VIRTQUEUE_SIZE_MAX)
		return -EINVAL;
	device->required |= UINT64_C(1) << VIRTIO_F_VERSION_1;
	device->features |= device->required;
	pthread_mutex_init(&device->interrupt_lock, NULL);
	for (i = 0; i < device->queue_count; i++)
		pthread_mutex_init(&device->queue[i].lock, NULL);
	return 0;
}

void virtio_device_destroy(struct virtio_device *device)
{
	uint32_t i;

	for (i = 0; i < device->queue_count; i++)
		pthread_mutex_destroy(&device->queue[i].lock);
	pthread_mutex_destroy(&device->interrupt_lock);
}

/* ---- interrupts ------------------------------------------------------------------------ */

static void interrupt_raise(struct virtio_device *device, uint32_t bits)
{
	uint32_t before;

	pthread_mutex_lock(&device->interrupt_lock);
	before = device->interrupt_status;
	device->interrupt_status = before | bits;
	if (device->hooks.interrupt && !before)
		device->hooks.interrupt(device->hooks.data, true);
	pthread_mutex_unlock(&device->interrupt_lock);
}

static void interrupt_acknowledge(struct virtio_device *device, uint32_t bits)
{
	uint32_t before;

	pthread_mutex_lock(&device->interrupt_lock);
	before = device->interrupt_status;
	device->interrupt_status = before & ~bits;
	if (device->hooks.interrupt && before && !device->interrupt_status)
		device->hooks.interrupt(device->hooks.data, false);
	pthread_mutex_unlock(&device->interrupt_lock);
}

static uint32_t interrupt_get(struct virtio_device *device)
{
	uint32_t bits;

	pthread_mutex_lock(&device->interrupt_lock);
	bits = device->interrupt_status;
	pthread_mutex_unlock(&device->interrupt_lock);
	return bits;
}

void virtio_interrupt_queue(struct virtio_device *device)
{
	interrupt_raise(device, VIRTIO_MMIO_INT_VRING);
}

/* ---- status and reset ---------------------------------------------------------------- */

static uint32_t status_get(const struct virtio_device *device)
{
	/* Acquire: pairs with the release in status_or(); who sees DRIVER_OK sees the features
	 * that were negotiated before. */
	return __atomic_load_n(&device->status, __ATOMIC_ACQUIRE);
}

static uint32_t status_or(struct virtio_device *device, uint32_t bits)
{
	return __atomic_fetch_or(&device->status, bits, __ATOMIC_ACQ_REL);
}

static void reset_queue(struct virtio_queue *queue)
{
	queue->ready = queue->wanted = false;
	queue->size = 0;
	queue->descriptors = queue->available = queue->used = 0;
}

/*
 * Done when the register write is answered: drivers do not poll for it (Linux does not), and then
 * take the memory of what was in flight for their own. Whoever serves a queue is asked to leave it
 * and does so after the slice it is at.
 */
static void reset(struct virtio_device *device)
{
	uint32_t i;

	__atomic_store_n(&device->resetting, true, __ATOMIC_RELEASE);
	for (i = 0; i < device->queue_count; i++)
		pthread_mutex_lock(&device->queue[i].lock);
	for (i = 0; i < device->queue_count; i++)
		reset_queue(&device->queue[i]);
	device->driver_features = 0;
	device->device_features_select = device->driver_features_select = 0;
	device->queue_select = 0;
	device->operations->reset(device);
	interrupt_acknowledge(device, UINT32_MAX);
	__atomic_store_n(&device->status, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&device->resetting, false, __ATOMIC_RELEASE);
	while (i--)
		pthread_mutex_unlock(&device->queue[i].lock);
}

static void status_write(struct virtio_device *device, uint32_t value)
{
	const uint32_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			       VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK |
			       VIRTIO_CONFIG_S_FAILED;

	if (value == 0) {
		reset(device);
		return;
	}
	value &= known;
	if (!(status_get(device) & VIRTIO_CONFIG_S_FEATURES_OK)) {
		if ((device->driver_features & ~device->features) ||
		    (device->required & ~device->driver_features))
			value &= ~(uint32_t)(VIRTIO_CONFIG_S_FEATURES_OK |
					     VIRTIO_CONFIG_S_DRIVER_OK);
		else if (!(value & VIRTIO_CONFIG_S_FEATURES_OK))
			value &= ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	}
	status_or(device, value);
}

void virtio_needs_reset(struct virtio_device *device, int error)
{
	uint32_t before;

	__atomic_store_n(&device->error, error, __ATOMIC_RELAXED);
	before = status_or(device, VIRTIO_CONFIG_S_NEEDS_RESET);

	if ((before & VIRTIO_CONFIG_S_DRIVER_OK) && !(before & VIRTIO_CONFIG_S_NEEDS_RESET))
		interrupt_raise(device, VIRTIO_MMIO_INT_CONFIG);
}

/* ---- queues ---------------------------------------------------------------------------- */

bool virtio_queue_leaving(struct virtio_device *device)
{
	const uint32_t run = VIRTIO_CONFIG_S_DRIVER_OK;

	return __atomic_load_n(&device->resetting, __ATOMIC_ACQUIRE) ||
	       (status_get(device) & (run | VIRTIO_CONFIG_S_NEEDS_RESET)) != run;
}

struct virtqueue *virtio_queue_enter(struct virtio_device *device, uint32_t index)
{
	struct virtio_queue *queue = &device->queue[index];

	if (index >= device->queue_count)
		return NULL;
	pthread_mutex_lock(&queue->lock);
	if (queue->ready && !virtio_queue_leaving(device))
		return &queue->ring;
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

void virtio_queue_leave(struct virtio_device *device, uint32_t index)
{
	pthread_mutex_unlock(&device->queue[index].lock);
}

/* Bring ready to what the driver wants, unless the queue is at work: then it stays as it
 * is, and the driver reads that. */
static void queue_settle(struct virtio_device *device, struct virtio_queue *queue)
{
	struct virtqueue ring = {
		.size = queue->size,
		.descriptors = queue->descriptors,
		.available = queue->available,
		.used = queue->used,
		.indirect = device->driver_features & (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC),
	};

	if (queue->wanted == queue->ready || pthread_mutex_trylock(&queue->lock))
		return;
	if (!queue->wanted) {
		queue->ready = false;
	} else if (ring.size <= device->queue_size_max && virtqueue_check(&ring) == 0) {
		queue->ring = ring;
		queue->ready = true;
	} else {
		queue->wanted = false;
	}
	pthread_mutex_unlock(&queue->lock);
}

static void queue_ready_write(struct virtio_device *device, struct virtio_queue *queue,
			      uint32_t value)
{
	if (!(status_get(device) & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	queue->wanted = value & 1;
	queue_settle(device, queue);
}

static void set_half(uint64_t *word, bool high, uint32_t value)
{
	if (high)
		*word = (*word & UINT32_MAX) | (uint64_t)value << 32;
	else
		*word = (*word & ~(uint64_t)UINT32_MAX) | value;
}

/* ---- registers ------------------------------------------------------------------------- */

static uint32_t queue_register_read(struct virtio_device *device, uint64_t offset)
{
	struct virtio_queue *queue;

	if (device->queue_select >= device->queue_count)
		return 0;
	queue = &device->queue[device->queue_select];
	if (offset == VIRTIO_MMIO_QUEUE_NUM_MAX)
		return device->queue_size_max;
	queue_settle(device, queue);
	return queue->ready;
}

static uint32_t register_read(struct virtio_device *device, uint64_t offset)
{
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return device->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return device->device_features_select > 1
			       ? 0
			       : (uint32_t)(device->features >>
					    (32 * device->device_features_select));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
		return queue_register_read(device, offset);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return interrupt_get(device);
	case VIRTIO_MMIO_STATUS:
		return status_get(device);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* there is no shared memory region */
	default:
		return 0; /* also CONFIG_GENERATION: nothing changes by itself */
	}
}

static void queue_register_write(struct virtio_device *device, uint64_t offset, uint32_t value)
{
	struct virtio_queue *queue;

	if (device->queue_select >= device->queue_count)
		return;
	queue = &device->queue[device->queue_select];
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		queue_ready_write(device, queue, value);
		return;
	}
	if (queue->ready || queue->wanted)
		return; /* the ring in use does not move */
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		queue->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&queue->descriptors, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&queue->available, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&queue->used, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	}
}

static void register_write(struct virtio_device *device, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		device->device_features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		device->driver_features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		if (device->driver_features_select < 2 &&
		    !(status_get(device) & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&device->driver_features, device->driver_features_select, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		device->queue_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		if (value < device->queue_count && device->hooks.notify)
			device->hooks.notify(device->hooks.data, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		interrupt_acknowledge(device, value);
		break;
	case VIRTIO_MMIO_STATUS:
		status_write(device, value);
		break;
	default:
		queue_register_write(device, offset, value);
		break;
	}
}

/* Registers are 32 bits wide and aligned; configuration space takes any aligned access. */
static int check_access(const struct virtio_device *device, uint64_t offset, uint32_t size)
{
	uint64_t end = VIRTIO_MMIO_CONFIG + (uint64_t)device->config_size;

	if ((size != 1 && size != 2 && size != 4 && size != 8) || offset % size)
		return -EINVAL;
	if (offset < VIRTIO_MMIO_CONFIG)
		return size == 4 ? 0 : -EINVAL;
	return offset < end && size <= end - offset ? 0 : -EINVAL;
}

int virtio_mmio_read(struct virtio_device *device, uint64_t offset, uint32_t size, uint64_t *value)
{
	*value = UINT64_MAX;
	if (check_access(device, offset, size))
		return -EINVAL;
	*value = 0;
	if (offset < VIRTIO_MMIO_CONFIG)
		*value = register_read(device, offset);
	else
		device->operations->config_read(device, (uint32_t)offset - VIRTIO_MMIO_CONFIG,
						value, size);
	return 0;
}

int virtio_mmio_write(struct virtio_device *device, uint64_t offset, uint32_t size, uint64_t value)
{
	if (check_access(device, offset, size))
		return -EINVAL;
	if (offset < VIRTIO_MMIO_CONFIG)
		register_write(device, offset, (uint32_t)value);
	else
		device->operations->config_write(device, (uint32_t)offset - VIRTIO_MMIO_CONFIG,
						 &value, size);
	return 0;
}
