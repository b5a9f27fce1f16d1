/* SPDX-License-Identifier: MIT */
/*
 * Xen's side of the request protocol: one slot for each vCPU in each server's page. Only the
 * vCPU that asked waits. It looks at its slot when it goes to sleep and whenever one of its
 * ports is notified: an answer without a notification is not seen.
 */
#include <string.h>

#include "private.h"

/* The byte that holds state, data_is_ptr, dir and df. */
#define STATE_OFFSET (offsetof(struct ioreq, type) - 1)
#define STATE_MASK 0x0f

struct pending {
	struct ioreq_server *server;
	bool sent;
};

static struct ioreq *slot_of(struct ioreq_server *server, uint32_t vcpu)
{
	struct shared_iopage *page = memory_address(server->ioreq_mfn);

	return &page->vcpu_ioreq[vcpu];
}

static uint8_t *state_byte(struct ioreq *slot)
{
	return (uint8_t *)slot + STATE_OFFSET;
}

static uint8_t flags_of(const struct ioreq *request)
{
	uint8_t byte;

	memcpy(&byte, (const uint8_t *)request + STATE_OFFSET, 1);
	return byte & (uint8_t)~STATE_MASK;
}

void ioreq_publish_ports(struct ioreq_server *server)
{
	uint32_t i;

	for (i = 0; i < server->domain->vcpu_count; i++)
		store_relaxed(&slot_of(server, i)->vp_eport, channel_port(server->channel[i]));
}

/* Put the request into the slot. False: the device model has left it in a wrong state. */
static bool post(struct xensim_vcpu *vcpu, struct ioreq_server *server, const struct ioreq *request)
{
	struct ioreq *slot = slot_of(server, vcpu->id);
	struct channel *channel = server->channel[vcpu->id];
	uint8_t flags = flags_of(request);

	if ((load_acquire(state_byte(slot)) & STATE_MASK) != STATE_IOREQ_NONE ||
	    load_relaxed(&slot->vp_eport) != channel_port(channel)) {
		add_relaxed(&host.protocol_errors, 1);
		return false;
	}
	store_relaxed(&slot->addr, request->addr);
	store_relaxed(&slot->data, request->data);
	store_relaxed(&slot->count, request->count);
	store_relaxed(&slot->size, request->size);
	store_relaxed(&slot->type, request->type);
	/* Release: pairs with the device model's acquire after it has seen READY. */
	store_release(state_byte(slot), (uint8_t)(flags | STATE_IOREQ_READY));
	channel_notify(channel);
	return true;
}

enum verdict { WAITING, ANSWERED, BROKEN };

/* One look at the slot. *before: the state at the last look. */
static enum verdict look(struct ioreq *slot, unsigned int *before, uint64_t *data)
{
	/* Acquire: pairs with the device model's release before RESP_READY. */
	uint8_t byte = load_acquire(state_byte(slot));
	unsigned int state = byte & STATE_MASK;

	if (state == STATE_IOREQ_NONE) {
		/* As if the emulator were dying. */
		add_relaxed(&host.protocol_errors, 1);
		*data = ~UINT64_C(0);
		return ANSWERED;
	}
	if (state < *before || state > STATE_IORESP_READY)
		return BROKEN;
	*before = state;
	if (state != STATE_IORESP_READY)
		return WAITING;
	*data = load_relaxed(&slot->data);
	store_release(state_byte(slot), (uint8_t)(byte & ~STATE_MASK));
	return ANSWERED;
}

static int await(struct xensim_vcpu *vcpu, struct ioreq_server *server, uint64_t *data)
{
	struct ioreq *slot = slot_of(server, vcpu->id);
	unsigned int before = STATE_IOREQ_NONE;

	for (;;) {
		uint64_t seen = vcpu_events(vcpu);

		if (load_acquire(&server->dead)) {
			*data = ~UINT64_C(0);
			return 0;
		}
		if (domain_stopping(vcpu->domain))
			return -ESHUTDOWN;
		switch (look(slot, &before, data)) {
		case ANSWERED:
			return 0;
		case BROKEN:
			domain_crash(vcpu->domain);
			return -ESHUTDOWN;
		case WAITING:
			vcpu_sleep(vcpu, seen);
		}
	}
}

int ioreq_send(struct xensim_vcpu *vcpu, struct ioreq_server *server, const struct ioreq *request,
	       uint64_t *data)
{
	int ret;

	*data = ~UINT64_C(0);
	if (domain_stopping(vcpu->domain))
		return -ESHUTDOWN;
	fault_request_hook(vcpu->domain->domid, server->id, vcpu->id, request);
	jitter();
	if (!post(vcpu, server, request))
		return 0;
	ret = await(vcpu, server, data);
	jitter();
	if (!ret)
		vcpu->leftover = *data;
	return ret;
}

static void send_invalidate(struct xensim_vcpu *vcpu, struct ioreq_server *server,
			    struct pending *pending)
{
	const struct ioreq request = {
		.type = IOREQ_TYPE_INVALIDATE,
		.size = 4,
		.dir = IOREQ_WRITE,
		.data = ~UINT64_C(0),
	};

	fault_request_hook(vcpu->domain->domid, server->id, vcpu->id, &request);
	jitter();
	pending->server = server;
	pending->sent = post(vcpu, server, &request);
	if (pending->sent)
		add_relaxed(&host.invalidates_sent, 1);
}

int ioreq_broadcast_invalidate(struct xensim_vcpu *vcpu)
{
	struct ioreq_server *list[MAX_SERVERS];
	struct pending pending[MAX_SERVERS];
	unsigned int i, count;
	uint64_t start, ignored;
	int ret = 0;

	/* While the domain goes down an INVALIDATE can be lost. */
	if (domain_stopping(vcpu->domain))
		return -ESHUTDOWN;
	count = server_list_enabled(vcpu->domain, list);
	if (!count)
		return 0;
	start = time_now();
	for (i = 0; i < count; i++)
		send_invalidate(vcpu, list[i], &pending[i]);
	for (i = 0; i < count; i++) {
		if (!ret && pending[i].sent)
			ret = await(vcpu, pending[i].server, &ignored);
		server_put(pending[i].server);
	}
	vcpu_account_wait(vcpu, time_now() - start);
	return ret;
}
