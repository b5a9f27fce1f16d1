/* SPDX-License-Identifier: MIT */
/* The driver's pencil of the virtio tests. */
#define _GNU_SOURCE
#include "virtio_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- hooks -------------------------------------------------------------------------------- */

static void on_notify(void *data, uint32_t queue)
{
	struct virtio_rig *rig = data;

	rig->notified++;
	rig->last_queue = queue;
}

static void on_interrupt(void *data, bool level)
{
	struct virtio_rig *rig = data;

	if (level)
		rig->raised++;
	else
		rig->lowered++;
}

/* ---- registers ---------------------------------------------------------------------------- */

uint32_t reg_read(struct virtio_rig *rig, uint64_t offset)
{
	uint64_t value;

	assert_int_equal(virtio_mmio_read(&rig->blk.device, offset, 4, &value), 0);
	return (uint32_t)value;
}

void reg_write(struct virtio_rig *rig, uint64_t offset, uint32_t value)
{
	assert_int_equal(virtio_mmio_write(&rig->blk.device, offset, 4, value), 0);
}

static void set_address(struct virtio_rig *rig, uint64_t low, uint64_t gpa)
{
	reg_write(rig, low, (uint32_t)gpa);
	reg_write(rig, low + 4, (uint32_t)(gpa >> 32));
}

uint64_t device_address(const struct virtio_rig *rig, uint64_t gpa)
{
	if (!rig->first_reference || gpa >= RAM_PAGES * UINT64_C(4096))
		return gpa;
	return GUEST_GRANT | (((uint64_t)rig->first_reference << 12) + gpa);
}

