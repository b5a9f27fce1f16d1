/* SPDX-License-Identifier: MIT */
/*
 * The ring of buffered requests: what a vCPU need not wait for. Xen puts into it single stores to
 * the legacy video memory of a domain with its VGA emulation, and time offsets. A slot has 20 bits
 * of address and 32 of data; 64 bits of data take two.
 */
/* The values of toolstack interfaces. */
#define __XEN_TOOLS__ 1
#include <xendevicemodel.h>

#include "private.h"

#define VGA_START UINT64_C(0xa0000)
#define VGA_END UINT64_C(0xbffff)
#define ADDRESS_LIMIT UINT64_C(0x100000)

union pointers {
	struct {
		uint32_t read, write;
	};
	uint64_t both;
};

bool buffered_wanted(const struct xensim_domain *domain, const struct ioreq *request)
{
	return load_relaxed(&domain->stdvga) && request->type == IOREQ_TYPE_COPY &&
	       request->dir == IOREQ_WRITE && request->count == 1 && !request->data_is_ptr &&
	       request->addr >= VGA_START && request->addr + request->size - 1 <= VGA_END;
}

/* Both indexes by whole rings at once, so that they never overflow, whatever the device model does
 * to its own meanwhile. */
static void make_small(union pointers *pointers)
{
	union pointers old, new;
	unsigned int tries;

	for (tries = 0; tries < IOREQ_BUFFER_SLOT_NUM; tries++) {
		uint32_t rings;

		old.both = load_relaxed(&pointers->both);
		rings = old.read / IOREQ_BUFFER_SLOT_NUM;
		if (!rings)
			return;
		new.read = old.read - rings *IOREQ_BUFFER_SLOT_NUM;
		new.write = old.write - rings *IOREQ_BUFFER_SLOT_NUM;
		__atomic_compare_exchange_n(&pointers->both, &old.both, new.both, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
}

static bool put_locked(struct ioreq_server *server, const struct ioreq *request)
{
	struct buffered_iopage *page = memory_address(server->bufioreq_mfn);
	union pointers *pointers = (union pointers *)page;
	uint32_t write = load_relaxed(&pointers->write);
	uint32_t slots = request->size == 8 ? 2 : 1;
	struct buf_ioreq slot = {
		.type = request->type,
		.dir = request->dir,
		.size = (uint8_t)__builtin_ctz(request->size),
		.addr = (uint32_t)request->addr & (ADDRESS_LIMIT - 1),
		.data = (uint32_t)request->data,
	};

	/* Acquire: pairs with the device model's release of the slots that it has read. */
	if (write - load_acquire(&pointers->read) > IOREQ_BUFFER_SLOT_NUM - slots)
		return false;
	page->buf_ioreq[write % IOREQ_BUFFER_SLOT_NUM] = slot;
	slot.data = (uint32_t)(request->data >> 32);
	if (slots == 2)
		page->buf_ioreq[(write + 1) % IOREQ_BUFFER_SLOT_NUM] = slot;
	/* Release: pairs with the device model's acquire of the index: it sees the slots filled. */
	__atomic_fetch_add(&pointers->write, slots, __ATOMIC_RELEASE);
	if (server->buffered == HVM_IOREQSRV_BUFIOREQ_ATOMIC)
		make_small(pointers);
	return true;
}

bool buffered_send(struct xensim_vcpu *vcpu, struct ioreq_server *server,
		   const struct ioreq *request)
{
	struct xensim_domain *domain = server->domain;
	bool sent = false;

	if (request->addr >= ADDRESS_LIMIT || request->data_is_ptr || request->count != 1)
		return false;
	pthread_mutex_lock(&domain->ioreq_lock);
	if (server->bufioreq_mfn != XENSIM_INVALID_MFN)
		sent = put_locked(server, request);
	pthread_mutex_unlock(&domain->ioreq_lock);
	if (!sent)
		return false;
	fault_request_hook(domain->domid, server->id, vcpu->id, request);
	add_relaxed(&host.requests_buffered, UINT64_C(1));
	channel_notify(server->buffered_channel);
	return true;
}

int xensim_time_offset(struct xensim_vcpu *vcpu, int64_t seconds)
{
	struct ioreq_server *list[MAX_SERVERS];
	const struct ioreq request = {
		.type = IOREQ_TYPE_TIMEOFFSET,
		.size = 8,
		.count = 1,
		.dir = IOREQ_WRITE,
		.data = (uint64_t)seconds,
	};
	unsigned int i, count;
	int ret = vcpu_enter(vcpu);

	if (ret || !seconds)
		return ret;
	count = server_list_enabled(vcpu->domain, list);
	for (i = 0; i < count; i++) {
		buffered_send(vcpu, list[i], &request);
		server_put(list[i]);
	}
	return 0;
}

void xensim_domain_stdvga(struct xensim_domain *domain, bool on)
{
	store_relaxed(&domain->stdvga, on);
}
