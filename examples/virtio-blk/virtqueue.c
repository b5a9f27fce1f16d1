/* SPDX-License-Identifier: MIT */
/*
 * Split rings: take chains, give them back. The ring is touched inside short sections, one
 * aligned element at a time, so that it may cross buckets anywhere.
 */
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/virtio_ring.h>

#include "guest.h"
#include "virtqueue.h"

static bool misaligned_or_too_long(uint64_t gpa, uint64_t align, uint64_t len)
{
	return gpa % align || gpa + len < gpa;
}

int virtqueue_check(const struct virtqueue *queue)
{
	uint64_t size = queue->size;

	if (size == 0 || size > VIRTQUEUE_SIZE_MAX || (size & (size - 1)))
		return -EINVAL;
	if (misaligned_or_too_long(queue->descriptors, VRING_DESC_ALIGN_SIZE,
				   size * sizeof(struct vring_desc)) ||
	    misaligned_or_too_long(queue->available, VRING_AVAIL_ALIGN_SIZE, 6 + size * 2) ||
	    misaligned_or_too_long(queue->used, VRING_USED_ALIGN_SIZE, 6 + size * 8))
		return -EINVAL;
	return 0;
}

/*
 * One aligned element of the ring, inside a section of its own that the caller ends: between two
 * attempts the section ends, so that nobody waits for it.
 */
static void *element(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	int tries;

	for (tries = 0; tries < GUEST_RETRIES; tries++) {
		void *pointer;

		mapcache_begin(client);
		pointer = mapcache_ptr(client, gpa, len, prot);
		if (pointer)
			return pointer;
		mapcache_end(client);
		if (errno != EAGAIN)
			return NULL;
		sched_yield();
	}
	errno = EAGAIN;
	return NULL;
}

static int load16(const struct guest *guest, uint64_t gpa, uint16_t *value)
{
	struct mapcache_client *client = guest_client(guest, &gpa, PROT_READ);
	const uint16_t *pointer = client ? element(client, gpa, sizeof(*value), PROT_READ) : NULL;

	if (!pointer)
		return -errno;
	/* Acquire: pairs with the driver's release of avail->idx, so that the entries and
	 * descriptors it counts are seen. The other fields do not mind. */
	*value = __atomic_load_n(pointer, __ATOMIC_ACQUIRE);
	mapcache_end(client);
	return 0;
}

static int load_descriptor(const struct guest *guest, uint64_t gpa, struct vring_desc *copy)
{
	struct mapcache_client *client = guest_client(guest, &gpa, PROT_READ);
	const uint64_t *pointer = client ? element(client, gpa, sizeof(*copy), PROT_READ) : NULL;
	uint64_t word[2];

	if (!pointer)
		return -errno;
	/* Loaded once: the guest may change it while we look. */
	word[0] = __atomic_load_n(&pointer[0], __ATOMIC_RELAXED);
	word[1] = __atomic_load_n(&pointer[1], __ATOMIC_RELAXED);
	mapcache_end(client);
	memcpy(copy, word, sizeof(*copy));
	return 0;
}

static int store32(const struct guest *guest, uint64_t gpa, uint32_t value)
{
	struct mapcache_client *client = guest_client(guest, &gpa, PROT_READ | PROT_WRITE);
	uint32_t *pointer =
		client ? element(client, gpa, sizeof(value), PROT_READ | PROT_WRITE) : NULL;

	if (!pointer)
		return -errno;
	__atomic_store_n(pointer, value, __ATOMIC_RELAXED);
	mapcache_end(client);
	return 0;
}

static int add_segment(struct virtqueue_chain *chain, const struct vring_desc *descriptor)
{
	uint32_t count = chain->readable + chain->writable;

	if (count == VIRTQUEUE_SEGMENTS_MAX || descriptor->len == 0 ||
	    descriptor->addr + descriptor->len < descriptor->addr)
		return -EPROTO;
	if (descriptor->flags & VRING_DESC_F_WRITE)
		chain->writable++;
	else if (chain->writable)
		return -EPROTO; /* what the device reads comes first */
	else
		chain->readable++;
	chain->segment[count].gpa = descriptor->addr;
	chain->segment[count].len = descriptor->len;
	return 0;
}

/* Follow a chain through a private copy of an indirect table. */
static int walk_table(const struct vring_desc *table, uint32_t entries,
		      struct virtqueue_chain *chain)
{
	uint32_t index = 0, steps;

