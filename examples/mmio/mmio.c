/* SPDX-License-Identifier: MIT */
/*
 * mmio: the smallest complete device model, to be copied. One ioreq server, one block of
 * registers, one DMA command, which a worker carries out: while the thread that serves the guest is
 * busy it answers no INVALIDATE, and a virtual CPU that balloons stands still.
 *
 *	mmio DOMID VCPUS BASE		VCPUS 0: as many as Xen says
 *
 * Registers, 32 bits each, at BASE:
 *	0x00  ID       "mcde"                         (read)
 *	0x04  SCRATCH  keeps what is written
 *	0x08  ADDRESS  guest-physical address, low half; 0x0c the high half
 *	0x10  LENGTH   bytes, at most 16 MiB
 *	0x14  COMMAND  1: add up the bytes there      (write; over when the write is)
 *	0x18  STATUS   0, or an errno of the last command (read)
 *	0x1c  SUM      its result                     (read)
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#include <mapcache/ioreq.h>
#include <xenevtchn.h>

enum { ID, SCRATCH, ADDRESS, ADDRESS_HIGH, LENGTH, COMMAND, STATUS, SUM, REGISTERS };

#define LENGTH_MAX (16u << 20)
#define VCPUS_MAX 128

/* One DMA command: the vCPU that wrote it stands still until it is completed. */
struct command {
	struct mapcache_request request;
	uint64_t gpa;
	size_t length;
};

struct device {
	uint64_t base;
	struct mapcache *cache;
	struct mapcache_ioreq *server;
	xenevtchn_handle *channels;
	int port[VCPUS_MAX];
	pthread_t worker;
	struct mapcache_client *client; /* the worker's */
	pthread_cond_t posted;
	pthread_mutex_t lock; /* protects what follows */
	uint32_t reg[REGISTERS];
	struct command queue[VCPUS_MAX]; /* one a vCPU at most */
	unsigned int first, count;
	bool stop;
};

/* DMA: pin what is contiguous, use it, unpin. Nothing is copied. */
static int add_up(struct mapcache_client *client, uint64_t gpa, size_t left, uint32_t *sum)
{
	size_t len, i;

	if (left > LENGTH_MAX)
		return -EINVAL;
	for (*sum = 0; left; left -= len, gpa += len) {
		const volatile uint8_t *bytes;

		len = left;
		bytes = mapcache_pin(client, gpa, &len, PROT_READ, 0);
		if (!bytes)
			return -errno;
		for (i = 0; i < len; i++)
			*sum += bytes[i];
		mapcache_client_unpin(client, (void *)(uintptr_t)bytes, 0);
	}
	return 0;
}

/* Its result is there before its vCPU goes on. */
static void carry_out(struct device *device, struct mapcache_client *client,
		      const struct command *command)
{
	uint32_t sum = 0;
	int error = add_up(client, command->gpa, command->length, &sum);

	pthread_mutex_lock(&device->lock);
	device->reg[STATUS] = (uint32_t)-error;
	if (!error)
		device->reg[SUM] = sum;
	pthread_mutex_unlock(&device->lock);
	if (mapcache_ioreq_complete(device->server, client, &command->request, 0) == 1)
		xenevtchn_notify(device->channels,
				 (evtchn_port_t)device->port[command->request.vcpu]);
}

/* A thread of its own, and so a client of its own. */
static void *work(void *data)
{
	struct device *device = data;

	pthread_mutex_lock(&device->lock);
	while (device->count || !device->stop) {
		struct command command;

		if (!device->count) {
			pthread_cond_wait(&device->posted, &device->lock);
			continue;
		}
		command = device->queue[device->first];
		device->first = (device->first + 1) % VCPUS_MAX;
		device->count--;
		pthread_mutex_unlock(&device->lock);
		carry_out(device, device->client, &command);
		pthread_mutex_lock(&device->lock);
	}
	pthread_mutex_unlock(&device->lock);
	return NULL;
}

/* With the lock held: the worker must not be faster than the handler says that it is deferred. */
static int post(struct device *device, const struct mapcache_request *request)
{
	struct command *command = &device->queue[(device->first + device->count) % VCPUS_MAX];
	int error = mapcache_ioreq_defer(device->server, request);

	if (error)
		return error;
	command->request = *request;
	command->gpa = device->reg[ADDRESS] | (uint64_t)device->reg[ADDRESS_HIGH] << 32;
	command->length = device->reg[LENGTH];
	device->count++;
	pthread_cond_signal(&device->posted);
	return 0;
}

