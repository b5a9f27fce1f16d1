/* SPDX-License-Identifier: MIT */
#include "tests/conformance/rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bench/clock.h>

#define PATIENCE_MS 30000

_Noreturn void rig_fail(const char *what)
{
	printf("error: %s (errno %d, %s)\n", what, errno, strerror(errno));
	fflush(stdout);
	_exit(2);
}

static void require(bool good, const char *what)
{
	if (!good)
		rig_fail(what);
}

/* ---- servers ----------------------------------------------------------------------- */

static void map_pages(struct rig *rig, struct server *server, bool ring)
{
	void *address = NULL;

	/* Frame 0 is the ring, frame 1 the slots. */
	server->resource = xenforeignmemory_map_resource(
		rig->memory, rig->domid, XENMEM_resource_ioreq_server, server->id,
		ring ? 0 : XENMEM_resource_ioreq_server_frame_ioreq(0), ring ? 2 : 1, &address,
		PROT_READ | PROT_WRITE, 0);
	require(server->resource, "map the server's pages");
	server->ring = ring ? address : NULL;
	server->page = ring ? (void *)((char *)address + GUEST_PAGE_SIZE) : address;
}

static void open_server(struct rig *rig, struct server *server, int bufioreq)
{
	memset(server, 0, sizeof(*server));
	server->open = true;
	server->events = xenevtchn_open(NULL, 0);
	require(server->events, "open event channels");
	require(!xendevicemodel_create_ioreq_server(rig->model, rig->domid, bufioreq, &server->id),
		"create a server");
	map_pages(rig, server, bufioreq != HVM_IOREQSRV_BUFIOREQ_OFF);
	for (unsigned int i = 0; i < GUEST_VCPUS; i++)
		server->port[i] = -1;
	server->ring_port = -1;
}

static void bind(struct rig *rig, struct server *server)
{
	evtchn_port_t port;

	for (uint32_t i = 0; i < rig->vcpus; i++) {
		if (server->port[i] >= 0)
			continue;
		server->port[i] = xenevtchn_bind_interdomain(server->events, rig->domid,
							     server->page->vcpu_ioreq[i].vp_eport);
		require(server->port[i] >= 0, "bind a port");
	}
	if (!server->ring || server->ring_port >= 0)
		return;
	require(!xendevicemodel_get_ioreq_server_info(rig->model, rig->domid, server->id, NULL,
						      NULL, &port),
		"the ring's port");
	server->ring_port = xenevtchn_bind_interdomain(server->events, rig->domid, port);
	require(server->ring_port >= 0, "bind the ring's port");
}

void rig_enable(struct rig *rig, struct server *server, bool enable)
{
	require(!xendevicemodel_set_ioreq_server_state(rig->model, rig->domid, server->id, enable),
		"enable a server");
	server->enabled = enable;
	if (enable)
		bind(rig, server);
}

struct server *rig_server(struct rig *rig, unsigned int index, int bufioreq)
{
	struct server *server = &rig->server[index];

	open_server(rig, server, bufioreq);
	require(!xendevicemodel_map_io_range_to_ioreq_server(rig->model, rig->domid, server->id, 1,
							     RIG_DEVICE(index),
							     RIG_DEVICE(index) + 0x1fff),
		"add a range");
	return server;
}

static void close_server(struct rig *rig, struct server *server)
{
	if (!server->open)
		return;
	xenevtchn_close(server->events);
	xendevicemodel_set_ioreq_server_state(rig->model, rig->domid, server->id, 0);
	xenforeignmemory_unmap_resource(rig->memory, server->resource);
	xendevicemodel_destroy_ioreq_server(rig->model, rig->domid, server->id);
	server->open = false;
}

/* ---- serving ----------------------------------------------------------------------- */

static void answer(struct server *server, unsigned int vcpu, uint64_t data)
{
	volatile ioreq_t *slot = &server->page->vcpu_ioreq[vcpu];

	slot->data = data;
	/* The data before the state: pairs with Xen's barrier after it has read the state. */
	__sync_synchronize();
	slot->state = STATE_IORESP_READY;
	xenevtchn_notify(server->events, (evtchn_port_t)server->port[vcpu]);
}

/* Where the command loop's words are: a port, or on Arm an address. */
static bool command_word(const struct request *request, uint32_t *word)
{
#ifdef __aarch64__
	*word = (uint32_t)request->addr - PORT_BASE;
	return request->type == IOREQ_TYPE_COPY && request->addr >= PORT_BASE &&
	       *word < PORT_SCRATCH;
#else
	*word = (uint32_t)request->addr;
	return request->type == IOREQ_TYPE_PIO && *word >= GUEST_PORT && *word < PORT_SCRATCH;
#endif
}