	for (steps = 0; steps < entries; steps++) {
		const struct vring_desc *descriptor = &table[index];
		int error;

		if (descriptor->flags & VRING_DESC_F_INDIRECT)
			return -EPROTO;
		error = add_segment(chain, descriptor);
		if (error)
			return error;
		if (!(descriptor->flags & VRING_DESC_F_NEXT))
			return 0;
		index = descriptor->next;
		if (index >= entries)
			return -EPROTO;
	}
	return -EPROTO; /* a loop */
}

static int walk_indirect(const struct guest *guest, const struct vring_desc *descriptor,
			 struct virtqueue_chain *chain)
{
	struct vring_desc table[VIRTQUEUE_SEGMENTS_MAX];
	uint32_t entries = descriptor->len / sizeof(table[0]);
	int error;

	if (entries == 0 || entries > VIRTQUEUE_SEGMENTS_MAX ||
	    descriptor->len % sizeof(table[0]) || (descriptor->flags & VRING_DESC_F_NEXT))
		return -EPROTO;
	chain->table = (struct virtqueue_segment){ descriptor->addr, descriptor->len };
	error = guest_read(guest, descriptor->addr, table, descriptor->len);
	return error ? error : walk_table(table, entries, chain);
}

static int walk(const struct virtqueue *queue, const struct guest *guest,
		struct virtqueue_chain *chain)
{
	uint32_t index = chain->head, steps;

	for (steps = 0; steps < queue->size; steps++) {
		struct vring_desc descriptor;
		int error;

		error = load_descriptor(guest, queue->descriptors + index * sizeof(descriptor),
					&descriptor);
		if (error)
			return error;
		if (descriptor.flags & VRING_DESC_F_INDIRECT) {
			/* Allowed when negotiated, and as the only descriptor of its chain. */
			if (!queue->indirect || steps)
				return -EPROTO;
			return walk_indirect(guest, &descriptor, chain);
		}
		error = add_segment(chain, &descriptor);
		if (error)
			return error;
		if (!(descriptor.flags & VRING_DESC_F_NEXT))
			return 0;
		index = descriptor.next;
		if (index >= queue->size)
			return -EPROTO;
	}
	return -EPROTO; /* a loop, or longer than the queue */
}

int virtqueue_pop(struct virtqueue *queue, const struct guest *guest, struct virtqueue_chain *chain)
{
	uint16_t index, waiting;
	uint64_t slot;
	int error;

	error = load16(guest, queue->available + offsetof(struct vring_avail, idx), &index);
	if (error)
		return error;
	waiting = (uint16_t)(index - queue->next_available);
	if (waiting == 0)
		return 0;
	if (waiting > queue->size)
		return -EPROTO;
	slot = queue->next_available & (queue->size - 1);
	error = load16(guest, queue->available + offsetof(struct vring_avail, ring) + slot * 2,
		       &chain->head);
	if (error)
		return error;
	if (chain->head >= queue->size)
		return -EPROTO;
	chain->readable = chain->writable = 0;
	chain->table.len = 0;
	error = walk(queue, guest, chain);
	if (error)
		return error;
	queue->next_available++;
	return 1;
}

int virtqueue_push(struct virtqueue *queue, const struct guest *guest, uint16_t head,
		   uint32_t written)
{
	uint64_t slot = queue->next_used & (queue->size - 1);
	uint64_t gpa = queue->used + offsetof(struct vring_used, ring) + slot * 8;
	struct mapcache_client *client;
	uint16_t *index, flags;
	int error;

	/* Two stores: an element is aligned to 4 and may straddle a bucket boundary. */
	error = store32(guest, gpa, head);
	if (!error)
		error = store32(guest, gpa + 4, written);
	if (error)
		return error;
	gpa = queue->used + offsetof(struct vring_used, idx);
	client = guest_client(guest, &gpa, PROT_READ | PROT_WRITE);
	index = client ? element(client, gpa, sizeof(*index), PROT_READ | PROT_WRITE) : NULL;
	if (!index)
		return -errno;
	queue->next_used++;
	/* Release: pairs with the driver's acquire load of used->idx. Who sees the new index
	 * sees the element, and the data and status of the request before it. */
	__atomic_store_n(index, queue->next_used, __ATOMIC_RELEASE);
	/* The store above before the flags below: pairs with the driver, which sets its flags
	 * and then looks at the index once more. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	mapcache_end(client);
	error = load16(guest, queue->available + offsetof(struct vring_avail, flags), &flags);
	if (error)
		return error;
	return !(flags & VRING_AVAIL_F_NO_INTERRUPT);
}
