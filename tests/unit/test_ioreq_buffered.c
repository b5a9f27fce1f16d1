/* SPDX-License-Identifier: MIT */
/* The ring of buffered requests: filled by Xen, emptied by the server, neither waiting. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <xen/hvm/ioreq.h>

#include <lib/ioreq/ioreq.h>
#include <tests/support/bed.h>
#include <tests/support/flag.h>

#define VGA UINT64_C(0xa0000)
#define SLOTS ((uint32_t)IOREQ_BUFFER_SLOT_NUM)

/* ---- the ring alone ------------------------------------------------------------------------- */

struct alone {
	struct bed bed;
	struct buffered_iopage ring __attribute__((aligned(8))); /* of a page */
	struct ioreq slot;
	struct ioreq_vcpu vcpus[2];
	struct mapcache_ioreq server;
	struct mapcache_request seen[16];
	uint64_t count;
};

static int note(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct alone *alone = data;

	(void)client;
	assert_true(request->buffered && request->write);
	assert_int_equal(request->vcpu, MAPCACHE_IOREQ_NO_VCPU);
	assert_int_equal(mapcache_ioreq_defer(&alone->server, request), -EINVAL);
	alone->seen[alone->count++ % 16] = *request;
	return 0;
}

static int note_any(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct alone *alone = data;

	(void)client;
	alone->seen[alone->count++ % 16] = *request;
	return 0;
}

static void alone_open(struct alone *alone, uint32_t flags)
{
	memset(alone, 0, sizeof(*alone));
	bed_start(&alone->bed, BED_QUIET);
	alone->server = (struct mapcache_ioreq){
		.cache = alone->bed.cache,
		.options = { .handler = note, .handler_data = alone, .flags = flags },
		.link = { .slots = &alone->slot, .ring = &alone->ring },
		.slots = 1,
		.vcpu = alone->vcpus,
		.enabled_once = 1,
	};
}

/* As Xen does it. */
static void put(struct alone *alone, uint8_t type, unsigned int shift, uint32_t addr, uint64_t data)
{
	uint32_t write = alone->ring.write_pointer;

	for (unsigned int i = 0; i <= (shift == 3); i++)
		alone->ring.buf_ioreq[(write + i) % SLOTS] =
			(struct buf_ioreq){ .type = type,
					    .dir = IOREQ_WRITE,
					    .size = shift & 3,
					    .addr = addr & 0xfffff,
					    .data = (uint32_t)(data >> 32 * i) };
	alone->ring.write_pointer = write + 1 + (shift == 3);
}

static int handle(struct alone *alone, int max)
{
	return mapcache_ioreq_handle_buffered(&alone->server, alone->bed.client, max);
}

static void what_is_in_the_ring_comes_in_order_and_whole(void **state)
{
	struct alone alone;

	(void)state;
	alone_open(&alone, 0);
	assert_int_equal(handle(&alone, 100), 0);
	put(&alone, IOREQ_TYPE_COPY, 0, 0xa0001, 0x11);
	put(&alone, IOREQ_TYPE_COPY, 1, 0xa0002, 0x2222);
	put(&alone, IOREQ_TYPE_COPY, 3, 0xfffff, 0x123456789abcdef0);
	put(&alone, IOREQ_TYPE_PIO, 2, 0x3c4, 0x33333333);
	assert_int_equal(handle(&alone, 2), 2);
	assert_int_equal(alone.ring.read_pointer, 2);
	assert_int_equal(handle(&alone, 100), 2);
	assert_int_equal(alone.ring.read_pointer, alone.ring.write_pointer);
	assert_int_equal(alone.seen[0].data, 0x11);
	assert_int_equal(alone.seen[0].size, 1);
	assert_int_equal(alone.seen[1].addr, 0xa0002);
	assert_int_equal(alone.seen[1].size, 2);
	assert_int_equal(alone.seen[2].addr, 0xfffff);
	assert_int_equal(alone.seen[2].data, 0x123456789abcdef0);
	assert_int_equal(alone.seen[2].size, 8);
	assert_int_equal(alone.seen[3].type, MAPCACHE_IOREQ_PORT);
	assert_int_equal(alone.seen[3].count, 1);
	bed_stop(&alone.bed);
}

