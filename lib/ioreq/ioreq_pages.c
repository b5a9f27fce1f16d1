/* SPDX-License-Identifier: MIT */
/*
 * The pages that a server shares with Xen: a slot for each vCPU, and the ring.
 *
 * The state of a slot is passed back and forth:
 *
 *   who     from -> to                         how
 *   Xen     NONE -> IOREQ_READY                after the fields, write barrier between
 *   server  IOREQ_READY -> IOREQ_INPROCESS     acquire before, nothing needed after
 *   server  IOREQ_INPROCESS -> IORESP_READY    release
 *   Xen     IORESP_READY -> NONE               read barrier, then takes data
 *
 * Any other step by the server makes Xen crash the guest.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/ioreq/ioreq.h"

/* ---- slots ------------------------------------------------------------------------------- */

/*
 * state is a bit-field of four bits that shares its byte with data_is_ptr, dir and df, and
 * no atomic operation can name it; so the byte is accessed. Only one side writes to a slot at
 * a time, hence no read-modify-write is needed to keep the other three fields.
 */
#define STATE_BYTE 30u
#define STATE_MASK 0xfu

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the place of state in its byte is known for little endian only, as Xen itself is"
#endif
_Static_assert(sizeof(struct ioreq) == 32, "the slot is part of Xen's ABI");
_Static_assert(offsetof(struct ioreq, _pad0) + sizeof(uint16_t) == STATE_BYTE &&
		       offsetof(struct ioreq, type) == STATE_BYTE + 1,
	       "the bit-fields fill the byte between _pad0 and type");

static uint8_t *state_byte(struct ioreq *slot)
{
	return (uint8_t *)slot + STATE_BYTE;
}

bool ioreq_take(struct ioreq *slot, struct ioreq *copy)
{
	/*
	 * Acquire: pairs with the write barrier that Xen (ioreq_send()) puts between filling
	 * the slot and setting IOREQ_READY. Who sees that state sees the request it is for.
	 */
	uint8_t byte = __atomic_load_n(state_byte(slot), __ATOMIC_ACQUIRE);

	if ((byte & STATE_MASK) != STATE_IOREQ_READY)
		return false;
	/* No order needed: Xen only looks whether the state went backwards. */
	__atomic_store_n(state_byte(slot), (uint8_t)((byte & ~STATE_MASK) | STATE_IOREQ_INPROCESS),
			 __ATOMIC_RELAXED);
	memcpy(copy, slot, sizeof(*copy));
	/* The compiler may not go back to the slot for what it has copied. */
	mapcache_fence_light();
	return true;
}

/* What a read gets. With data_is_ptr that went to guest memory: the handler's to write. */
static void put_data(const struct ioreq_vcpu *vcpu, struct ioreq *slot)
{
	if (vcpu->request.write)
		return;
	if (mapcache_load_relaxed(&vcpu->failed))
		slot->data = ~UINT64_C(0);
	else if (!vcpu->request.data_is_ptr)
		slot->data = ioreq_check_low_bytes(mapcache_load_relaxed(&vcpu->data),
						   vcpu->request.size);
}

void ioreq_answer(const struct ioreq_vcpu *vcpu, struct ioreq *slot)
{
	uint8_t byte = __atomic_load_n(state_byte(slot), __ATOMIC_RELAXED);

	put_data(vcpu, slot);
	/*
	 * Release: pairs with the read barrier that Xen (wait_for_io()) puts between seeing
	 * IORESP_READY and going on. It orders three things before the guest's next
	 * instruction: data in the slot; what the handler wrote to guest memory; and, for
	 * INVALIDATE, the new epoch. The last pairs with whatever tells another thread of
	 * this process that the guest went on: by then the epoch has moved (A).
	 */
	__atomic_store_n(state_byte(slot), (uint8_t)((byte & ~STATE_MASK) | STATE_IORESP_READY),
			 __ATOMIC_RELEASE);
}

/* A vCPU past the count that the embedder gave: it is served like the others if it asks. */
static void told_past(struct mapcache_ioreq *server, uint32_t vcpu, const char *what)
{
	if (mapcache_load_relaxed(&server->past_told))
		return;
	mapcache_store_relaxed(&server->past_told, 1);
	log_message(server->cache, MAPCACHE_LOG_WARNING,
		    "ioreq: vCPU %u %s, past the %u that the server was opened for", vcpu, what,
		    server->options.vcpus);
}