/* Hand over what is posted, or let it stand. */
static void feed(struct rig *rig, unsigned int vcpu)
{
	uint32_t command = rig->vcpu[vcpu].command;

	if (!rig->vcpu[vcpu].parked || command == COMMAND_NONE)
		return;
	rig->vcpu[vcpu].parked = false;
	rig->vcpu[vcpu].command = COMMAND_NONE;
	answer(&rig->server[0], vcpu, command);
}

static bool take_command(struct rig *rig, const struct request *request)
{
	unsigned int vcpu = request->vcpu;
	uint32_t word, index;

	if (request->server != 0 || !command_word(request, &word))
		return false;
	index = (word - PORT_ARGUMENT) / 4;
	if (word == PORT_COMMAND && request->dir == IOREQ_READ) {
		rig->vcpu[vcpu].parked = true;
		feed(rig, vcpu);
		return true;
	}
	if (word == PORT_RESULT) {
		rig->vcpu[vcpu].result = (uint32_t)request->data;
		rig->vcpu[vcpu].finished = true;
	}
	answer(&rig->server[0], vcpu,
	       word >= PORT_ARGUMENT && index < COMMAND_ARGUMENTS ? rig->vcpu[vcpu].argument[index]
								  : 0);
	return true;
}

/* A read gets a word that names where it was; one to memory puts it there. */
static uint64_t serve_read(struct rig *rig, const struct request *request)
{
	uint64_t value = UINT64_C(0x5a5a5a5a5a5a0000) | (request->addr & 0xffff);

	for (uint32_t i = 0; request->data_is_ptr && i < request->count && i < 64; i++) {
		uint64_t step = (uint64_t)i * request->size;
		uint64_t gpa = request->df ? request->data - step : request->data + step;
		char *page = rig_map(rig, gpa / GUEST_PAGE_SIZE, 1, NULL);

		require(page, "map what a request names");
		memcpy(page + gpa % GUEST_PAGE_SIZE, &value, request->size);
		xenforeignmemory_unmap(rig->memory, page, 1);
	}
	return request->data_is_ptr ? request->data : value;
}

static void serve(struct rig *rig, const struct request *request)
{
	struct server *server = &rig->server[request->server];

	if (take_command(rig, request))
		return;
	if (rig->logged < RIG_LOG)
		rig->log[rig->logged++] = *request;
	if (request->type == IOREQ_TYPE_INVALIDATE)
		server->invalidates[request->vcpu]++;
	if (server->deaf) {
		server->held |= 1u << request->vcpu;
		return;
	}
	answer(server, request->vcpu,
	       request->dir == IOREQ_READ && request->type != IOREQ_TYPE_INVALIDATE
		       ? serve_read(rig, request)
		       : request->data);
}

static bool take(struct rig *rig, unsigned int index, unsigned int vcpu)
{
	struct server *server = &rig->server[index];
	volatile ioreq_t *slot = &server->page->vcpu_ioreq[vcpu];
	struct request request;

	if (slot->state != STATE_IOREQ_READY)
		return false;
	/* Pairs with Xen's barrier between filling the slot and its state. */
	__sync_synchronize();
	slot->state = STATE_IOREQ_INPROCESS;
	request = (struct request){ .server = index,
				    .vcpu = vcpu,
				    .type = slot->type,
				    .size = slot->size,
				    .dir = slot->dir,
				    .df = slot->df,
				    .data_is_ptr = slot->data_is_ptr,
				    .count = slot->count,
				    .addr = slot->addr,
				    .data = slot->data };
	serve(rig, &request);
	return true;
}

/* One event of one server. */
static bool handle_event(struct rig *rig, unsigned int index)
{
	struct server *server = &rig->server[index];
	int port = xenevtchn_pending(server->events);

	require(port >= 0, "a pending port");
	xenevtchn_unmask(server->events, (evtchn_port_t)port);
	for (uint32_t i = 0; i < rig->vcpus; i++)
		if (server->port[i] == port)
			return take(rig, index, i);
	return false;
}

/* Whether a request came within that time. */
static bool serve_once(struct rig *rig, unsigned int ms)
{
	struct pollfd polls[RIG_SERVERS];
	unsigned int indices[RIG_SERVERS], count = 0;
	bool any = false;

	for (unsigned int i = 0; i < RIG_SERVERS; i++) {
		if (!rig->server[i].open)
			continue;
		polls[count] = (struct pollfd){ .fd = xenevtchn_fd(rig->server[i].events),
						.events = POLLIN };
		indices[count++] = i;
	}
	if (poll(polls, count, (int)ms) <= 0)
		return false;
	for (unsigned int i = 0; i < count; i++)
		if (polls[i].revents)
			any |= handle_event(rig, indices[i]);
	return any;
}

void rig_settle(struct rig *rig)
{
	uint64_t last = clock_now();

	while (clock_now() - last < platform_quiet_ms() * UINT64_C(1000000))
		if (serve_once(rig, platform_quiet_ms()))
			last = clock_now();
}

