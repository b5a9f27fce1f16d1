/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a request: INVALIDATE is answered here; the rest goes to the handler, `rep stos`
 * item by item, and may be answered later by another thread.
 */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/ioreq/ioreq.h"

/* One more, how long all have taken, and the longest. Returns how long this one has, in ns. */
static uint64_t count_time(uint64_t since, mapcache_atomic_u64 *count, mapcache_atomic_u64 *all,
			   mapcache_atomic_u64 *longest)
{
	uint64_t ns = clock_ns() - since;

	ioreq_count(count, 1);
	ioreq_count(all, ns);
	if (mapcache_load_relaxed(longest) < ns)
		mapcache_store_relaxed(longest, ns);
	return ns;
}

static void put_result(struct ioreq_vcpu *mine, uint64_t data, int error)
{
	mapcache_store_relaxed(&mine->data, data);
	mapcache_store_relaxed(&mine->failed, error < 0);
}

static void refuse(struct mapcache_ioreq *server, struct ioreq_vcpu *mine, const char *who,
		   const struct ioreq *raw, uint32_t vcpu)
{
	ioreq_count(&mine->count.refused, 1);
	log_message(server->cache, MAPCACHE_LOG_WARNING,
		    "ioreq: %s %u: refused type %u size %u count %u address 0x%llx", who, vcpu,
		    raw->type, raw->size, raw->count, (unsigned long long)raw->addr);
}

static int call_handler(struct mapcache_ioreq *server, struct mapcache_client *client,
			struct ioreq_vcpu *mine, struct mapcache_request *request)
{
	uint64_t start = clock_ns(), ns;
	int error = server->options.handler(server->options.handler_data, client, request);

	ns = count_time(start, &mine->count.items, &mine->count.handler_ns,
			&mine->count.handler_ns_max);
	PROBE4(handler, server->cache, request->vcpu, ns, error);
	return error;
}

static int answer(struct mapcache_ioreq *server, uint32_t vcpu)
{
	struct ioreq_vcpu *mine = &server->vcpu[vcpu];
	uint64_t ns;

	if (mine->request.type == IOREQ_TYPE_INVALIDATE)
		ns = count_time(mine->since, &mine->count.invalidates, &mine->count.invalidate_ns,
				&mine->count.invalidate_ns_max);
	else
		ns = count_time(mine->since, &mine->count.requests, &mine->count.request_ns,
				&mine->count.request_ns_max);
	PROBE4(answer, server->cache, vcpu, mine->request.type, ns);
	ioreq_answer(mine, server->link.slots + vcpu);
	return 1;
}

/* The next item. False: its answer is for mapcache_ioreq_complete() to go on with. */
static bool hand_on(struct mapcache_ioreq *server, struct mapcache_client *client,
		    struct ioreq_vcpu *mine)
{
	struct mapcache_request request = mine->request;
	uint64_t id = handoff_hand_out(&mine->word);
	int error;

	if (mine->items > 1) {
		request.addr = ioreq_check_item(&mine->request, mine->item);
		request.count = 1;
	}
	request.id = id;
	mine->item++;
	error = call_handler(server, client, mine, &request);
	if (handoff_answered(&mine->word, id)) {
		put_result(mine, request.data, error);
	} else {
		ioreq_count(&mine->count.deferred, 1);
		if (handoff_wait(&mine->word, id))
			return false;
	}
	ioreq_count(&mine->count.failed, mapcache_load_relaxed(&mine->failed));
	return true;
}

/* From mine->item on. 1: answered; 0: deferred. */
static int serve_items(struct mapcache_ioreq *server, struct mapcache_client *client, uint32_t vcpu)
{
	struct ioreq_vcpu *mine = &server->vcpu[vcpu];

	while (mine->item < mine->items)
		if (!hand_on(server, client, mine))
			return 0;
	return answer(server, vcpu);
}

