/* SPDX-License-Identifier: MIT */
#include "tests/xen/emulator.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tests/xen/arch.h"
#include "tests/xen/test.h"

/* Without a request for that long the guest hangs. */
/* Long, for an emulated machine on a busy one. */
#define SILENCE_MS 45000
#define PEERS_MAX 8

/* The ports of the command loop. */
static int command_access(struct emulator *emulator, struct mapcache_request *request)
{
	struct emulator_vcpu *vcpu = &emulator->vcpu[request->vcpu];
	uint64_t argument = (request->addr - PORT_ARGUMENT) / 4;

	if (request->type != MAPCACHE_IOREQ_PORT || request->size != 4)
		return -ENXIO;
	if (request->addr == PORT_COMMAND && !request->write) {
		request->data = vcpu->command;
		vcpu->command = COMMAND_NONE;
		return 0;
	}
	if (request->addr == PORT_RESULT && request->write) {
		vcpu->result = (uint32_t)request->data;
		vcpu->finished = true;
		return 0;
	}
	if (request->addr >= PORT_ARGUMENT && argument < COMMAND_ARGUMENTS && !request->write) {
		request->data = vcpu->argument[argument];
		return 0;
	}
	return -ENXIO;
}

static int dispatch(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct emulator *emulator = data;
	int result;

	/* Nobody's command. */
	if (request->buffered)
		return emulator->options.handler
			       ? emulator->options.handler(emulator->options.handler_data, client,
							   request)
			       : -ENXIO;
	arch_port_request(request);
	result = command_access(emulator, request);
	if (result == -ENXIO && emulator->options.handler)
		result = emulator->options.handler(emulator->options.handler_data, client, request);
	if (result == -ENXIO)
		result = device_handle(&emulator->device, client, request);
	return result;
}

static void open_server(struct emulator *emulator)
{
	struct mapcache_ioreq_options options = {
		.size = sizeof(options),
		.domid = emulator->domain->id,
		.vcpus = emulator->domain->vcpus,
		.flags = emulator->options.ioreq_flags,
		.handler = dispatch,
		.handler_data = emulator,
	};

	if (emulator->options.raw)
		raw_server_open(&options, emulator->options.behaviour, emulator->options.invalidate,
				&emulator->raw);
	else
		CHECK_EQUAL(mapcache_ioreq_open(emulator->cache, &options, &emulator->server), 0);
}

static void add_range(struct emulator *emulator, enum mapcache_ioreq_type type, uint64_t start,
		      uint64_t end)
{
	arch_port_range(&type, &start, &end);
	if (emulator->raw)
		raw_server_add_range(emulator->raw, type, start, end);
	else
		CHECK_EQUAL(mapcache_ioreq_add_range(emulator->server, type, start, end), 0);
}

static void log_line(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	printf("# mapcache %d: %s\n", level, message);
	fflush(stdout);
}

void emulator_open(struct emulator *emulator, struct domain *domain,
		   const struct emulator_options *options)
{
	struct mapcache_options cache = { .size = sizeof(cache) };

	memset(emulator, 0, sizeof(*emulator));
	emulator->domain = domain;
	if (options)
		emulator->options = *options;
	if (options && options->cache)
		cache = *options->cache;
	cache.domid = domain->id;
	if (!cache.log)
		cache.log = log_line;
	CHECK_EQUAL(mapcache_open(&cache, &emulator->cache), 0);
	emulator->device.cache = emulator->cache;
	open_server(emulator);
	if (!emulator->options.no_ranges) {
		add_range(emulator, MAPCACHE_IOREQ_PORT, GUEST_PORT,
			  GUEST_PORT + GUEST_PORT_COUNT - 1);
		add_range(emulator, MAPCACHE_IOREQ_MEMORY, GUEST_MMIO,
			  GUEST_MMIO + GUEST_MMIO_SIZE - 1);
	}
	for (uint32_t i = 0; i < GUEST_VCPUS; i++) {
		emulator->vcpu[i].port = -1;
		CHECK_EQUAL(mapcache_client_open(emulator->cache, &emulator->vcpu[i].client), 0);
		emulator->vcpu[i].events = xenevtchn_open(NULL, 0);
		CHECK(emulator->vcpu[i].events);
	}
}

