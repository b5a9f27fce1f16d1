/* SPDX-License-Identifier: MIT */
/* Rings and requests of the guest's driver; registers are in driver_setup.c. */
#include "driver.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "bench/random.h"
#include "driver_setup.h"

#define STATUS_OFFSET 64u
#define TABLE_OFFSET 128u
#define STATUS_PENDING 0xffu
#define WAIT_MS 2

/* ---- pages -------------------------------------------------------------------------------- */

static uint32_t data_pages(const struct driver_request *request)
{
	bool has_data = request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_OUT;

	return has_data ? (request->bytes + PAGE_BYTES - 1) / PAGE_BYTES : 0;
}

int driver_take_pages(struct driver *driver, struct driver_request *request)
{
	request->pages = 1 + data_pages(request);
	return pool_take(driver->pool, request->page, request->pages);
}

void driver_give_pages(struct driver *driver, struct driver_request *request)
{
	pool_give(driver->pool, request->page, request->pages);
	request->pages = 0;
}

int driver_fill(struct driver *driver, const struct driver_request *request, const void *buffer)
{
	uint32_t done;
	int error = 0;

	for (done = 0; done < request->bytes && !error; done += PAGE_BYTES) {
		uint32_t left = request->bytes - done;

		error = xensim_store(driver->vcpu,
				     request->page[1 + done / PAGE_BYTES] * PAGE_BYTES,
				     (const char *)buffer + done,
				     left < PAGE_BYTES ? left : PAGE_BYTES);
	}
	return error;
}

int driver_drain(struct driver *driver, const struct driver_request *request, void *buffer)
{
	uint32_t done;
	int error = 0;

	for (done = 0; done < request->bytes && !error; done += PAGE_BYTES) {
		uint32_t left = request->bytes - done;

		error = xensim_load(driver->vcpu, request->page[1 + done / PAGE_BYTES] * PAGE_BYTES,
				    (char *)buffer + done, left < PAGE_BYTES ? left : PAGE_BYTES);
	}
	return error;
}

/* ---- descriptors ---------------------------------------------------------------------------- */

static void add(struct vring_desc *table, uint32_t *count, uint64_t gpa, uint32_t len, bool in)
{
	table[*count] = (struct vring_desc){
		.addr = gpa,
		.len = len,
		.flags = in ? VRING_DESC_F_WRITE : 0,
	};
	(*count)++;
}

/* Header, data, status. One data page in some is cut in two at any byte, because a real
 * driver's buffers are not all pages. */
static uint32_t describe(struct driver *driver, const struct driver_request *request,
			 struct vring_desc *table)
{
	uint64_t head = request->page[0] * PAGE_BYTES;
	bool in = request->type == VIRTIO_BLK_T_IN;
	uint32_t count = 0, page, cuts = 0;

	add(table, &count, head, sizeof(struct virtio_blk_outhdr), false);
	if (request->type == VIRTIO_BLK_T_DISCARD || request->type == VIRTIO_BLK_T_WRITE_ZEROES)
		add(table, &count, head + sizeof(struct virtio_blk_outhdr),
		    sizeof(struct virtio_blk_discard_write_zeroes), false);
	for (page = 1; page < request->pages; page++) {
		uint64_t gpa = request->page[page] * PAGE_BYTES;
		uint32_t left = request->bytes - (page - 1) * PAGE_BYTES;
		uint32_t len = left < PAGE_BYTES ? left : PAGE_BYTES, cut;

		cut = cuts < 4 && random_below(&driver->random, 8) == 0
			      ? 1 + (uint32_t)random_below(&driver->random, len - 1)
			      : 0;
		if (cut) {
			add(table, &count, gpa, cut, in);
			cuts++;
		}
		add(table, &count, gpa + cut, len - cut, in);
	}
	add(table, &count, head + STATUS_OFFSET, 1, true);
	return count;
}

static int store_header(struct driver *driver, const struct driver_request *request)
{
	struct {
		struct virtio_blk_outhdr header;
		struct virtio_blk_discard_write_zeroes range;
	} first = {
		.header = { .type = request->type, .sector = request->sector },
		.range = { .sector = request->sector, .num_sectors = request->bytes / 512 },
	};
	uint8_t status = STATUS_PENDING;
	uint64_t gpa = request->page[0] * PAGE_BYTES;
	int error;

	if (request->type == VIRTIO_BLK_T_DISCARD || request->type == VIRTIO_BLK_T_WRITE_ZEROES)
		first.header.sector = 0;
	error = xensim_store(driver->vcpu, gpa, &first, sizeof(first));
	return error ? error : xensim_store(driver->vcpu, gpa + STATUS_OFFSET, &status, 1);
}

/* Link the table's entries, numbered from first on. */
static void link_entries(struct vring_desc *table, uint32_t count, uint32_t first)
{
	uint32_t i;

	for (i = 0; i + 1 < count; i++) {
		table[i].flags |= VRING_DESC_F_NEXT;
		table[i].next = (uint16_t)(first + i + 1);
	}
}

