/* SPDX-License-Identifier: MIT */
/*
 * mmio: the smallest complete device model, to be copied. One ioreq server, one block of
 * registers, one DMA command.
 *
 *	mmio DOMID VCPUS BASE
 *
 * Registers, 32 bits each, at BASE:
 *	0x00  ID       "mcde"                         (read)
 *	0x04  SCRATCH  keeps what is written
 *	0x08  ADDRESS  guest-physical address, low half; 0x0c the high half
 *	0x10  LENGTH   bytes, at most 16 MiB
 *	0x14  COMMAND  1: add up the bytes there      (write)
 *	0x18  STATUS   0, or an errno of the last command (read)
 *	0x1c  SUM      its result                     (read)
 */
#include <errno.h>
#include <poll.h>
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

struct device {
	uint64_t base;
	uint32_t reg[REGISTERS];
};

/* DMA: pin what is contiguous, use it, unpin. Nothing is copied. */
static int add_up(struct device *device, struct mapcache_client *client)
{
	uint64_t gpa = device->reg[ADDRESS] | (uint64_t)device->reg[ADDRESS_HIGH] << 32;
	size_t left = device->reg[LENGTH], len, i;
	uint32_t sum = 0;

	if (left > LENGTH_MAX)
		return -EINVAL;
	for (; left; left -= len, gpa += len) {
		const volatile uint8_t *bytes;

		len = left;
		bytes = mapcache_pin(client, gpa, &len, PROT_READ, 0);
		if (!bytes)
			return -errno;
		for (i = 0; i < len; i++)
			sum += bytes[i];
		mapcache_client_unpin(client, (void *)(uintptr_t)bytes, 0);
	}
	device->reg[SUM] = sum;
	return 0;
}

static int handle(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct device *device = data;
	uint64_t offset = request->addr - device->base;

	if (request->data_is_ptr || request->size != 4 || offset % 4 || offset / 4 >= REGISTERS)
		return -EINVAL;
	if (!request->write)
		request->data = device->reg[offset / 4];
	else if (offset / 4 == COMMAND)
		device->reg[STATUS] =
			request->data == 1 ? (uint32_t)-add_up(device, client) : ENOSYS;
	else if (offset / 4 >= SCRATCH && offset / 4 <= LENGTH)
		device->reg[offset / 4] = (uint32_t)request->data;
	return 0;
}

/* Wait for requests and answer them, until a signal comes. */
static int serve(struct mapcache_ioreq *server, struct mapcache_client *client,
		 xenevtchn_handle *channels, const int *port, uint32_t vcpus, int signals)
{
	struct pollfd fd[2] = { { .fd = xenevtchn_fd(channels), .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };

	while (poll(fd, 2, -1) > 0 && !fd[1].revents) {
		int pending = xenevtchn_pending(channels);

		if (pending < 0 || xenevtchn_unmask(channels, (evtchn_port_t)pending))
			return -errno;
		for (uint32_t vcpu = 0; vcpu < vcpus; vcpu++)
			if (port[vcpu] == pending &&
			    mapcache_ioreq_handle(server, client, vcpu) == 1)
				xenevtchn_notify(channels, (evtchn_port_t)pending);
	}
	return fd[1].revents ? 0 : -errno;
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
	struct mapcache_ioreq *server = NULL;
	struct mapcache *cache = NULL;
	xenevtchn_handle *channels = xenevtchn_open(NULL, 0);
	int error = channels ? 0 : -errno, port[VCPUS_MAX];

	if (!error)
		error = mapcache_open(&options, &cache);
	if (!error)
		error = mapcache_client_open(cache, &client);
	if (!error)
		error = mapcache_ioreq_open(cache, &ioreq, &server);
	if (!error)
		error = mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_MEMORY, device->base,
						 device->base + 4095);
	if (!error)
		error = mapcache_ioreq_enable(server, true);
	for (uint32_t vcpu = 0; !error && vcpu < vcpus; vcpu++) {
		port[vcpu] = xenevtchn_bind_interdomain(
			channels, domid, (evtchn_port_t)mapcache_ioreq_vcpu_port(server, vcpu));
		if (port[vcpu] < 0)
			error = -errno;
	}
	if (!error)
		error = serve(server, client, channels, port, vcpus, signals);

	if (channels)
		xenevtchn_close(channels); /* unbinds its ports */
	if (server)
		mapcache_ioreq_close(server);
	if (client)
		mapcache_client_close(client);
	if (cache)
		mapcache_close(cache);
	return error;
}

int main(int argc, char **argv)
{
	struct device device = { .reg = { [ID] = 0x6d636465 } };
	uint32_t vcpus = argc == 4 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0;
	int signals, error;
	sigset_t set;

	if (vcpus < 1 || vcpus > VCPUS_MAX) {
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
