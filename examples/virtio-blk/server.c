/* SPDX-License-Identifier: MIT */
/* Event channels, the poll loop, and the way from a request to a register. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <xenevtchn.h>

#include "server.h"

/* Xen cuts a rep instruction at page boundaries; more items than that are refused. */
#define ITEMS_MAX 4096u

struct server {
	struct server_options options;
	struct mapcache_ioreq *ioreq;
	xenevtchn_handle *channels;
	int stop;  /* eventfd */
	int *port; /* local port of each vCPU, -1: not bound */
};

/* ---- requests --------------------------------------------------------------------------- */

static const struct server_region *find_region(const struct server *server, uint64_t addr)
{
	uint32_t i;

	for (i = 0; i < server->options.region_count; i++) {
		const struct server_region *region = &server->options.regions[i];

		if (addr >= region->start && addr - region->start < region->size)
			return region;
	}
	return NULL;
}

static int access_register(struct server *server, uint64_t addr, uint32_t size, bool write,
			   uint64_t *value)
{
	const struct server_region *region = find_region(server, addr);

	if (!region)
		return -ENOENT;
	if (write)
		return region->write(region->data, addr - region->start, size, *value);
	return region->read(region->data, addr - region->start, size, value);
}

/* rep movs: item after item, between registers and guest memory. */
static int access_items(struct server *server, struct mapcache_client *client,
			const struct mapcache_request *request)
{
	uint64_t addr = request->addr;
	uint32_t i;

	if (request->count > ITEMS_MAX)
		return -E2BIG;
	for (i = 0; i < request->count; i++) {
		uint64_t value = 0;
		int64_t moved = 1;

		if (request->write)
			moved = mapcache_ioreq_copy(client, request, i, 1, &value);
		if (moved == 1 &&
		    access_register(server, addr, request->size, request->write, &value) &&
		    !request->write)
			value = UINT64_MAX;
		if (moved == 1 && !request->write)
			moved = mapcache_ioreq_copy(client, request, i, 1, &value);
		if (moved != 1)
			return moved < 0 ? (int)moved : -EFAULT;
		addr += request->backwards ? -(uint64_t)request->size : request->size;
	}
	return 0;
}

static int handle_request(void *data, struct mapcache_client *client,
			  struct mapcache_request *request)
{
	struct server *server = data;

	if (request->type != MAPCACHE_IOREQ_MEMORY)
		return -EINVAL;
	if (request->data_is_ptr)
		return access_items(server, client, request);
	return access_register(server, request->addr, request->size, request->write,
			       &request->data);
}

/* ---- the loop --------------------------------------------------------------------------- */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int serve_vcpu(struct server *server, struct mapcache_client *client, uint32_t vcpu)
{
	uint64_t epoch = 0, begin = 0;
	int result;

	if (server->options.answered) {
		epoch = mapcache_epoch(server->options.cache);
		begin = now();
	}
	result = mapcache_ioreq_handle(server->ioreq, client, vcpu);
	if (result == 1 && xenevtchn_notify(server->channels, (evtchn_port_t)server->port[vcpu]))
		return -errno;
	if (server->options.answered && mapcache_epoch(server->options.cache) != epoch)
		server->options.answered(server->options.data, now() - begin);
	return result < 0 ? result : 0;
}

static int serve_event(struct server *server, struct mapcache_client *client)
{
	int port = xenevtchn_pending(server->channels);
	uint32_t vcpu;

	if (port < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	/* Unmasked before the slot is looked at: an event meanwhile is then not lost. */
	if (xenevtchn_unmask(server->channels, (evtchn_port_t)port))
		return -errno;
	for (vcpu = 0; vcpu < server->options.vcpus; vcpu++)
		if (server->port[vcpu] == port)
			return serve_vcpu(server, client, vcpu);
	return 0;
}

int server_run(struct server *server)
{
	struct pollfd fd[2] = {
		{ .fd = xenevtchn_fd(server->channels), .events = POLLIN },
		{ .fd = server->stop, .events = POLLIN },
	};
	struct mapcache_client *client;
	int error;

	error = mapcache_client_open(server->options.cache, &client);
	while (!error) {
		if (poll(fd, 2, -1) < 0 && errno != EINTR)
			error = -errno;
		else if (fd[1].revents)
			break;
		else if (fd[0].revents)
			error = serve_event(server, client);
	}
	if (client)
		mapcache_client_close(client);
	return error;
}

void server_stop(struct server *server)
{
	uint64_t one = 1;

	/* Fails only when it has been asked to stop 2^64 times. */
	if (write(server->stop, &one, sizeof(one)) < 0)
		return;
}

/* ---- open and close --------------------------------------------------------------------- */

static int bind_vcpus(struct server *server)
{
	uint32_t vcpu;

	for (vcpu = 0; vcpu < server->options.vcpus; vcpu++) {
		int remote = mapcache_ioreq_vcpu_port(server->ioreq, vcpu);

		if (remote < 0)
			return remote;
		server->port[vcpu] = xenevtchn_bind_interdomain(
			server->channels, server->options.domid, (evtchn_port_t)remote);
		if (server->port[vcpu] < 0)
			return -errno;
	}
	return 0;
}

static int open_ioreq(struct server *server)
{
	struct mapcache_ioreq_options options = {
		.size = sizeof(options),
		.domid = server->options.domid,
		.vcpus = server->options.vcpus,
		.flags = server->options.drain ? MAPCACHE_IOREQ_DRAIN : 0,
		.handler = handle_request,
		.handler_data = server,
	};
	uint32_t i;
	int error;

	error = mapcache_ioreq_open(server->options.cache, &options, &server->ioreq);
	for (i = 0; i < server->options.region_count && !error; i++) {
		const struct server_region *region = &server->options.regions[i];

		error = mapcache_ioreq_add_range(server->ioreq, MAPCACHE_IOREQ_MEMORY,
						 region->start, region->start + region->size - 1);
	}
	return error ? error : mapcache_ioreq_enable(server->ioreq, true);
}

int server_open(const struct server_options *options, struct server **result)
{
	struct server *server = calloc(1, sizeof(*server));
	uint32_t i;
	int error = -ENOMEM;

	if (!server)
		return -ENOMEM;
	server->options = *options;
	server->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->port = calloc(options->vcpus, sizeof(server->port[0]));
	server->channels = xenevtchn_open(NULL, 0);
	if (server->port) {
		for (i = 0; i < options->vcpus; i++)
			server->port[i] = -1;
		error = server->stop >= 0 && server->channels ? open_ioreq(server) : -errno;
	}
	if (!error)
		error = bind_vcpus(server);
	if (error) {
		server_close(server);
		return error;
	}
	*result = server;
	return 0;
}

void server_close(struct server *server)
{
	uint32_t i;

	for (i = 0; server->port && i < server->options.vcpus; i++)
		if (server->port[i] >= 0)
			xenevtchn_unbind(server->channels, (evtchn_port_t)server->port[i]);
	if (server->ioreq)
		mapcache_ioreq_close(server->ioreq);
	if (server->channels)
		xenevtchn_close(server->channels);
	if (server->stop >= 0)
		close(server->stop);
	free(server->port);
	free(server);
}