static int store_table(struct driver *driver, const struct driver_request *request)
{
	struct vring_desc table[DRIVER_DESCRIPTORS], indirect;
	uint32_t count = describe(driver, request, table);
	uint32_t first = request->slot * DRIVER_DESCRIPTORS;
	uint64_t ring = driver->queue[request->queue].gfn * PAGE_BYTES + first * sizeof(table[0]);
	uint64_t gpa = request->page[0] * PAGE_BYTES + TABLE_OFFSET;
	int error;

	if (!(driver->features & (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)) ||
	    random_below(&driver->random, 2) == 0) {
		link_entries(table, count, first);
		return xensim_store(driver->vcpu, ring, table, count * sizeof(table[0]));
	}
	link_entries(table, count, 0);
	indirect = (struct vring_desc){
		.addr = gpa,
		.len = count * (uint32_t)sizeof(table[0]),
		.flags = VRING_DESC_F_INDIRECT,
	};
	error = xensim_store(driver->vcpu, gpa, table, count * sizeof(table[0]));
	return error ? error : xensim_store(driver->vcpu, ring, &indirect, sizeof(indirect));
}

int driver_submit(struct driver *driver, struct driver_request *request)
{
	struct driver_queue *queue = &driver->queue[request->queue];
	uint64_t available = queue->gfn * PAGE_BYTES + DRIVER_AVAILABLE;
	uint16_t head;
	int error;

	for (request->slot = 0; request->slot < DRIVER_SLOTS; request->slot++)
		if (!queue->request[request->slot])
			break;
	if (request->slot == DRIVER_SLOTS)
		return -EBUSY;
	request->done = false;
	head = (uint16_t)(request->slot * DRIVER_DESCRIPTORS);
	error = store_header(driver, request);
	if (!error)
		error = store_table(driver, request);
	if (!error)
		error = xensim_store(driver->vcpu,
				     available + offsetof(struct vring_avail, ring) +
					     2u * (queue->available % DRIVER_QUEUE_SIZE),
				     &head, sizeof(head));
	/* Released to the device, with all that was stored before. */
	if (!error)
		error = xensim_store16(driver->vcpu, available + offsetof(struct vring_avail, idx),
				       ++queue->available);
	if (error)
		return error;
	queue->request[request->slot] = request;
	return driver_register_write(driver, VIRTIO_MMIO_QUEUE_NOTIFY, request->queue);
}

/* ---- completion ------------------------------------------------------------------------------ */

static int finish(struct driver *driver, struct driver_queue *queue, uint32_t head)
{
	struct driver_request *request;
	uint32_t slot = head / DRIVER_DESCRIPTORS;

	if (head % DRIVER_DESCRIPTORS || slot >= DRIVER_SLOTS || !queue->request[slot])
		return -EPROTO;
	request = queue->request[slot];
	queue->request[slot] = NULL;
	request->done = true;
	return xensim_load(driver->vcpu, request->page[0] * PAGE_BYTES + STATUS_OFFSET,
			   &request->status, 1);
}

static int collect(struct driver *driver, struct driver_queue *queue)
{
	uint64_t ring = queue->gfn * PAGE_BYTES + DRIVER_USED;
	uint16_t index;
	int error = xensim_load16(driver->vcpu, ring + offsetof(struct vring_used, idx), &index);

	while (!error && queue->used != index) {
		struct vring_used_elem element;

		error = xensim_load(driver->vcpu,
				    ring + offsetof(struct vring_used, ring) +
					    sizeof(element) * (queue->used % DRIVER_QUEUE_SIZE),
				    &element, sizeof(element));
		queue->used++;
		if (!error)
			error = finish(driver, queue, element.id);
	}
	return error;
}

/* What the interrupt handler does: which interrupt, acknowledge it. */
static int acknowledge(struct driver *driver)
{
	uint64_t count;
	uint32_t bits;
	int error;

	if (read(driver->interrupt, &count, sizeof(count)) < 0)
		return errno == EAGAIN ? 0 : -errno;
	driver->interrupts += count;
	error = driver_register_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS, &bits);
	if (!error && bits)
		error = driver_register_write(driver, VIRTIO_MMIO_INTERRUPT_ACK, bits);
	if (!error && (bits & VIRTIO_MMIO_INT_CONFIG)) {
		error = driver_register_read(driver, VIRTIO_MMIO_STATUS, &bits);
		if (!error && (bits & VIRTIO_CONFIG_S_NEEDS_RESET))
			error = -EIO;
	}
	return error;
}

int driver_wait(struct driver *driver)
{
	struct pollfd fd = { .fd = driver->interrupt, .events = POLLIN };
	uint32_t i;
	int error;

	if (xensim_vcpu_stopping(driver->vcpu))
		return -ESHUTDOWN;
	if (poll(&fd, 1, WAIT_MS) < 0 && errno != EINTR)
		return -errno;
	error = acknowledge(driver);
	for (i = 0; i < driver->queues && !error; i++)
		error = collect(driver, &driver->queue[i]);
	return error;
}