/* The pointers count on, past the slots and round the end of 32 bits; two slots lie apart. */
static void pointers_wrap_and_are_only_ever_added_to(void **state)
{
	static const uint32_t starts[] = { 0, SLOTS - 1, SLOTS, 3 * SLOTS + 7 };
	struct alone alone;

	(void)state;
	alone_open(&alone, 0);
	for (unsigned int i = 0; i < 4; i++) {
		alone.ring.read_pointer = alone.ring.write_pointer = starts[i];
		for (uint64_t j = 0; j < SLOTS / 2; j++)
			put(&alone, IOREQ_TYPE_COPY, 3, 0xa0000, j << 32 | i);
		alone.count = 0;
		for (uint64_t j = 0; j < SLOTS / 2; j++) {
			assert_int_equal(handle(&alone, 1), 1);
			assert_int_equal(alone.seen[j % 16].data, j << 32 | i);
		}
		assert_int_equal(alone.ring.read_pointer, starts[i] + SLOTS - 1);
	}
	bed_stop(&alone.bed);
}

static void a_ring_that_is_out_of_step_is_skipped_in_bounded_work(void **state)
{
	struct mapcache_ioreq_stats stats = { .size = sizeof(stats) };
	struct alone alone;

	(void)state;
	alone_open(&alone, 0);
	alone.ring.write_pointer = SLOTS + 1;
	assert_int_equal(handle(&alone, INT32_MAX), 0);
	assert_int_equal(alone.ring.read_pointer, SLOTS + 1);
	/* Eight bytes with only half of them there. */
	put(&alone, IOREQ_TYPE_COPY, 3, 0xa0000, 1);
	alone.ring.write_pointer--;
	assert_int_equal(handle(&alone, 5), 0);
	assert_int_equal(alone.ring.read_pointer, alone.ring.write_pointer);
	assert_int_equal(alone.count, 0);
	put(&alone, IOREQ_TYPE_COPY, 0, 0xa0000, 1);
	assert_int_equal(handle(&alone, 5), 1);
	assert_int_equal(mapcache_ioreq_stats(&alone.server, &stats), 0);
	assert_int_equal(stats.buffered, 1);
	assert_int_equal(stats.refused, 2);
	bed_stop(&alone.bed);
}

static void what_makes_no_sense_in_it_is_not_handed_on(void **state)
{
	struct alone alone;

	(void)state;
	alone_open(&alone, 0);
	put(&alone, IOREQ_TYPE_COPY, 0, 0xa0000, 1);
	alone.ring.buf_ioreq[0].dir = IOREQ_READ;
	put(&alone, 99, 0, 0xa0000, 1);
	put(&alone, IOREQ_TYPE_PIO, 3, 0x3c4, 1);
	put(&alone, IOREQ_TYPE_TIMEOFFSET, 3, 0, 1);
	assert_int_equal(handle(&alone, 100), 4);
	assert_int_equal(alone.count, 0);
	alone.server.options.flags = MAPCACHE_IOREQ_ALL_TYPES;
	put(&alone, IOREQ_TYPE_TIMEOFFSET, 3, 0, (uint64_t)-5);
	assert_int_equal(handle(&alone, 100), 1);
	assert_int_equal(alone.seen[0].type, IOREQ_TYPE_TIMEOFFSET);
	assert_int_equal(alone.seen[0].data, (uint64_t)-5);
	bed_stop(&alone.bed);
}