void emulator_enable(struct emulator *emulator)
{
	if (emulator->raw)
		raw_server_enable(emulator->raw);
	else
		CHECK_EQUAL(mapcache_ioreq_enable(emulator->server, true), 0);
	for (uint32_t i = 0; i < emulator->domain->vcpus; i++) {
		struct emulator_vcpu *vcpu = &emulator->vcpu[i];
		int remote = emulator->raw ? raw_server_vcpu_port(emulator->raw, i)
					   : mapcache_ioreq_vcpu_port(emulator->server, i);

		CHECK(remote > 0);
		if (vcpu->port >= 0)
			continue;
		vcpu->port = xenevtchn_bind_interdomain(vcpu->events, emulator->domain->id,
							(evtchn_port_t)remote);
		CHECK(vcpu->port >= 0);
	}
}

void emulator_close(struct emulator *emulator)
{
	for (uint32_t i = 0; i < GUEST_VCPUS; i++) {
		struct emulator_vcpu *vcpu = &emulator->vcpu[i];

		if (vcpu->port >= 0)
			xenevtchn_unbind(vcpu->events, (evtchn_port_t)vcpu->port);
		xenevtchn_close(vcpu->events);
		CHECK_EQUAL(mapcache_client_close(vcpu->client), 0);
	}
	if (emulator->raw)
		raw_server_close(emulator->raw);
	else
		CHECK_EQUAL(mapcache_ioreq_close(emulator->server), 0);
	CHECK_EQUAL(mapcache_close(emulator->cache), 0);
}

void emulator_start(struct emulator *emulator, struct domain *domain,
		    const struct emulator_options *options)
{
	emulator_open(emulator, domain, options);
	emulator_enable(emulator);
	domain_unpause(domain);
}

void emulator_finish(struct emulator *emulator)
{
	struct domain *domain = emulator->domain;

	emulator_close(emulator);
	domain_destroy(domain);
	CHECK(domain_wait_gone(domain, 5000));
}

void emulator_adopt(struct emulator *emulator, uint32_t vcpu)
{
	struct mapcache_client **client = &emulator->vcpu[vcpu].client;

	CHECK_EQUAL(mapcache_client_close(*client), 0);
	CHECK_EQUAL(mapcache_client_open(emulator->cache, client), 0);
}

static uint64_t invalidates_seen(const struct emulator *emulator)
{
	return emulator->raw ? raw_server_invalidates(emulator->raw)
			     : mapcache_epoch(emulator->cache);
}

/* Handle the event of one vCPU. */
static void handle_event(struct emulator *emulator, uint32_t index)
{
	struct emulator_vcpu *vcpu = &emulator->vcpu[index];
	xenevtchn_port_or_error_t port = xenevtchn_pending(vcpu->events);
	uint64_t seen, start;
	int answered;

	CHECK(port >= 0);
	CHECK_EQUAL(xenevtchn_unmask(vcpu->events, (evtchn_port_t)port), 0);
	seen = invalidates_seen(emulator);
	start = clock_now();
	if (emulator->raw)
		answered = raw_server_handle(emulator->raw, vcpu->client, index);
	else
		answered = mapcache_ioreq_handle(emulator->server, vcpu->client, index);
	if (invalidates_seen(emulator) != seen)
		vcpu->answer_ns = clock_now() - start;
	CHECK(answered >= 0);
	if (answered) {
		test_progress();
		vcpu->requests++;
		CHECK_EQUAL(xenevtchn_notify(vcpu->events, (evtchn_port_t)port), 0);
	}
}

