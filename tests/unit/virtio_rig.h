/* SPDX-License-Identifier: MIT */
/*
 * A virtio block device on a rig, with a driver's pencil: tests write rings into guest
 * memory by hand, and look at what comes back. Everything runs on the test's thread.
 */
#ifndef TESTS_UNIT_VIRTIO_RIG_H
#define TESTS_UNIT_VIRTIO_RIG_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include <examples/virtio-blk/blk.h>
#include <tests/support/rig.h>

/* Guest memory; rings of queue q at RING + q * 0x4000, the rest is buffers. */
#define RAM_PAGES 1024u
#define RING UINT64_C(0x10000)
#define RING_STRIDE UINT64_C(0x4000)
#define AVAILABLE 0x1000u
#define USED 0x2000u
#define HEADER UINT64_C(0x20000)
#define STATUS UINT64_C(0x20100)
#define TABLE UINT64_C(0x20200)
#define DATA UINT64_C(0x30000)
#define BEYOND UINT64_C(0x10000000) /* no memory there */

#define QUEUE_SIZE 16u
#define DISK_BYTES (64u << 20) /* mostly holes */
#define NO_STATUS 0xeeu

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

struct virtio_rig {
	struct rig rig;
	struct mapcache_client *client;
	int image; /* a file in memory */
	uint32_t queue_size;
	struct blk_file file;
	struct virtio_blk blk;
	uint32_t notified, last_queue; /* calls of the hooks */
	int raised, lowered;
	struct mapcache *grants[2];
	uint32_t first_reference; /* of the page at 0; the others follow. 0: no grants */
	uint16_t available[VIRTIO_QUEUES_MAX]; /* indices as the driver counts them */
};

struct virtio_rig_options {
	uint32_t queues, queue_size, bucket_shift;
	bool read_only;
	bool grants;      /* all of RAM is granted, and the driver names it so */
	uint64_t refused; /* features that the driver does not take */
};

/* A running device: negotiated, all queues set up. options may be NULL. */
void virtio_rig_start(struct virtio_rig *rig, const struct virtio_rig_options *options);
void virtio_rig_stop(struct virtio_rig *rig);
/* The steps of a driver up to DRIVER_OK, after a reset. */
void virtio_rig_negotiate(struct virtio_rig *rig, uint64_t refused);

uint32_t reg_read(struct virtio_rig *rig, uint64_t offset);
void reg_write(struct virtio_rig *rig, uint64_t offset, uint32_t value);

/* What the driver calls it. */
uint64_t device_address(const struct virtio_rig *rig, uint64_t gpa);

/* Guest memory by the machine page. */
void ram_write(struct virtio_rig *rig, uint64_t gpa, const void *bytes, size_t len);
void ram_read(struct virtio_rig *rig, uint64_t gpa, void *bytes, size_t len);
void ram_hole(struct virtio_rig *rig, uint64_t gpa);
void ram_back(struct virtio_rig *rig, uint64_t gpa);

/* The image behind the device. */
void image_write(struct virtio_rig *rig, uint64_t offset, const void *bytes, size_t len);
void image_read(struct virtio_rig *rig, uint64_t offset, void *bytes, size_t len);

/* Rings. */
void put_descriptor(struct virtio_rig *rig, uint32_t queue, uint32_t index, uint64_t gpa,
		    uint32_t len, uint32_t flags, uint32_t next);
void put_header(struct virtio_rig *rig, uint32_t type, uint64_t sector);
void offer(struct virtio_rig *rig, uint32_t queue, uint32_t head);
uint16_t used_index(struct virtio_rig *rig, uint32_t queue);
struct vring_used_elem used_element(struct virtio_rig *rig, uint32_t queue, uint32_t index);
uint32_t serve(struct virtio_rig *rig, uint32_t queue);

/*
 * One whole request on queue 0: header, data (when len is not 0), status. Returns the status
 * byte, NO_STATUS when there was none.
 */
uint8_t request(struct virtio_rig *rig, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t len,
		bool device_writes);

/* A read of one sector in descriptors 0 to 2 of queue 0, for a test to spoil. */
void put_good_chain(struct virtio_rig *rig);
/* A device with default options and that chain, not yet offered. */
void virtio_rig_start_spoilable(struct virtio_rig *rig);
/* Offer descriptor 0: the device must stop with error and without a trace in guest memory; a
 * reset must cure it. Ends with virtio_rig_stop(). */
void assert_stops(struct virtio_rig *rig, int error);

/* The device has asked for a reset, has said so by an interrupt, and serves nothing. */
void assert_needs_reset(struct virtio_rig *rig);
/* After a reset it reads again. */
void assert_works_after_reset(struct virtio_rig *rig);

#endif