/* A vCPU's stores to the ring come before its next request, which looks at what they did. */
static void what_is_in_the_ring_comes_before_a_request_but_not_before_invalidate(void **state)
{
	struct ioreq request = { .type = IOREQ_TYPE_COPY,
				 .addr = VGA,
				 .size = 1,
				 .count = 1,
				 .dir = IOREQ_WRITE,
				 .state = STATE_IOREQ_READY };
	struct alone alone;

	(void)state;
	alone_open(&alone, 0);
	alone.server.options.handler = note_any;
	for (uint64_t i = 0; i < 9; i++)
		put(&alone, IOREQ_TYPE_COPY, 0, 0xa0000, i);
	alone.slot = request;
	alone.slot.type = IOREQ_TYPE_INVALIDATE;
	assert_int_equal(mapcache_ioreq_handle(&alone.server, alone.bed.client, 0), 1);
	assert_int_equal(alone.count, 0);
	alone.slot = request;
	assert_int_equal(mapcache_ioreq_handle(&alone.server, alone.bed.client, 0), 1);
	assert_int_equal(alone.count, 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(alone.seen[i].buffered, i < 9);
	assert_int_equal(handle(&alone, 100), 0);
	bed_stop(&alone.bed);
}

static void wrong_arguments_and_servers_without_a_ring_are_refused(void **state)
{
	struct mapcache_client *client;
	struct alone alone;

	(void)state;
	alone_open(&alone, 0);
	client = alone.bed.client;
	assert_int_equal(mapcache_ioreq_handle_buffered(NULL, client, 1), -EINVAL);
	assert_int_equal(mapcache_ioreq_handle_buffered(&alone.server, NULL, 1), -EINVAL);
	assert_int_equal(handle(&alone, 0), -EINVAL);
	assert_int_equal(handle(&alone, -1), -EINVAL);
	mapcache_begin(client);
	assert_int_equal(handle(&alone, 1), -EINVAL);
	assert_int_equal(mapcache_end(client), 0);
	put(&alone, IOREQ_TYPE_COPY, 0, 0xa0000, 1);
	alone.server.enabled_once = 0;
	assert_int_equal(handle(&alone, 1), 0);
	alone.server.link.ring = NULL;
	assert_int_equal(handle(&alone, 1), -EOPNOTSUPP);
	assert_int_equal(mapcache_ioreq_buffered_port(&alone.server), -EOPNOTSUPP);
	assert_int_equal(mapcache_ioreq_buffered_port(NULL), -EINVAL);
	bed_stop(&alone.bed);
}

/* ---- with Xen on the other side ------------------------------------------------------------ */

#define STORES 20000u

/* VGA memory, as it is at the end, and how it came there. */
struct vga {
	uint8_t byte[0x10000];
	uint64_t buffered, others, clocks;
	int64_t clock;
};

static int store(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct vga *vga = data;

	(void)client;
	if (request->type == IOREQ_TYPE_TIMEOFFSET) {
		vga->clocks++;
		vga->clock = (int64_t)request->data;
		return 0;
	}
	if (request->buffered)
		vga->buffered++;
	else
		vga->others++;
	if (request->write)
		memcpy(vga->byte + (request->addr - VGA), &request->data, request->size);
	else
		memcpy(&request->data, vga->byte + (request->addr - VGA), request->size);
	return 0;
}

struct guest {
	uint64_t wrong;
	struct flag over;
};

static void write_and_read_back(struct xensim_vcpu *vcpu, void *data)
{
	struct guest *guest = data;
	uint64_t value, seen;

	for (uint64_t i = 0; i < STORES; i++) {
		uint32_t size = 1u << i % 4;
		uint64_t gpa = VGA + i * 8 % 0x10000;

		value = i * UINT64_C(0x0101010101010101);
		guest->wrong += xensim_mmio_write(vcpu, gpa, size, value) != 0;
		if (i % 7)
			continue;
		/* The last store comes before the load, whichever way it went. */
		guest->wrong += xensim_mmio_read(vcpu, gpa, size, &seen) != 0;
		guest->wrong += memcmp(&seen, &value, size) != 0;
	}
	guest->wrong += xensim_time_offset(vcpu, -3600) != 0;
	flag_set(&guest->over);
}

/* Serves both channels of the rig's only vCPU on the test's thread until the guest has come to
 * its end. */
static void serve(struct rig *rig, struct mapcache_ioreq *server, struct mapcache_client *client)
{
	xenevtchn_handle *channels = xenevtchn_open(NULL, 0);
	int slot = xenevtchn_bind_interdomain(channels, rig->domid,
					      (evtchn_port_t)mapcache_ioreq_vcpu_port(server, 0));
	int ring = xenevtchn_bind_interdomain(channels, rig->domid,
					      (evtchn_port_t)mapcache_ioreq_buffered_port(server));
	struct guest guest = { .wrong = 0 };

	assert_true(slot > 0 && ring > 0 && slot != ring);
	assert_int_equal(xensim_vcpu_start(rig->domain, 0, write_and_read_back, &guest), 0);
	while (!flag_is_set(&guest.over)) {
		while (mapcache_ioreq_handle_buffered(server, client, 16) == 16)
			;
		if (mapcache_ioreq_handle(server, client, 0) == 1)
			xenevtchn_notify(channels, (evtchn_port_t)slot);
		sched_yield();
	}
	assert_int_equal(xensim_vcpu_join(rig->domain, 0), 0);
	while (mapcache_ioreq_handle_buffered(server, client, 16) > 0)
		;
	xenevtchn_close(channels);
	assert_int_equal(guest.wrong, 0);
}

static void check_vga(bool no_map_resource)
{
	struct mapcache_ioreq_options options;
	struct mapcache_ioreq *server;
	struct vga vga;
	struct bed bed;

	memset(&vga, 0, sizeof(vga));
	bed_start(&bed, &(struct rig_options){ .host.no_map_resource = no_map_resource,
					       .ram_pages = VGA / BED_PAGE });
	xensim_domain_stdvga(bed.domain, true);
	options = rig_ioreq_options(&bed.rig);
	options.flags = MAPCACHE_IOREQ_BUFFERED | MAPCACHE_IOREQ_ALL_TYPES;
	options.handler = store;
	options.handler_data = &vga;
	assert_int_equal(mapcache_ioreq_open(bed.cache, &options, &server), 0);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_MEMORY, VGA, VGA + 0xffff),
			 0);
	assert_int_equal(mapcache_ioreq_enable(server, true), 0);
	serve(&bed.rig, server, bed.client);
	assert_int_equal(vga.buffered + vga.others, STORES + (STORES + 6) / 7);
	assert_true(vga.buffered > STORES / 2);
	assert_int_equal(bed_totals().requests_buffered, vga.buffered + vga.clocks);
	assert_int_equal(vga.clocks, 1);
	assert_int_equal(vga.clock, -3600);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	bed_stop(&bed);
}