/* Wait for events of these servers and vCPUs, and handle them. */
static void serve_once(struct emulator *first, uint32_t vcpus, int timeout_ms)
{
	struct pollfd polls[PEERS_MAX * GUEST_VCPUS];
	struct emulator *emulators[PEERS_MAX * GUEST_VCPUS];
	uint32_t indices[PEERS_MAX * GUEST_VCPUS];
	nfds_t count = 0;
	int ready;

	for (struct emulator *emulator = first; emulator; emulator = emulator->peer) {
		for (uint32_t i = 0; i < GUEST_VCPUS; i++) {
			if (!(vcpus & 1u << i) || emulator->vcpu[i].port < 0)
				continue;
			CHECK(count < PEERS_MAX * GUEST_VCPUS);
			polls[count] =
				(struct pollfd){ .fd = xenevtchn_fd(emulator->vcpu[i].events),
						 .events = POLLIN };
			emulators[count] = emulator;
			indices[count++] = i;
		}
	}
	ready = poll(polls, count, timeout_ms);
	CHECK(ready >= 0 || errno == EINTR);
	for (nfds_t i = 0; ready > 0 && i < count; i++)
		if (polls[i].revents)
			handle_event(emulators[i], indices[i]);
}

void emulator_post(struct emulator *emulator, uint32_t vcpu, enum command command,
		   const uint32_t argument[COMMAND_ARGUMENTS])
{
	struct emulator_vcpu *to = &emulator->vcpu[vcpu];

	uint32_t count = COMMAND_ARGUMENTS;

	/* Every argument that the guest need not fetch saves a round trip. */
	while (count && !argument[count - 1])
		count--;
	memcpy(to->argument, argument, sizeof(to->argument));
	to->finished = false;
	to->command = command | count << 16;
}

/* False when nothing has come from that vCPU for timeout_ms. */
static bool wait_for(struct emulator *emulator, uint32_t vcpu, uint32_t serve, int timeout_ms)
{
	struct emulator_vcpu *on = &emulator->vcpu[vcpu];
	uint64_t requests = on->requests;
	uint64_t last = clock_now();

	while (!on->finished) {
		serve_once(emulator, serve, timeout_ms);
		if (on->requests != requests) {
			requests = on->requests;
			last = clock_now();
		} else if (clock_now() - last > (uint64_t)timeout_ms * 1000000) {
			return false;
		}
	}
	return true;
}

static void hangs(const struct emulator *emulator, uint32_t vcpu)
{
	test_fail(__FILE__, __LINE__, "vCPU %u hangs after %u requests; the other has made %u",
		  vcpu, (unsigned int)emulator->vcpu[vcpu].requests,
		  (unsigned int)emulator->vcpu[(vcpu + 1) % GUEST_VCPUS].requests);
}

uint32_t emulator_wait(struct emulator *emulator, uint32_t vcpu)
{
	if (!wait_for(emulator, vcpu, ~0u, SILENCE_MS))
		hangs(emulator, vcpu);
	return emulator->vcpu[vcpu].result;
}

uint32_t emulator_wait_alone(struct emulator *emulator, uint32_t vcpu)
{
	if (!wait_for(emulator, vcpu, 1u << vcpu, SILENCE_MS))
		hangs(emulator, vcpu);
	return emulator->vcpu[vcpu].result;
}

bool emulator_try_wait(struct emulator *emulator, uint32_t vcpu, unsigned int timeout_ms)
{
	return wait_for(emulator, vcpu, ~0u, (int)timeout_ms);
}

uint32_t emulator_call(struct emulator *emulator, uint32_t vcpu, enum command command,
		       const uint32_t argument[COMMAND_ARGUMENTS])
{
	emulator_post(emulator, vcpu, command, argument);
	return emulator_wait(emulator, vcpu);
}

void emulator_serve(struct emulator *emulator, unsigned int ms)
{
	uint64_t end = clock_now() + ms * UINT64_C(1000000);
	uint64_t now;

	while ((now = clock_now()) < end)
		serve_once(emulator, ~0u, (int)((end - now) / 1000000) + 1);
}

void emulator_complete(struct emulator *emulator, const struct mapcache_request *request)
{
	struct emulator_vcpu *vcpu = &emulator->vcpu[request->vcpu];

	CHECK_EQUAL(mapcache_ioreq_complete(emulator->server, vcpu->client, request, 0), 1);
	vcpu->requests++;
	CHECK_EQUAL(xenevtchn_notify(vcpu->events, (evtchn_port_t)vcpu->port), 0);
}
