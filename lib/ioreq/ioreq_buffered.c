/* SPDX-License-Identifier: MIT */
/*
 * The ring of buffered requests: writes that the guest does not wait for. Xen fills it, moves the
 * write pointer and notifies; we move the read pointer. Both count up, and Xen takes a multiple of
 * the slots off both at once when they have grown, so that ours is moved by an addition and never
 * stored (HVM_IOREQSRV_BUFIOREQ_ATOMIC).
 */
#include <errno.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/base/cancel.h"
#include "lib/ioreq/ioreq.h"

/* How often Xen may bring the pointers back while they are read; once is rare. */
#define LOOKS 8

_Static_assert(sizeof(struct buffered_iopage) <= 4096, "the ring is a page");
_Static_assert(sizeof(struct buf_ioreq) == 8, "a slot is part of Xen's ABI");

/* How many slots are filled, and which is the first. */
static uint32_t look(struct buffered_iopage *ring, uint32_t *read)
{
	uint32_t write = 0, again;

	*read = __atomic_load_n(&ring->read_pointer, __ATOMIC_RELAXED);
	for (int i = 0; i < LOOKS; i++) {
		/*
		 * Acquire: pairs with the write barrier that Xen puts between filling a slot and
		 * moving the pointer past it; and the read pointer is looked at once more after
		 * it. Nobody else moves that up: if it is the same, both are of one count.
		 */
		write = __atomic_load_n(&ring->write_pointer, __ATOMIC_ACQUIRE);
		again = __atomic_load_n(&ring->read_pointer, __ATOMIC_ACQUIRE);
		if (again == *read)
			return write - *read;
		*read = again;
	}
	return 0;
}

/* Release: pairs with Xen's look at the pointer before it fills the slots anew: they are ours
 * until here. */
static void give_back(struct buffered_iopage *ring, uint32_t slots)
{
	__atomic_fetch_add(&ring->read_pointer, slots, __ATOMIC_RELEASE);
}

static struct buf_ioreq copy_slot(const struct buffered_iopage *ring, uint32_t number)
{
	struct buf_ioreq slot;

	memcpy(&slot, &ring->buf_ioreq[number % IOREQ_BUFFER_SLOT_NUM], sizeof(slot));
	return slot;
}

/* It does not happen with a Xen that is sound, and must not keep us busy with one that is not. */
static void skip(struct mapcache_ioreq *server, uint32_t filled)
{
	ioreq_count(&server->vcpu[server->slots].count.refused, 1);
	log_message(server->cache, MAPCACHE_LOG_ERROR,
		    "ioreq: the ring of buffered requests is out of step by %u slots", filled);
	give_back(server->link.ring, filled);
}

/* The next one, as if it had come by a slot; eight bytes take two slots. */
static bool take(struct mapcache_ioreq *server, struct ioreq *request)
{
	struct buffered_iopage *ring = server->link.ring;
	uint32_t read, filled = look(ring, &read), slots = 1;
	struct buf_ioreq slot;

	if (filled == 0)
		return false;
	slot = copy_slot(ring, read);
	*request = (struct ioreq){ .type = slot.type,
				   .dir = slot.dir,
				   .size = 1u << slot.size,
				   .count = 1,
				   .addr = slot.addr,
				   .data = slot.data };
	if (slot.size == 3)
		slots = 2;
	if (filled > IOREQ_BUFFER_SLOT_NUM || slots > filled) {
		skip(server, filled);
		return false;
	}
	if (slots == 2)
		request->data |= (uint64_t)copy_slot(ring, read + 1).data << 32;
	/* The compiler may not go back to the slots for what it has copied. */
	mapcache_fence_light();
	give_back(ring, slots);
	return true;
}

/*
 * What was in the ring when a vCPU's request was seen was written before it, by that vCPU among
 * others. No more than that: the others go on writing.
 */
void ioreq_empty_ring(struct mapcache_ioreq *server, struct mapcache_client *client)
{
	struct ioreq request;
	uint32_t read, filled;

	if (server->link.ring == NULL)
		return;
	filled = look(server->link.ring, &read);
	for (; filled > 0 && take(server, &request); filled--)
		ioreq_serve_buffered(server, client, &request);
}

int mapcache_ioreq_handle_buffered(struct mapcache_ioreq *server, struct mapcache_client *client,
				   int max)
{
	/* What is taken off the ring gets to the handler. */
	CANCEL_DEFERRED;
	struct ioreq request;
	int served = 0;

	if (server == NULL || client == NULL || max <= 0 || mapcache_inside_inline(client))
		return -EINVAL;
	if (server->link.ring == NULL)
		return -EOPNOTSUPP;
	/* Acquire: as in mapcache_ioreq_handle(). */
	if (!mapcache_load_acquire(&server->enabled_once))
		return 0;
	while (served < max && take(server, &request)) {
		ioreq_serve_buffered(server, client, &request);
		served++;
	}
	return served;
}

int mapcache_ioreq_buffered_port(struct mapcache_ioreq *server)
{
	uint32_t port;
	int error;

	if (server == NULL)
		return -EINVAL;
	if (server->link.ring == NULL)
		return -EOPNOTSUPP;
	error = ioreq_xen_ring_port(&server->link, &port);
	return error ? error : (int)port;
}
