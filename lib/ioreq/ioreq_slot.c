/* SPDX-License-Identifier: MIT */
/*
 * The protocol of one slot: the state that Xen and the server pass back and forth.
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
#include "lib/base/cancel.h"
#include "lib/ioreq/ioreq.h"

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

/* Whether there is a request; then *copy is all of it and the slot is ours. */
static bool take(struct ioreq *slot, struct ioreq *copy)
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
	if (vcpu->request.type == IOREQ_TYPE_INVALIDATE || vcpu->request.write)
		return;
	if (vcpu->failed)
		slot->data = ~UINT64_C(0);
	else if (!vcpu->request.data_is_ptr)
		slot->data = ioreq_check_low_bytes(vcpu->data, vcpu->request.size);
}

void ioreq_answer(struct mapcache_ioreq *server, uint32_t vcpu)
{
	struct ioreq *slot = server->link.slots + vcpu;
	uint8_t byte = __atomic_load_n(state_byte(slot), __ATOMIC_RELAXED);

	ioreq_count_answer(server, vcpu);
	put_data(&server->vcpu[vcpu], slot);
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
static void look_past(struct mapcache_ioreq *server)
{
	uint32_t next = mapcache_load_relaxed(&server->past_next), vcpu;
	uint8_t byte;

	if (server->options.vcpus >= server->slots || mapcache_load_relaxed(&server->past_told))
		return;
	/* Two threads may look at the same one: it is only about a message. */
	mapcache_store_relaxed(&server->past_next, next + 1);
	vcpu = server->options.vcpus + next % (server->slots - server->options.vcpus);
	byte = __atomic_load_n(state_byte(server->link.slots + vcpu), __ATOMIC_RELAXED);
	if ((byte & STATE_MASK) == STATE_IOREQ_READY)
		told_past(server, vcpu, "has a request");
}

int mapcache_ioreq_vcpu_port(struct mapcache_ioreq *server, uint32_t vcpu)
{
	if (server == NULL || vcpu >= server->slots)
		return -EINVAL;
	if (!mapcache_load_acquire(&server->enabled_once))
		return -EAGAIN;
	if (!server->link.slots[vcpu].vp_eport)
		return -ENOENT;
	if (vcpu >= server->options.vcpus)
		told_past(server, vcpu, "is asked for");
	return (int)server->link.slots[vcpu].vp_eport;
}

int mapcache_ioreq_handle(struct mapcache_ioreq *server, struct mapcache_client *client,
			  uint32_t vcpu)
{
	/* What is taken is answered: a vCPU waits for it, and Xen has no time-out. */
	CANCEL_DEFERRED;
	struct ioreq raw;

	if (server == NULL || client == NULL || vcpu >= server->slots ||
	    mapcache_inside_inline(client))
		return -EINVAL;
	/* Acquire: pairs with the release in mapcache_ioreq_enable(), after Xen has cleared
	 * the page. */
	if (!mapcache_load_acquire(&server->enabled_once))
		return 0;
	/* Nothing of the vCPU's may be touched yet: the request before this one may be deferred. */
	if (!take(server->link.slots + vcpu, &raw))
		return 0;
	look_past(server);
	if (!ioreq_serve(server, client, vcpu, &raw))
		return 0;
	ioreq_answer(server, vcpu);
	return 1;
}
