/* SPDX-License-Identifier: MIT */
#include "tests/xen/raw_server.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenforeignmemory.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>

#include "tests/xen/test.h"

struct raw_server {
	struct mapcache_ioreq_options options;
	enum raw_behaviour behaviour;
	void (*invalidate)(void); /* RAW_TELLS */
	uint32_t invalidates;
	ioservid_t id;
	xendevicemodel_handle *model;
	xenforeignmemory_handle *memory;
	xenforeignmemory_resource_handle *resource;
	shared_iopage_t *page;
};

void raw_server_open(const struct mapcache_ioreq_options *options, enum raw_behaviour behaviour,
		     void (*invalidate)(void), struct raw_server **out)
{
	struct raw_server *server = calloc(1, sizeof(*server));
	void *page = NULL;

	CHECK(server);
	server->options = *options;
	server->behaviour = behaviour;
	server->invalidate = invalidate;
	server->model = xendevicemodel_open(NULL, 0);
	server->memory = xenforeignmemory_open(NULL, 0);
	CHECK(server->model && server->memory);
	CHECK_EQUAL(xendevicemodel_create_ioreq_server(server->model, (domid_t)options->domid,
						       HVM_IOREQSRV_BUFIOREQ_OFF, &server->id),
		    0);
	server->resource = xenforeignmemory_map_resource(
		server->memory, (domid_t)options->domid, XENMEM_resource_ioreq_server, server->id,
		XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &page, PROT_READ | PROT_WRITE, 0);
	CHECK(server->resource);
	server->page = page;
	*out = server;
}

void raw_server_close(struct raw_server *server)
{
	domid_t domid = (domid_t)server->options.domid;

	xendevicemodel_set_ioreq_server_state(server->model, domid, server->id, 0);
	xenforeignmemory_unmap_resource(server->memory, server->resource);
	xendevicemodel_destroy_ioreq_server(server->model, domid, server->id);
	xenforeignmemory_close(server->memory);
	xendevicemodel_close(server->model);
	free(server);
}

void raw_server_enable(struct raw_server *server)
{
	CHECK_EQUAL(xendevicemodel_set_ioreq_server_state(
			    server->model, (domid_t)server->options.domid, server->id, 1),
		    0);
}

int raw_server_vcpu_port(struct raw_server *server, uint32_t vcpu)
{
	return (int)server->page->vcpu_ioreq[vcpu].vp_eport;
}

void raw_server_add_range(struct raw_server *server, enum mapcache_ioreq_type type, uint64_t start,
			  uint64_t end)
{
	CHECK_EQUAL(xendevicemodel_map_io_range_to_ioreq_server(
			    server->model, (domid_t)server->options.domid, server->id,
			    type == MAPCACHE_IOREQ_MEMORY, start, end),
		    0);
}

static void pass_on(struct raw_server *server, struct mapcache_client *client, uint32_t vcpu,
		    volatile ioreq_t *slot)
{
	struct mapcache_request request = {
		.addr = slot->addr,
		.data = slot->data,
		.count = slot->count,
		.size = slot->size,
		.vcpu = vcpu,
		.type = (uint8_t)slot->type,
		.write = slot->dir == IOREQ_WRITE,
		.data_is_ptr = slot->data_is_ptr,
		.backwards = slot->df,
	};

	server->options.handler(server->options.handler_data, client, &request);
	if (!request.write && !request.data_is_ptr)
		slot->data = request.data;
}

int raw_server_handle(struct raw_server *server, struct mapcache_client *client, uint32_t vcpu)
{
	volatile ioreq_t *slot = &server->page->vcpu_ioreq[vcpu];

	if (slot->state != STATE_IOREQ_READY)
		return 0;
	/* Pairs with Xen's barrier between filling the slot and its state. */
	__sync_synchronize();
	if (slot->type == IOREQ_TYPE_INVALIDATE) {
		server->invalidates++;
		if (server->behaviour == RAW_NEVER_ANSWERS)
			return 0;
	}
	slot->state = STATE_IOREQ_INPROCESS;
	if (slot->type != IOREQ_TYPE_INVALIDATE)
		pass_on(server, client, vcpu, slot);
	else if (server->behaviour == RAW_TELLS)
		server->invalidate();
	/* The data before the state: pairs with Xen's barrier after it has read the state. */
	__sync_synchronize();
	slot->state = STATE_IORESP_READY;
	return 1;
}

uint32_t raw_server_invalidates(const struct raw_server *server)
{
	return server->invalidates;
}