/*
 * Nobody may have bound its channel, and then it waits for ever; nobody is told. So with each
 * request that is served one more slot past the count is looked at.
 */
void ioreq_look_past(struct mapcache_ioreq *server, uint32_t vcpu)
{
	uint64_t next = mapcache_load_relaxed(&server->vcpu[vcpu].count.requests);
	uint32_t first = server->options.vcpus, past;
	uint8_t byte;

	if (first >= server->slots)
		return;
	past = first + (uint32_t)(next % (server->slots - first));
	byte = __atomic_load_n(state_byte(server->link.slots + past), __ATOMIC_RELAXED);
	if ((byte & STATE_MASK) == STATE_IOREQ_READY)
		told_past(server, past, "has a request");
}

int mapcache_ioreq_vcpu_port(struct mapcache_ioreq *server, uint32_t vcpu)
{
	if (server == NULL || vcpu >= server->slots)
		return -EINVAL;
	if (!ioreq_enabled(server))
		return -EAGAIN;
	if (!server->link.slots[vcpu].vp_eport)
		return -ENOENT;
	if (vcpu >= server->options.vcpus)
		told_past(server, vcpu, "is asked for");
	return (int)server->link.slots[vcpu].vp_eport;
}

/*
 * ---- the ring ------------------------------------------------------------------------------
 *
 * Writes that the guest does not wait for. Xen fills it, moves the write pointer and notifies; we
 * move the read pointer. Both count up, and Xen takes a multiple of the slots off both at once
 * when they have grown, so that both are read at once, too, and ours is moved by an addition and
 * never stored (HVM_IOREQSRV_BUFIOREQ_ATOMIC).
 */
typedef uint64_t __attribute__((may_alias, aligned(8))) ring_pointers;

_Static_assert(sizeof(struct buffered_iopage) <= 4096, "the ring is a page");
_Static_assert(sizeof(struct buf_ioreq) == 8, "a slot is part of Xen's ABI");
_Static_assert(offsetof(struct buffered_iopage, read_pointer) == 0 &&
		       offsetof(struct buffered_iopage, write_pointer) == 4,
	       "the pointers are one word");

/* As if it had come by a slot of a vCPU. Returns how many of the ring's it has: eight bytes two. */
static uint32_t unpack(const struct buffered_iopage *ring, uint32_t place, struct ioreq *request)
{
	struct buf_ioreq slot = ring->buf_ioreq[place % IOREQ_BUFFER_SLOT_NUM];
	struct buf_ioreq more = ring->buf_ioreq[(place + 1) % IOREQ_BUFFER_SLOT_NUM];

	*request = (struct ioreq){ .type = slot.type,
				   .dir = slot.dir,
				   .size = 1u << slot.size,
				   .count = 1,
				   .addr = slot.addr,
				   .data = slot.data };
	if (slot.size < 3)
		return 1;
	request->data |= (uint64_t)more.data << 32;
	return 2;
}

bool ioreq_take_buffered(struct mapcache_ioreq *server, struct ioreq *request)
{
	struct buffered_iopage *ring = server->link.ring;
	uint32_t filled, slots;
	uint64_t pointers;

	if (ring == NULL)
		return false;
	/* Acquire: pairs with the write barrier that Xen puts between filling a slot and moving
	 * its pointer past it. */
	pointers = __atomic_load_n((const ring_pointers *)__builtin_assume_aligned(ring, 8),
				   __ATOMIC_ACQUIRE);
	filled = (uint32_t)(pointers >> 32) - (uint32_t)pointers;
	if (filled == 0)
		return false;
	slots = unpack(ring, (uint32_t)pointers, request);
	/* It does not happen with a Xen that is sound, and must not keep us busy with one that is
	 * not: all of it is skipped. */
	if (filled > IOREQ_BUFFER_SLOT_NUM || slots > filled) {
		ioreq_count(&server->vcpu[server->slots].count.refused, 1);
		log_message(server->cache, MAPCACHE_LOG_ERROR,
			    "ioreq: the ring of buffered requests is out of step by %u slots",
			    filled);
		slots = 0;
	}
	/* The compiler may not go back to the slots for what it has copied. Release: pairs with
	 * Xen's look at the pointer before it fills the slots anew: they are ours until here. */
	mapcache_fence_light();
	__atomic_fetch_add(&ring->read_pointer, slots ? slots : filled, __ATOMIC_RELEASE);
	return slots;
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