static void stores_to_vga_memory_arrive_in_order(void **state)
{
	(void)state;
	check_vga(false);
}

static void stores_to_vga_memory_arrive_in_order_on_an_older_xen(void **state)
{
	(void)state;
	check_vga(true);
}

static void a_ring_that_cannot_be_mapped_leaves_nothing_behind(void **state)
{
	struct mapcache_ioreq_options options;
	struct mapcache_ioreq *server = NULL;
	struct rig rig;

	(void)state;
	for (uint64_t nth = 1; nth <= 2; nth++) {
		uint64_t handles;

		rig_start(&rig, &(struct rig_options){ .host.no_map_resource = true });
		options = rig_ioreq_options(&rig);
		options.flags = MAPCACHE_IOREQ_BUFFERED;
		handles = bed_totals().handles_open;
		xensim_fail(XENSIM_CALL_MAP, nth, ENOMEM);
		assert_int_equal(mapcache_ioreq_open(rig.cache, &options, &server), -ENOMEM);
		assert_null(server);
		assert_int_equal(bed_totals().handles_open, handles);
		rig_stop(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_the_ring_comes_in_order_and_whole),
		cmocka_unit_test(pointers_wrap_and_are_only_ever_added_to),
		cmocka_unit_test(a_ring_that_is_out_of_step_is_skipped_in_bounded_work),
		cmocka_unit_test(what_makes_no_sense_in_it_is_not_handed_on),
		cmocka_unit_test(
			what_is_in_the_ring_comes_before_a_request_but_not_before_invalidate),
		cmocka_unit_test(wrong_arguments_and_servers_without_a_ring_are_refused),
		cmocka_unit_test(stores_to_vga_memory_arrive_in_order),
		cmocka_unit_test(stores_to_vga_memory_arrive_in_order_on_an_older_xen),
		cmocka_unit_test(a_ring_that_cannot_be_mapped_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
