/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a request: INVALIDATE is answered here; the rest goes to the handler, `rep stos`
 * item by item, and may be answered later by another thread.
 */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/cancel.h"
#include "lib/base/probe.h"
#include "lib/ioreq/ioreq.h"

static void refuse(struct mapcache_ioreq *server, struct ioreq_vcpu *mine, const char *who,
		   const struct ioreq *raw, uint32_t vcpu)
{
	ioreq_count(&mine->count.refused, 1);
	mine->failed = true;
	log_message(server->cache, MAPCACHE_LOG_WARNING,
		    "ioreq: %s %u: refused type %u size %u count %u address 0x%llx", who, vcpu,
		    raw->type, raw->size, raw->count, (unsigned long long)raw->addr);
}

static int call_handler(struct mapcache_ioreq *server, struct mapcache_client *client,
			struct ioreq_vcpu *mine, struct mapcache_request *request)
{
	uint64_t start = clock_ns(), ns;
	int error = server->options.handler(server->options.handler_data, client, request);

	ns = ioreq_count_time(start, &mine->count.items, &mine->count.handler_ns,
			      &mine->count.handler_ns_max);
	PROBE4(handler, server->cache, request->vcpu, ns, error);
	return error;
}

static void take_result(struct ioreq_vcpu *mine, uint64_t data, int error)
{
	mine->data = data;
	mine->item++;
	if (error >= 0)
		return;
	mine->failed = true;
	ioreq_count(&mine->count.failed, 1);
}

static void take_answer(struct ioreq_vcpu *mine)
{
	take_result(mine, mapcache_load_relaxed(&mine->answer),
		    -(int)mapcache_load_relaxed(&mine->answer_error));
}

/* The next item. False: its answer is for mapcache_ioreq_complete() to go on with. */
static bool hand_on(struct mapcache_ioreq *server, struct mapcache_client *client,
		    struct ioreq_vcpu *mine, struct mapcache_request request)
{
	uint64_t id = handoff_hand_out(&mine->word);
	int error;

	request.id = id;
	error = call_handler(server, client, mine, &request);
	if (handoff_handed(&mine->word, id)) {
		take_result(mine, request.data, error);
	} else {
		ioreq_count(&mine->count.deferred, 1);
		if (handoff_return(&mine->word, id) == HANDOFF_WAITING)
			return false;
		take_answer(mine);
	}
	handoff_over(&mine->word, id);
	return true;
}

/* From mine->item on. */
static bool serve_items(struct mapcache_ioreq *server, struct mapcache_client *client,
			uint32_t vcpu)
{
	struct ioreq_vcpu *mine = &server->vcpu[vcpu];
	uint32_t items = ioreq_check_itemised(&mine->request) ? mine->request.count : 1;

	while (mine->item < items) {
		struct mapcache_request request = mine->request;

		if (items > 1) {
			request.addr = ioreq_check_item(&mine->request, mine->item);
			request.count = 1;
		}
		if (!hand_on(server, client, mine, request))
			return false;
	}
	return true;
}

/* A request that is refused or fails is answered all the same (H): its vCPU waits. */
bool ioreq_serve(struct mapcache_ioreq *server, struct mapcache_client *client, uint32_t vcpu,
		 const struct ioreq *raw)
{
	struct ioreq_vcpu *mine = &server->vcpu[vcpu];
	int error;

	mine->since = clock_ns();
	mine->item = 0;
	mine->data = 0;
	mine->failed = false;
	error = ioreq_check_request(raw, vcpu, server->options.flags, &mine->request);
	if (raw->type == IOREQ_TYPE_INVALIDATE) {
		ioreq_invalidate(server);
		return true;
	}
	ioreq_empty_ring(server, client);
	if (!error)
		return serve_items(server, client, vcpu);
	refuse(server, mine, "vCPU", raw, vcpu);
	return true;
}

void ioreq_serve_buffered(struct mapcache_ioreq *server, struct mapcache_client *client,
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
	    ioreq_check_request(raw, MAPCACHE_IOREQ_NO_VCPU, server->options.flags, &request)) {
		refuse(server, mine, "buffered", raw, 0);
		return;
	}
	request.buffered = true;
	if (call_handler(server, client, mine, &request) < 0)
		ioreq_count(&mine->count.failed, 1);
}

int mapcache_ioreq_defer(struct mapcache_ioreq *server, const struct mapcache_request *request)
{
	/* What came by the ring has no id, and no vCPU. */
	if (server == NULL || request == NULL || request->vcpu >= server->slots || !request->id)
		return -EINVAL;
	return handoff_defer(&server->vcpu[request->vcpu].word, request->id) ? 0 : -EINVAL;
}

/* 1: the answer was put down and the request is ours; 0: who called the handler will go on. */
static int claim(struct ioreq_vcpu *mine, const struct mapcache_request *request, int error)
{
	if (!request->id || !handoff_wants(&mine->word, request->id))
		return -ENOENT;
	mapcache_store_relaxed(&mine->answer, request->data);
	mapcache_store_relaxed(&mine->answer_error, error < 0 ? (uint32_t)-error : 0);
	switch (handoff_claim(&mine->word, request->id)) {
	case HANDOFF_WAITING:
		return 1;
	case HANDOFF_DEFERRED:
		return 0;
	default:
		return -ENOENT;
	}
}

int mapcache_ioreq_complete(struct mapcache_ioreq *server, struct mapcache_client *client,
			    const struct mapcache_request *request, int error)
{
	/* As in mapcache_ioreq_handle(). */
	CANCEL_DEFERRED;
	struct ioreq_vcpu *mine;
	int claimed;

	if (server == NULL || client == NULL || request == NULL || request->vcpu >= server->slots ||
	    mapcache_inside_inline(client))
		return -EINVAL;
	mine = &server->vcpu[request->vcpu];
	claimed = claim(mine, request, error);
	if (claimed <= 0)
		return claimed;
	take_answer(mine);
	if (!serve_items(server, client, request->vcpu))
		return 0;
	ioreq_answer(server, request->vcpu);
	return 1;
}

bool ioreq_pending(struct mapcache_ioreq *server)
{
	for (uint32_t vcpu = 0; vcpu < server->slots; vcpu++)
		if (!handoff_idle(&server->vcpu[vcpu].word))
			return true;
	return false;
}
