/* SPDX-License-Identifier: MIT */
/* Probe, negotiate, set up queues, reset: the register half of the guest's driver. */
#include "driver_setup.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#define RESET_POLLS 10000
#define FEATURE(bit) (UINT64_C(1) << (bit))

int driver_register_read(struct driver *driver, uint32_t offset, uint32_t *value)
{
	uint64_t wide;
	int error = xensim_mmio_read(driver->vcpu, driver->base + offset, 4, &wide);

	*value = (uint32_t)wide;
	return error;
}

int driver_register_write(struct driver *driver, uint32_t offset, uint32_t value)
{
	return xensim_mmio_write(driver->vcpu, driver->base + offset, 4, value);
}

static int add_status(struct driver *driver, uint32_t bits)
{
	uint32_t status;
	int error = driver_register_read(driver, VIRTIO_MMIO_STATUS, &status);

	if (!error)
		error = driver_register_write(driver, VIRTIO_MMIO_STATUS, status | bits);
	if (!error)
		error = driver_register_read(driver, VIRTIO_MMIO_STATUS, &status);
	return error ? error : (status & bits) == bits ? 0 : -ENOTSUP;
}

static int reset(struct driver *driver)
{
	uint32_t status = 1;
	int polls, error = driver_register_write(driver, VIRTIO_MMIO_STATUS, 0);

	for (polls = 0; !error && status && polls < RESET_POLLS; polls++) {
		error = driver_register_read(driver, VIRTIO_MMIO_STATUS, &status);
		if (!error && status)
			usleep(100);
	}
	return error ? error : status ? -ETIMEDOUT : 0;
}

static int probe(struct driver *driver)
{
	uint32_t magic, version, id;
	int error = driver_register_read(driver, VIRTIO_MMIO_MAGIC_VALUE, &magic);

	if (!error)
		error = driver_register_read(driver, VIRTIO_MMIO_VERSION, &version);
	if (!error)
		error = driver_register_read(driver, VIRTIO_MMIO_DEVICE_ID, &id);
	if (error)
		return error;
	return magic == 0x74726976 && version == 2 && id == VIRTIO_ID_BLOCK ? 0 : -ENODEV;
}

/* Take what the driver knows of what the device offers. */
static int negotiate(struct driver *driver)
{
	const uint64_t known = FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
			       FEATURE(VIRTIO_BLK_F_SEG_MAX) | FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
			       FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_MQ) |
			       FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
	uint32_t half, bits = 0;
	int error = 0;

	driver->features = 0;
	for (half = 0; half < 2 && !error; half++) {
		error = driver_register_write(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, half);
		if (!error)
			error = driver_register_read(driver, VIRTIO_MMIO_DEVICE_FEATURES, &bits);
		bits &= (uint32_t)(known >> (32 * half));
		driver->features |= (uint64_t)bits << (32 * half);
		if (!error)
			error = driver_register_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL,
						      half);
		if (!error)
			error = driver_register_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, bits);
	}
	return error ? error : add_status(driver, VIRTIO_CONFIG_S_FEATURES_OK);
}

static int read_config(struct driver *driver)
{
	uint64_t config = driver->base + VIRTIO_MMIO_CONFIG, value;
	int error = xensim_mmio_read(driver->vcpu, config, 8, &driver->sectors);

	driver->queues = 1;
	if (error || !(driver->features & FEATURE(VIRTIO_BLK_F_MQ)))
		return error;
	error = xensim_mmio_read(
		driver->vcpu, config + offsetof(struct virtio_blk_config, num_queues), 2, &value);
	if (!error)
		driver->queues = value < DRIVER_QUEUES_MAX ? (uint32_t)value : DRIVER_QUEUES_MAX;
	return error;
}

static int set_address(struct driver *driver, uint32_t low, uint64_t gpa)
{
	int error = driver_register_write(driver, low, (uint32_t)gpa);

	return error ? error : driver_register_write(driver, low + 4, (uint32_t)(gpa >> 32));
}

static int start_queue(struct driver *driver, uint32_t index)
{
	static const char zeroes[PAGE_BYTES];
	struct driver_queue *queue = &driver->queue[index];
	uint64_t gpa = queue->gfn * PAGE_BYTES;
	uint32_t value;
	int error;

	queue->available = queue->used = 0;
	error = xensim_store(driver->vcpu, gpa, zeroes, sizeof(zeroes));
	if (!error)
		error = driver_register_write(driver, VIRTIO_MMIO_QUEUE_SEL, index);
	if (!error)
		error = driver_register_read(driver, VIRTIO_MMIO_QUEUE_NUM_MAX, &value);
	if (error || value < DRIVER_QUEUE_SIZE)
		return error ? error : -ENOTSUP;
	error = driver_register_write(driver, VIRTIO_MMIO_QUEUE_NUM, DRIVER_QUEUE_SIZE);
	if (!error)
		error = set_address(driver, VIRTIO_MMIO_QUEUE_DESC_LOW, gpa);
	if (!error)
		error = set_address(driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, gpa + DRIVER_AVAILABLE);
	if (!error)
		error = set_address(driver, VIRTIO_MMIO_QUEUE_USED_LOW, gpa + DRIVER_USED);
	if (!error)
		error = driver_register_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
	if (!error)
		error = driver_register_read(driver, VIRTIO_MMIO_QUEUE_READY, &value);
	return error ? error : value == 1 ? 0 : -EIO;
}

int driver_start(struct driver *driver)
{
	uint32_t i;
	int error = probe(driver);

	if (!error)
		error = reset(driver);
	if (!error)
		error = add_status(driver, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	if (!error)
		error = negotiate(driver);
	if (!error)
		error = read_config(driver);
	for (i = 0; i < driver->queues && !error; i++) {
		error = pool_take(driver->pool, &driver->queue[i].gfn, 1);
		if (!error)
			error = start_queue(driver, i);
	}
	return error ? error : add_status(driver, VIRTIO_CONFIG_S_DRIVER_OK);
}

int driver_stop(struct driver *driver)
{
	int error = reset(driver);
	uint32_t i;

	for (i = 0; i < driver->queues && !error; i++)
		pool_give(driver->pool, &driver->queue[i].gfn, 1);
	return error;
}