static void set_queue(struct virtio_rig *rig, uint32_t queue)
{
	static const char zeroes[RING_STRIDE];
	uint64_t ring = RING + queue * RING_STRIDE;

	ram_write(rig, ring, zeroes, sizeof(zeroes));
	rig->available[queue] = 0;
	reg_write(rig, VIRTIO_MMIO_QUEUE_SEL, queue);
	reg_write(rig, VIRTIO_MMIO_QUEUE_NUM, rig->queue_size);
	set_address(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, device_address(rig, ring));
	set_address(rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, device_address(rig, ring + AVAILABLE));
	set_address(rig, VIRTIO_MMIO_QUEUE_USED_LOW, device_address(rig, ring + USED));
	reg_write(rig, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(reg_read(rig, VIRTIO_MMIO_QUEUE_READY), 1);
}

void virtio_rig_negotiate(struct virtio_rig *rig, uint64_t refused)
{
	uint64_t features = rig->blk.device.features & ~refused;
	uint32_t queue, status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	reg_write(rig, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(reg_read(rig, VIRTIO_MMIO_STATUS), 0);
	reg_write(rig, VIRTIO_MMIO_STATUS, status);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	reg_write(rig, VIRTIO_MMIO_STATUS, status);
	assert_int_equal(reg_read(rig, VIRTIO_MMIO_STATUS), status);
	for (queue = 0; queue < rig->blk.device.queue_count; queue++)
		set_queue(rig, queue);
	reg_write(rig, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* ---- grants ------------------------------------------------------------------------------ */

/* All of RAM: references that follow each other, as a driver takes them for one buffer. */
static void open_grants(struct virtio_rig *rig)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = xensim_domid(rig->rig.domain),
					    .max_bytes = 1 << 20,
					    .backend = &mapcache_backend_grants_read_only };

	assert_int_equal(mapcache_open(&options, &rig->grants[0]), 0);
	options.backend = &mapcache_backend_grants;
	assert_int_equal(mapcache_open(&options, &rig->grants[1]), 0);
	for (uint32_t gfn = 0; gfn < RAM_PAGES; gfn++) {
		uint32_t reference = xensim_grant(rig->rig.domain, gfn, false);

		if (!gfn)
			rig->first_reference = reference;
		assert_int_equal(reference, rig->first_reference + gfn);
	}
}

/* ---- start and stop ----------------------------------------------------------------------- */

void virtio_rig_start(struct virtio_rig *rig, const struct virtio_rig_options *options)
{
	static const struct virtio_rig_options none;
	struct virtio_blk_options device = {
		.serial = "a serial of 20 bytes",
		.hooks = { on_notify, on_interrupt, rig },
	};
	struct rig_options guest = { .ram_pages = RAM_PAGES };
	char path[64];

	options = options ? options : &none;
	memset(rig, 0, sizeof(*rig));
	guest.cache.bucket_shift = options->bucket_shift;
	rig_start(&rig->rig, &guest);
	assert_int_equal(mapcache_client_open(rig->rig.cache, &rig->client), 0);
	if (options->grants)
		open_grants(rig);
	memcpy(device.grants, rig->grants, sizeof(device.grants));
	rig->image = memfd_create("disk", MFD_CLOEXEC);
	assert_true(rig->image >= 0);
	assert_int_equal(ftruncate(rig->image, DISK_BYTES), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", rig->image);
	assert_int_equal(
		blk_file_open(path, options->read_only ? BLK_FILE_READ_ONLY : 0, &rig->file), 0);
	rig->queue_size = options->queue_size ? options->queue_size : QUEUE_SIZE;
	device.queue_size = rig->queue_size;
	device.queues = options->queues;
	assert_int_equal(virtio_blk_open(&device, &rig->file, &rig->blk), 0);
	virtio_rig_negotiate(rig, options->refused);
}

void virtio_rig_stop(struct virtio_rig *rig)
{
	virtio_blk_close(&rig->blk);
	blk_file_close(&rig->file);
	close(rig->image);
	for (int i = 0; i < 2 && rig->grants[i]; i++)
		assert_int_equal(mapcache_close(rig->grants[i]), 0);
	assert_int_equal(mapcache_client_close(rig->client), 0);
	/* Fails with -EBUSY when a pin is left. */
	rig_stop(&rig->rig);
}

/* ---- memory and image --------------------------------------------------------------------- */

void ram_write(struct virtio_rig *rig, uint64_t gpa, const void *bytes, size_t len)
{
	assert_int_equal(xensim_guest_write(rig->rig.domain, gpa, bytes, len), 0);
}

void ram_read(struct virtio_rig *rig, uint64_t gpa, void *bytes, size_t len)
{
	assert_int_equal(xensim_guest_read(rig->rig.domain, gpa, bytes, len), 0);
}

/* The INVALIDATE that a guest's own hypercall would have sent is done here by hand. */
void ram_hole(struct virtio_rig *rig, uint64_t gpa)
{
	uint64_t gfn = gpa >> 12;

	assert_int_equal(xensim_outside_decrease(rig->rig.domain, &gfn, 1), 1);
	mapcache_invalidate(rig->rig.cache);
}

void ram_back(struct virtio_rig *rig, uint64_t gpa)
{
	uint64_t gfn = gpa >> 12;

	assert_int_equal(xensim_outside_populate(rig->rig.domain, &gfn, 1, 0), 1);
}

void image_write(struct virtio_rig *rig, uint64_t offset, const void *bytes, size_t len)
{
	assert_int_equal(pwrite(rig->image, bytes, len, (off_t)offset), len);
}

void image_read(struct virtio_rig *rig, uint64_t offset, void *bytes, size_t len)
{
	assert_int_equal(pread(rig->image, bytes, len, (off_t)offset), len);
}

/* ---- rings -------------------------------------------------------------------------------- */

void put_descriptor(struct virtio_rig *rig, uint32_t queue, uint32_t index, uint64_t gpa,
		    uint32_t len, uint32_t flags, uint32_t next)
{
	struct vring_desc descriptor = { device_address(rig, gpa), len, (uint16_t)flags,
					 (uint16_t)next };

	ram_write(rig, RING + queue * RING_STRIDE + index * sizeof(descriptor), &descriptor,
		  sizeof(descriptor));
}

void put_header(struct virtio_rig *rig, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	uint8_t status = NO_STATUS;

	ram_write(rig, HEADER, &header, sizeof(header));
	ram_write(rig, STATUS, &status, 1);
}

void offer(struct virtio_rig *rig, uint32_t queue, uint32_t head)
{
	uint64_t ring = RING + queue * RING_STRIDE + AVAILABLE;
	uint16_t entry = (uint16_t)head, slot = rig->available[queue]++ % rig->queue_size;

	ram_write(rig, ring + offsetof(struct vring_avail, ring) + 2u * slot, &entry, 2);
	ram_write(rig, ring + offsetof(struct vring_avail, idx), &rig->available[queue], 2);
}

uint16_t used_index(struct virtio_rig *rig, uint32_t queue)
{
	uint16_t index;

	ram_read(rig, RING + queue * RING_STRIDE + USED + offsetof(struct vring_used, idx), &index,
		 2);
	return index;
}

struct vring_used_elem used_element(struct virtio_rig *rig, uint32_t queue, uint32_t index)
{
	struct vring_used_elem element;

	ram_read(rig,
		 RING + queue * RING_STRIDE + USED + offsetof(struct vring_used, ring) +
			 sizeof(element) * (index % rig->queue_size),
		 &element, sizeof(element));
	return element;
}

uint32_t serve(struct virtio_rig *rig, uint32_t queue)
{
	return virtio_blk_process(&rig->blk, rig->client, queue);
}

uint8_t request(struct virtio_rig *rig, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t len,
		bool device_writes)
{
	uint32_t status_at = len ? 2 : 1;
	uint8_t status;

	put_header(rig, type, sector);
	put_descriptor(rig, 0, 0, HEADER, sizeof(struct virtio_blk_outhdr), NEXT, 1);
	if (len)
		put_descriptor(rig, 0, 1, gpa, len, NEXT | (device_writes ? WRITE : 0), 2);
	put_descriptor(rig, 0, status_at, STATUS, 1, WRITE, 0);
	offer(rig, 0, 0);
	serve(rig, 0);
	ram_read(rig, STATUS, &status, 1);
	return status;
}

/* ---- states ------------------------------------------------------------------------------- */

void assert_needs_reset(struct virtio_rig *rig)
{
	uint16_t before = used_index(rig, 0);

	assert_true(reg_read(rig, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(reg_read(rig, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	assert_true(rig->blk.device.error < 0);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), NO_STATUS);
	assert_int_equal(used_index(rig, 0), before);
}

void assert_works_after_reset(struct virtio_rig *rig)
{
	char sector[512], found[512];

	virtio_rig_negotiate(rig, 0);
	memset(sector, 0x3c, sizeof(sector));
	image_write(rig, 512, sector, sizeof(sector));
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 1, DATA, 512, true), VIRTIO_BLK_S_OK);
	ram_read(rig, DATA, found, sizeof(found));
	assert_memory_equal(found, sector, sizeof(found));
}

/* ---- spoilt chains ------------------------------------------------------------------------ */

void put_good_chain(struct virtio_rig *rig)
{
	put_header(rig, VIRTIO_BLK_T_IN, 0);
	put_descriptor(rig, 0, 0, HEADER, 16, NEXT, 1);
	put_descriptor(rig, 0, 1, DATA, 512, NEXT | WRITE, 2);
	put_descriptor(rig, 0, 2, STATUS, 1, WRITE, 0);
}

void virtio_rig_start_spoilable(struct virtio_rig *rig)
{
	virtio_rig_start(rig, NULL);
	put_good_chain(rig);
}

void assert_stops(struct virtio_rig *rig, int error)
{
	uint8_t status;

	offer(rig, 0, 0);
	assert_int_equal(serve(rig, 0), 0);
	assert_int_equal(used_index(rig, 0), 0);
	assert_int_equal(rig->blk.device.error, error);
	ram_read(rig, STATUS, &status, 1);
	assert_int_equal(status, NO_STATUS);
	assert_needs_reset(rig);
	assert_works_after_reset(rig);
	virtio_rig_stop(rig);
}
