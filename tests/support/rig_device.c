/* SPDX-License-Identifier: MIT */
/*
 * A device model for tests: the event loop that an embedder of the ioreq server has.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <lib/ioreq/ioreq.h>
#include <tests/support/rig.h>

static int ignore(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	(void)data, (void)client, (void)request;
	return 0;
}

struct mapcache_ioreq_options rig_ioreq_options(const struct rig *rig)
{
	return (struct mapcache_ioreq_options){
		.size = sizeof(struct mapcache_ioreq_options),
		.domid = rig->domid,
		.vcpus = rig->vcpus,
		.handler = ignore,
	};
}

struct mapcache_ioreq *rig_server_open(struct rig *rig)
{
	struct mapcache_ioreq_options options = rig_ioreq_options(rig);
	struct mapcache_ioreq *server;

	assert_int_equal(mapcache_ioreq_open(rig->cache, &options, &server), 0);
	return server;
}

void rig_device_open(struct rig_device *device, struct rig *rig,
		     const struct rig_device_options *options)
{
	struct mapcache_ioreq_options open = {
		.size = sizeof(open),
		.domid = rig->domid,
		.vcpus = rig->vcpus,
		.flags = options->flags,
		.drain_ms = options->drain_ms,
		.handler = options->handler,
		.handler_data = options->handler_data,
	};

	*device = (struct rig_device){
		.rig = rig,
		.cache = options->cache != NULL ? options->cache : rig->cache,
		.threads = options->threads != 0 ? options->threads : 1,
		.stop = -1,
	};
	assert_int_equal(mapcache_ioreq_open(device->cache, &open, &device->server), 0);
	if (options->no_ranges)
		return;
	assert_int_equal(mapcache_ioreq_add_range(device->server, MAPCACHE_IOREQ_MEMORY, RIG_MMIO,
						  RIG_MMIO + 0xfff),
			 0);
	assert_int_equal(mapcache_ioreq_add_range(device->server, MAPCACHE_IOREQ_PORT, RIG_PORT,
						  RIG_PORT + 15),
			 0);
}

uint16_t rig_device_id(const struct rig_device *device)
{
	return (uint16_t)mapcache_ioreq_id(device->server);
}

void rig_device_notify(struct rig_device *device, uint32_t vcpu)
{
	struct rig_thread *thread = &device->thread[vcpu % device->threads];

	for (evtchn_port_t port = 1; port < 4096; port++)
		if (thread->vcpu_of_port[port] == (int)vcpu + 1)
			xenevtchn_notify(thread->evtchn, port);
}

static void serve_event(struct rig_thread *thread, struct mapcache_client *client)
{
	int port = xenevtchn_pending(thread->evtchn);

	if (port < 0)
		return;
	xenevtchn_unmask(thread->evtchn, (evtchn_port_t)port);
	if (mapcache_ioreq_handle(thread->device->server, client,
				  (uint32_t)thread->vcpu_of_port[port] - 1) == 1)
		xenevtchn_notify(thread->evtchn, (evtchn_port_t)port);
}

static void *serve(void *data)
{
	struct rig_thread *thread = data;
	struct pollfd wait[2] = {
		{ .fd = xenevtchn_fd(thread->evtchn), .events = POLLIN },
		{ .fd = thread->device->stop, .events = POLLIN },
	};
	struct mapcache_client *client;

	if (mapcache_client_open(thread->device->cache, &client))
		abort();
	while (poll(wait, 2, -1) >= 0 || errno == EINTR) {
		if (wait[1].revents)
			break;
		if (wait[0].revents)
			serve_event(thread, client);
	}
	if (mapcache_client_close(client))
		abort();
	return NULL;
}

static void bind_vcpus(struct rig_thread *thread)
{
	struct rig_device *device = thread->device;

	for (uint32_t vcpu = thread->index; vcpu < device->rig->vcpus; vcpu += device->threads) {
		int remote = mapcache_ioreq_vcpu_port(device->server, vcpu), port;

		assert_true(remote > 0);
		port = xenevtchn_bind_interdomain(thread->evtchn, device->rig->domid,
						  (evtchn_port_t)remote);
		assert_in_range(port, 1, 4095);
		thread->vcpu_of_port[port] = (int)vcpu + 1;
	}
}

void rig_device_serve(struct rig_device *device)
{
	assert_int_equal(mapcache_ioreq_enable(device->server, true), 0);
	device->stop = eventfd(0, EFD_CLOEXEC);
	assert_true(device->stop >= 0);
	device->thread = calloc(device->threads, sizeof(*device->thread));
	assert_non_null(device->thread);
	for (uint32_t i = 0; i < device->threads; i++) {
		struct rig_thread *thread = &device->thread[i];

		thread->device = device;
		thread->index = i;
		thread->evtchn = xenevtchn_open(NULL, 0);
		assert_non_null(thread->evtchn);
		bind_vcpus(thread);
		assert_int_equal(pthread_create(&thread->thread, NULL, serve, thread), 0);
	}
}

void rig_device_halt(struct rig_device *device)
{
	uint64_t one = 1;

	if (device->thread == NULL)
		return;
	assert_int_equal(write(device->stop, &one, sizeof(one)), sizeof(one));
	for (uint32_t i = 0; i < device->threads; i++) {
		assert_int_equal(pthread_join(device->thread[i].thread, NULL), 0);
		/* Unbinds its ports, too. */
		xenevtchn_close(device->thread[i].evtchn);
	}
	free(device->thread);
	device->thread = NULL;
	close(device->stop);
}

void rig_device_close(struct rig_device *device)
{
	rig_device_halt(device);
	assert_int_equal(mapcache_ioreq_close(device->server), 0);
}

int rig_record(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct rig_recorder *recorder = data;
	int error;

	(void)client;
	pthread_mutex_lock(&recorder->lock);
	recorder->request[recorder->count++ % RIG_RECORDS] = *request;
	if (!request->write)
		request->data = recorder->answer;
	error = recorder->error;
	pthread_mutex_unlock(&recorder->lock);
	return error;
}

uint64_t rig_recorded(struct rig_recorder *recorder)
{
	uint64_t count;

	pthread_mutex_lock(&recorder->lock);
	count = recorder->count;
	pthread_mutex_unlock(&recorder->lock);
	return count;
}