static int handle(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct device *device = data;
	uint64_t offset = request->addr - device->base;
	int error = 0;

	(void)client;
	if (request->data_is_ptr || request->size != 4 || offset % 4 || offset / 4 >= REGISTERS)
		return -EINVAL;
	pthread_mutex_lock(&device->lock);
	if (!request->write)
		request->data = device->reg[offset / 4];
	else if (offset / 4 == COMMAND && request->data == 1)
		error = post(device, request);
	else if (offset / 4 == COMMAND)
		device->reg[STATUS] = ENOSYS;
	else if (offset / 4 >= SCRATCH && offset / 4 <= LENGTH)
		device->reg[offset / 4] = (uint32_t)request->data;
	pthread_mutex_unlock(&device->lock);
	return error;
}

/* Wait for requests and answer them, until a signal comes. */
static int serve(struct device *device, struct mapcache_client *client, int signals)
{
	struct pollfd fd[2] = { { .fd = xenevtchn_fd(device->channels), .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };
	uint32_t vcpus = (uint32_t)mapcache_ioreq_vcpus(device->server);

	while (poll(fd, 2, -1) > 0 && !fd[1].revents) {
		int pending = xenevtchn_pending(device->channels);

		if (pending < 0 || xenevtchn_unmask(device->channels, (evtchn_port_t)pending))
			return -errno;
		for (uint32_t vcpu = 0; vcpu < vcpus; vcpu++)
			if (device->port[vcpu] == pending &&
			    mapcache_ioreq_handle(device->server, client, vcpu) == 1)
				xenevtchn_notify(device->channels, (evtchn_port_t)pending);
	}
	return fd[1].revents ? 0 : -errno;
}

/* The worker runs for as long as requests come, and ends with an empty queue. */
static int serve_with_worker(struct device *device, struct mapcache_client *client, int signals)
{
	int error = -pthread_create(&device->worker, NULL, work, device);

	if (error)
		return error;
	error = serve(device, client, signals);
	pthread_mutex_lock(&device->lock);
	device->stop = true;
	pthread_cond_signal(&device->posted);
	pthread_mutex_unlock(&device->lock);
	pthread_join(device->worker, NULL);
	return error;
}

static int bind_vcpus(struct device *device, uint32_t domid)
{
	uint32_t vcpus = (uint32_t)mapcache_ioreq_vcpus(device->server);

	if (vcpus > VCPUS_MAX)
		return -E2BIG;
	for (uint32_t vcpu = 0; vcpu < vcpus; vcpu++) {
		device->port[vcpu] = xenevtchn_bind_interdomain(
			device->channels, domid,
			(evtchn_port_t)mapcache_ioreq_vcpu_port(device->server, vcpu));
		if (device->port[vcpu] < 0)
			return -errno;
	}
	return 0;
}

static int run(uint32_t domid, uint32_t vcpus, struct device *device, int signals)
{
	struct mapcache_options options = { .size = sizeof(options), .domid = domid };
	struct mapcache_ioreq_options ioreq = { .size = sizeof(ioreq),
						.domid = domid,
						.vcpus = vcpus,
						.handler = handle,
						.handler_data = device };
	struct mapcache_client *client = NULL;
	int error;

	device->channels = xenevtchn_open(NULL, 0);
	error = device->channels ? 0 : -errno;
	if (!error)
		error = mapcache_open(&options, &device->cache);
	if (!error)
		error = mapcache_client_open(device->cache, &client);
	if (!error)
		error = mapcache_client_open(device->cache, &device->client);
	if (!error)
		error = mapcache_ioreq_open(device->cache, &ioreq, &device->server);
	if (!error)
		error = mapcache_ioreq_add_range(device->server, MAPCACHE_IOREQ_MEMORY,
						 device->base, device->base + 4095);
	if (!error)
		error = mapcache_ioreq_enable(device->server, true);
	if (!error)
		error = bind_vcpus(device, domid);
	if (!error)
		error = serve_with_worker(device, client, signals);

	if (device->channels)
		xenevtchn_close(device->channels); /* unbinds its ports */
	if (device->server)
		mapcache_ioreq_close(device->server);
	if (client)
		mapcache_client_close(client);
	if (device->client)
		mapcache_client_close(device->client);
	if (device->cache)
		mapcache_close(device->cache);
	return error;
}

int main(int argc, char **argv)
{
	struct device device = { .reg = { [ID] = 0x6d636465 },
				 .lock = PTHREAD_MUTEX_INITIALIZER,
				 .posted = PTHREAD_COND_INITIALIZER };
	uint32_t vcpus = argc == 4 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0;
	int signals, error;
	sigset_t set;

	if (argc != 4 || vcpus > VCPUS_MAX) {
		fprintf(stderr, "usage: mmio DOMID VCPUS BASE\n");
		return 2;
	}
	device.base = strtoull(argv[3], NULL, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		error = -errno;
	else
		error = run((uint32_t)strtoul(argv[1], NULL, 0), vcpus, &device, signals);
	if (error)
		fprintf(stderr, "mmio: %s\n", strerror(-error));
	return error ? 1 : 0;
}