static void serve_buffered(struct mapcache_ioreq *server, struct mapcache_client *client,
			   const struct ioreq *raw)
{
	struct ioreq_vcpu *mine = &server->vcpu[server->slots];
	struct mapcache_request request;

	ioreq_count(&mine->count.buffered, 1);
	/* Xen tells every server of the guest's clock, whatever it is for. */
	if (raw->type == IOREQ_TYPE_TIMEOFFSET &&
	    !(server->options.flags & MAPCACHE_IOREQ_ALL_TYPES))
		return;
	if (raw->dir != IOREQ_WRITE ||
	    ioreq_check_request(raw, MAPCACHE_IOREQ_NO_VCPU, server->options.flags, &request) < 0) {
		refuse(server, mine, "buffered", raw, 0);
		return;
	}
	request.buffered = true;
	if (call_handler(server, client, mine, &request) < 0)
		ioreq_count(&mine->count.failed, 1);
}

static int serve_ring(struct mapcache_ioreq *server, struct mapcache_client *client, int max)
{
	struct ioreq raw;
	int served = 0;

	for (; served < max && ioreq_take_buffered(server, &raw); served++)
		serve_buffered(server, client, &raw);
	return served;
}

/* A request that is refused or fails is answered all the same (H): its vCPU waits. */
static int serve(struct mapcache_ioreq *server, struct mapcache_client *client, uint32_t vcpu,
		 const struct ioreq *raw)
{
	struct ioreq_vcpu *mine = &server->vcpu[vcpu];

	mine->since = clock_ns();
	mine->item = 0;
	mine->items = ioreq_check_request(raw, vcpu, server->options.flags, &mine->request);
	put_result(mine, 0, mine->items);
	if (raw->type == IOREQ_TYPE_INVALIDATE) {
		ioreq_invalidate(server);
		return answer(server, vcpu);
	}
	/* What is in the ring was written before the request, by this vCPU among others. No more
	 * than all of it: the others go on writing. */
	serve_ring(server, client, IOREQ_BUFFER_SLOT_NUM);
	if (mine->items < 0)
		refuse(server, mine, "vCPU", raw, vcpu);
	return serve_items(server, client, vcpu);
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
	/* Nothing of the vCPU's may be touched yet: the request before this one may be deferred. */
	if (!ioreq_enabled(server) || !ioreq_take(server->link.slots + vcpu, &raw))
		return 0;
	ioreq_look_past(server, vcpu);
	return serve(server, client, vcpu, &raw);
}

int mapcache_ioreq_handle_buffered(struct mapcache_ioreq *server, struct mapcache_client *client,
				   int max)
{
	/* What is taken off the ring gets to the handler. */
	CANCEL_DEFERRED;

	if (server == NULL || client == NULL || max <= 0 || mapcache_inside_inline(client))
		return -EINVAL;
	if (server->link.ring == NULL)
		return -EOPNOTSUPP;
	return ioreq_enabled(server) ? serve_ring(server, client, max) : 0;
}

int mapcache_ioreq_defer(struct mapcache_ioreq *server, const struct mapcache_request *request)
{
	/* What came by the ring has no id, and no vCPU. */
	if (server == NULL || request == NULL || request->vcpu >= server->slots || !request->id)
		return -EINVAL;
	return handoff_defer(&server->vcpu[request->vcpu].word, request->id) ? 0 : -EINVAL;
}

int mapcache_ioreq_complete(struct mapcache_ioreq *server, struct mapcache_client *client,
			    const struct mapcache_request *request, int error)
{
	/* As in mapcache_ioreq_handle(). */
	CANCEL_DEFERRED;
	struct ioreq_vcpu *mine;

	if (server == NULL || client == NULL || request == NULL || request->vcpu >= server->slots ||
	    mapcache_inside_inline(client))
		return -EINVAL;
	mine = &server->vcpu[request->vcpu];
	if (!handoff_wants(&mine->word, request->id))
		return -ENOENT;
	put_result(mine, request->data, error);
	switch (handoff_claim(&mine->word, request->id)) {
	case HANDOFF_WAITING:
		ioreq_count(&mine->count.failed, mapcache_load_relaxed(&mine->failed));
		return serve_items(server, client, request->vcpu);
	case HANDOFF_DEFERRED:
		return 0;
	default:
		return -ENOENT;
	}
}
