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

#include "lib/ioreq/ioreq.h"
#include "lib/base/cancel.h"
#include "lib/base/log.h"

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

static void answer(struct ioreq *slot)
{
	uint8_t byte = __atomic_load_n(state_byte(slot), __ATOMIC_RELAXED);

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

/* Everything must go: the request carries no range. */
static void invalidate(struct mapcache_ioreq *server)
{
	uint64_t epoch = mapcache_invalidate(server->cache);

	if (!(server->options.flags & MAPCACHE_IOREQ_DRAIN))
		return;
	if (mapcache_drain(server->cache, epoch, (int)server->options.drain_ms, 0))
		log_message(server->cache, MAPCACHE_LOG_WARNING,
			    "ioreq: INVALIDATE answered after %u ms with a section still open",
			    server->options.drain_ms);
}

/* 0 or -errno; *data is what a read gets. */
static int hand_on(struct mapcache_ioreq *server, struct mapcache_client *client, uint32_t vcpu,
		   const struct ioreq *copy, uint64_t *data)
{
	struct mapcache_request request;
	int error = ioreq_check_request(copy, vcpu, &request);

	if (error) {
		log_message(server->cache, MAPCACHE_LOG_WARNING,
			    "ioreq: vcpu %u: refused type %u size %u count %u address 0x%llx", vcpu,
			    copy->type, copy->size, copy->count, (unsigned long long)copy->addr);
		return error;
	}
	error = server->options.handler(server->options.handler_data, client, &request);
	*data = request.data;
	return error;
}

/* A request that is refused or fails is answered all the same (H): its vCPU waits. */
static void serve(struct mapcache_ioreq *server, struct mapcache_client *client, uint32_t vcpu,
		  struct ioreq *slot, const struct ioreq *copy)
{
	uint64_t data = 0;
	int error;

	if (copy->type == IOREQ_TYPE_INVALIDATE) {
		invalidate(server);
		return;
	}
	error = hand_on(server, client, vcpu, copy, &data);
	if (copy->dir != IOREQ_READ)
		return;
	if (error < 0)
		slot->data = ~UINT64_C(0);
	else if (!copy->data_is_ptr)
		slot->data = data & (~UINT64_C(0) >> (64 - 8 * copy->size));
}

static bool in_section(const struct mapcache_client *client)
{
	return mapcache_inside_inline(client);
}

int mapcache_ioreq_handle(struct mapcache_ioreq *server, struct mapcache_client *client,
			  uint32_t vcpu)
{
	/* What is taken is answered: a vCPU waits for it, and Xen has no time-out. */
	CANCEL_DEFERRED;
	struct ioreq copy;

	if (server == NULL || client == NULL || vcpu >= server->options.vcpus || in_section(client))
		return -EINVAL;
	/* Acquire: pairs with the release in mapcache_ioreq_enable(), after Xen has cleared
	 * the page. */
	if (!mapcache_load_acquire(&server->enabled_once))
		return 0;
	if (!take(server->xen.slots + vcpu, &copy))
		return 0;
	serve(server, client, vcpu, server->xen.slots + vcpu, &copy);
	answer(server->xen.slots + vcpu);
	return 1;
}
