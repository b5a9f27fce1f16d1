/* SPDX-License-Identifier: MIT */
/*
 * Buffered requests as a real Xen sends them: the guest sets its clock, and writes to VGA memory
 * while Xen emulates VGA.
 */
#include "tests/xen/arch.h"
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <xen/hvm/ioreq.h>

#define GUEST_PAGES 2048u
#define VGA 0xa0000u
#define VGA_PAGES 16u

#define CLOCK_INDEX 0x70u
#define CLOCK_DATA 0x71u
#define CLOCK_YEAR 9u
#define SEQUENCER_INDEX 0x3c4u
#define SEQUENCER_DATA 0x3c5u
#define SEQUENCER_RESET 7u

#define STORES 600u

static struct emulator emulator;
static struct domain domain;

static struct {
	uint32_t clocks, stores, others;
	int64_t seconds;
	uint32_t next, wrong;
} ring;

static int note(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	(void)data, (void)client;
	if (!request->buffered) {
		/* The same stores when the ring is full, and after those that are in it. */
		if (request->type != MAPCACHE_IOREQ_MEMORY || request->addr < VGA ||
		    request->addr >= VGA + VGA_PAGES * GUEST_PAGE_SIZE)
			return -ENXIO;
		ring.others++;
	} else if (request->type == IOREQ_TYPE_TIMEOFFSET) {
		ring.clocks++;
		ring.seconds = (int64_t)request->data;
		return 0;
	} else {
		ring.stores++;
	}
	ring.wrong += request->addr != VGA + 4 * (ring.next % 1024) || request->size != 4 ||
		      request->data != ring.next;
	ring.next++;
	return 0;
}

static int ring_port;

static void start(void)
{
	struct emulator_options options = {
		.ioreq_flags = MAPCACHE_IOREQ_BUFFERED | MAPCACHE_IOREQ_ALL_TYPES, .handler = note
	};
	int remote;

	arch_whole_pc(true);
	domain_create(&domain, 1, GUEST_PAGES, 0);
	emulator_open(&emulator, &domain, &options);
	CHECK_EQUAL(mapcache_ioreq_add_range(emulator.server, MAPCACHE_IOREQ_MEMORY, VGA,
					     VGA + VGA_PAGES * GUEST_PAGE_SIZE - 1),
		    0);
	emulator_enable(&emulator);
	remote = mapcache_ioreq_buffered_port(emulator.server);
	CHECK(remote > 0);
	domain_unpause(&domain);
}

static void out(uint32_t port, uint32_t value)
{
	emulator_call(&emulator, 0, COMMAND_PORT, ARGUMENTS(port, 1, true, value));
}

static int empty_ring(void)
{
	return mapcache_ioreq_handle_buffered(emulator.server, emulator.vcpu[0].client, 1000);
}

static void a_change_of_the_guests_clock_comes_by_the_ring_and_its_channel(void)
{
	xenevtchn_handle *events = xenevtchn_open(NULL, 0);
	struct pollfd wait = { .events = POLLIN };

	CHECK(events);
	start();
	ring_port = xenevtchn_bind_interdomain(
		events, domain.id, (evtchn_port_t)mapcache_ioreq_buffered_port(emulator.server));
	CHECK(ring_port >= 0);
	wait.fd = xenevtchn_fd(events);
	while (poll(&wait, 1, 0) > 0) {
		CHECK_EQUAL(xenevtchn_pending(events), ring_port);
		CHECK_EQUAL(xenevtchn_unmask(events, (evtchn_port_t)ring_port), 0);
	}
	out(CLOCK_INDEX, CLOCK_YEAR);
	out(CLOCK_DATA, 0x35); /* 2035 */
	CHECK(empty_ring() >= 0);
	CHECK_EQUAL(poll(&wait, 1, 5000), 1);
	CHECK_EQUAL(xenevtchn_pending(events), ring_port);
	CHECK_EQUAL(ring.clocks, 1);
	/* Years, in seconds. */
	CHECK(ring.seconds > 86400 || ring.seconds < -86400);
	CHECK_EQUAL(empty_ring(), 0);
	xenevtchn_unbind(events, (evtchn_port_t)ring_port);
	xenevtchn_close(events);
	emulator_finish(&emulator);
}

static void stores_to_vga_memory_come_whole_and_in_order(void)
{
	start();
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DECREASE,
				  ARGUMENTS(VGA / GUEST_PAGE_SIZE, VGA_PAGES)),
		    VGA_PAGES);
	/* Xen's VGA takes part from here on. */
	out(SEQUENCER_INDEX, SEQUENCER_RESET);
	out(SEQUENCER_DATA, 0);
	for (uint32_t i = 0; i < STORES; i++)
		emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(VGA + 4 * (i % 1024), i));
	CHECK(empty_ring() >= 0);
	printf("# %u stores to VGA memory: %u by the ring, %u by the slot\n", STORES, ring.stores,
	       ring.others);
	CHECK_EQUAL(ring.stores + ring.others, STORES);
	CHECK_EQUAL(ring.wrong, 0);
	CHECK(ring.stores > 0);
	emulator_finish(&emulator);
}

const struct test buffered_tests[] = {
	TEST(a_change_of_the_guests_clock_comes_by_the_ring_and_its_channel),
	TEST(stores_to_vga_memory_come_whole_and_in_order),
};
const size_t buffered_tests_count = sizeof(buffered_tests) / sizeof(buffered_tests[0]);