void rig_post_with(struct rig *rig, unsigned int vcpu, enum command command,
		   const uint32_t *argument)
{
	uint32_t count = COMMAND_ARGUMENTS;

	while (count && !argument[count - 1])
		count--;
	memcpy(rig->vcpu[vcpu].argument, argument, sizeof(rig->vcpu[vcpu].argument));
	rig->vcpu[vcpu].finished = false;
	rig->vcpu[vcpu].command = command | count << 16;
	feed(rig, vcpu);
}

bool rig_wait(struct rig *rig, unsigned int vcpu, unsigned int ms)
{
	uint64_t end = clock_now() + ms * UINT64_C(1000000);

	/* Until it stands still again: then all that the command brought has come. */
	while (!rig->vcpu[vcpu].finished || !rig->vcpu[vcpu].parked) {
		if (clock_now() >= end)
			return false;
		serve_once(rig, ms < 20 ? ms : 20);
	}
	return true;
}

uint32_t rig_call_with(struct rig *rig, unsigned int vcpu, enum command command,
		       const uint32_t *argument)
{
	rig_post_with(rig, vcpu, command, argument);
	if (!rig_wait(rig, vcpu, PATIENCE_MS))
		rig_fail("a vCPU hangs");
	return rig->vcpu[vcpu].result;
}

void rig_hear(struct rig *rig, struct server *server)
{
	server->deaf = false;
	for (uint32_t i = 0; i < rig->vcpus; i++)
		if (server->held & 1u << i)
			answer(server, i, 0);
	server->held = 0;
}

unsigned int rig_told(struct rig *rig, unsigned int index)
{
	struct server *server = &rig->server[index];
	unsigned int count = 0;

	for (unsigned int i = 0; i < GUEST_VCPUS; i++) {
		count += server->invalidates[i];
		server->invalidates[i] = 0;
	}
	return count;
}

/* ---- the whole --------------------------------------------------------------------- */

static void add_command_ports(struct rig *rig)
{
#ifdef __aarch64__
	int memory = 1;
	uint64_t base = PORT_BASE;
#else
	int memory = 0;
	uint64_t base = 0;
#endif

	require(!xendevicemodel_map_io_range_to_ioreq_server(
			rig->model, rig->domid, rig->server[0].id, memory, base + GUEST_PORT,
			base + GUEST_PORT + GUEST_PORT_COUNT - 1),
		"add the command ports");
}

void rig_open(struct rig *rig, const struct platform_options *options)
{
	memset(rig, 0, sizeof(*rig));
	rig->vcpus = options->vcpus ? options->vcpus : 1;
	platform_create(&rig->platform, options);
	rig->domid = (domid_t)rig->platform.domid;
	rig->model = xendevicemodel_open(NULL, 0);
	rig->memory = xenforeignmemory_open(NULL, 0);
	require(rig->model && rig->memory, "open handles");
	open_server(rig, &rig->server[0], HVM_IOREQSRV_BUFIOREQ_OFF);
	add_command_ports(rig);
	rig_enable(rig, &rig->server[0], true);
}

void rig_run(struct rig *rig)
{
	uint64_t end = clock_now() + PATIENCE_MS * UINT64_C(1000000);

	platform_unpause(&rig->platform);
	for (uint32_t i = 0; i < rig->vcpus; i++)
		while (!rig->vcpu[i].parked && clock_now() < end)
			serve_once(rig, 20);
	require(rig->vcpu[0].parked && rig->vcpu[rig->vcpus - 1].parked, "start the guest");
}

void rig_close_servers(struct rig *rig)
{
	for (unsigned int i = RIG_SERVERS; i--;)
		close_server(rig, &rig->server[i]);
}

void rig_close(struct rig *rig)
{
	rig_close_servers(rig);
	platform_destroy(&rig->platform);
	xendevicemodel_close(rig->model);
	xenforeignmemory_close(rig->memory);
}

void *rig_map(struct rig *rig, uint64_t gfn, size_t pages, int *err)
{
	xen_pfn_t *gfns = calloc(pages, sizeof(*gfns));
	void *address;

	require(gfns, "memory");
	for (size_t i = 0; i < pages; i++)
		gfns[i] = gfn + i;
	address = xenforeignmemory_map(rig->memory, rig->domid, PROT_READ | PROT_WRITE, pages, gfns,
				       err);
	free(gfns);
	return address;
}

uint32_t rig_word(struct rig *rig, uint64_t gfn)
{
	volatile uint32_t *page = rig_map(rig, gfn, 1, NULL);
	uint32_t word = ~0u;

	if (!page)
		return word;
	word = *page;
	xenforeignmemory_unmap(rig->memory, (void *)page, 1);
	errno = 0;
	return word;
}

void rig_set_word(struct rig *rig, uint64_t gfn, uint32_t value)
{
	volatile uint32_t *page = rig_map(rig, gfn, 1, NULL);

	require(page, "map a page");
	*page = value;
	xenforeignmemory_unmap(rig->memory, (void *)page, 1);
}
