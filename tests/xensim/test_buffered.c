/* SPDX-License-Identifier: MIT */
/* The ring of buffered requests: what goes into it, what it holds, and what does not fit. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

/* The values of toolstack interfaces. */
#define __XEN_TOOLS__ 1
#include "test_xensim.h"
#include <xen/memory.h>

#define VGA 0xa0000u

/* A guest without memory of its own where video memory is. */
static int start(void **state)
{
	(void)state;
	start_x86(state);
	assert_int_equal(xensim_domain_destroy(guest), 0);
	assert_int_equal(xensim_domain_create(VCPUS, 0x100, RAM_PAGES, &guest), 0);
	guest_id = xensim_domid(guest);
	return 0;
}

/* A server with both of its pages and the port of its ring. */
struct buffered {
	xendevicemodel_handle *dmod;
	xenevtchn_handle *xce;
	xenforeignmemory_resource_handle *resource;
	struct buffered_iopage *ring;
	struct shared_iopage *page;
	ioservid_t id;
	int ring_port, vcpu_port;
};

static void buffered_open(struct buffered *it, int mode)
{
	domid_t domid = (domid_t)guest_id;
	evtchn_port_t port;
	void *address = NULL;

	it->dmod = xendevicemodel_open(NULL, 0);
	it->xce = xenevtchn_open(NULL, 0);
	assert_int_equal(xendevicemodel_create_ioreq_server(it->dmod, domid, mode, &it->id), 0);
	it->resource =
		xenforeignmemory_map_resource(fmem, domid, XENMEM_resource_ioreq_server, it->id, 0,
					      2, &address, PROT_READ | PROT_WRITE, 0);
	assert_non_null(it->resource);
	it->ring = address;
	it->page = (void *)((char *)address + XENSIM_PAGE);
	assert_int_equal(xendevicemodel_get_ioreq_server_info(it->dmod, domid, it->id, NULL, NULL,
							      &port),
			 0);
	assert_int_equal(xendevicemodel_map_io_range_to_ioreq_server(it->dmod, domid, it->id, 1,
								     VGA, 0xbffff),
			 0);
	assert_int_equal(xendevicemodel_set_ioreq_server_state(it->dmod, domid, it->id, 1), 0);
	it->ring_port = xenevtchn_bind_interdomain(it->xce, guest_id, port);
	it->vcpu_port =
		xenevtchn_bind_interdomain(it->xce, guest_id, it->page->vcpu_ioreq[0].vp_eport);
	assert_true(it->ring_port > 0 && it->vcpu_port > 0);
	xensim_domain_stdvga(guest, true);
}

static void buffered_close(struct buffered *it)
{
	xenevtchn_close(it->xce);
	xenforeignmemory_unmap_resource(fmem, it->resource);
	xendevicemodel_destroy_ioreq_server(it->dmod, (domid_t)guest_id, it->id);
	xendevicemodel_close(it->dmod);
}

/* The next event within timeout_ms is for this port? */
static bool event_for(struct buffered *it, int port, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = xenevtchn_fd(it->xce), .events = POLLIN };
	int got;

	if (poll(&poll_fd, 1, timeout_ms) != 1)
		return false;
	got = xenevtchn_pending(it->xce);
	assert_int_equal(xenevtchn_unmask(it->xce, (evtchn_port_t)got), 0);
	return got == port;
}

struct stores {
	uint32_t count, size;
	uint64_t addr;
};

/* Value i at the i-th place. */
static int run_stores(struct xensim_vcpu *vcpu, void *argument)
{
	const struct stores *stores = argument;
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < stores->count; i++)
		ret = xensim_mmio_write(vcpu, stores->addr + (uint64_t)i * stores->size,
					stores->size, i | UINT64_C(0x1122334400000000));
	return ret;
}

static void store(struct stores stores)
{
	struct call call = { .run = run_stores, .argument = &stores };

	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
}

/* Take what is there as a device model of the ATOMIC kind does. Returns the number of slots. */
static uint32_t drain(struct buffered *it, uint32_t expected)
{
	uint32_t read = it->ring->read_pointer;
	uint32_t write = __atomic_load_n(&it->ring->write_pointer, __ATOMIC_ACQUIRE);
	uint32_t i;

	for (i = 0; read + i != write; i++) {
		const struct buf_ioreq *slot =
			&it->ring->buf_ioreq[(read + i) % IOREQ_BUFFER_SLOT_NUM];

		assert_int_equal(slot->type, IOREQ_TYPE_COPY);
		assert_int_equal(slot->dir, IOREQ_WRITE);
		assert_int_equal(slot->data, expected + i);
		__atomic_fetch_add(&it->ring->read_pointer, 1, __ATOMIC_SEQ_CST);
	}
	return i;
}

static void a_store_to_video_memory_does_not_wait(void **state)
{
	struct buffered it;

	(void)state;
	buffered_open(&it, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	while (event_for(&it, it.ring_port, 0) || event_for(&it, it.ring_port, 0))
		;
	store((struct stores){ .count = 3, .size = 4, .addr = VGA });
	assert_true(event_for(&it, it.ring_port, 20000));
	assert_int_equal(it.ring->buf_ioreq[2].addr, VGA + 8);
	assert_int_equal(it.ring->buf_ioreq[2].size, 2);
	assert_int_equal(drain(&it, 0), 3);
	assert_int_equal(totals_now().requests_buffered, 3);
	buffered_close(&it);
}

static void eight_bytes_take_two_slots(void **state)
{
	struct buffered it;

	(void)state;
	buffered_open(&it, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	store((struct stores){ .count = 1, .size = 8, .addr = VGA });
	assert_int_equal(it.ring->write_pointer, 2);
	assert_int_equal(it.ring->buf_ioreq[0].size, 3);
	assert_int_equal(it.ring->buf_ioreq[0].data, 0);
	assert_int_equal(it.ring->buf_ioreq[1].data, 0x11223344);
	buffered_close(&it);
}

static void the_ring_wraps_and_its_indexes_stay_small(void **state)
{
	struct buffered it;
	uint32_t round;

	(void)state;
	buffered_open(&it, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	for (round = 0; round < 4; round++) {
		store((struct stores){ .count = 300, .size = 2, .addr = VGA });
		assert_int_equal(drain(&it, 0), 300);
	}
	assert_in_range(it.ring->write_pointer, 0, 2 * IOREQ_BUFFER_SLOT_NUM);
	buffered_close(&it);
}

static void indexes_of_the_old_kind_only_grow(void **state)
{
	struct buffered it;
	uint32_t round;

	(void)state;
	buffered_open(&it, HVM_IOREQSRV_BUFIOREQ_LEGACY);
	for (round = 0; round < 4; round++) {
		store((struct stores){ .count = 300, .size = 1, .addr = VGA });
		it.ring->read_pointer = it.ring->write_pointer;
	}
	assert_int_equal(it.ring->write_pointer, 1200);
	buffered_close(&it);
}

static void what_does_not_fit_into_the_ring_waits_in_the_slot(void **state)
{
	struct stores stores = { .count = IOREQ_BUFFER_SLOT_NUM + 1, .size = 4, .addr = VGA };
	struct call call = { .run = run_stores, .argument = &stores };
	struct buffered it;
	struct ioreq *slot;

	(void)state;
	buffered_open(&it, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	slot = &it.page->vcpu_ioreq[0];
	call_start(&call, 0);
	while (slot->state != STATE_IOREQ_READY)
		event_for(&it, it.vcpu_port, 20000);
	assert_int_equal(it.ring->write_pointer, IOREQ_BUFFER_SLOT_NUM);
	assert_int_equal(slot->addr, VGA + 4 * IOREQ_BUFFER_SLOT_NUM);
	slot->state = STATE_IOREQ_INPROCESS;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	slot->state = STATE_IORESP_READY;
	xenevtchn_notify(it.xce, (evtchn_port_t)it.vcpu_port);
	assert_int_equal(call_finish(&call), 0);
	buffered_close(&it);
}

static int run_time_offset(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_time_offset(vcpu, *(int64_t *)argument);
}

static void a_time_offset_goes_into_the_ring(void **state)
{
	int64_t seconds = -3600;
	struct call call = { .run = run_time_offset, .argument = &seconds };
	struct buffered it;

	(void)state;
	buffered_open(&it, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(it.ring->write_pointer, 2);
	assert_int_equal(it.ring->buf_ioreq[0].type, IOREQ_TYPE_TIMEOFFSET);
	assert_int_equal(it.ring->buf_ioreq[0].data, (uint32_t)-3600);
	assert_int_equal(it.ring->buf_ioreq[1].data, ~0u);
	buffered_close(&it);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
const struct CMUnitTest buffered_tests[] = {
	TEST(a_store_to_video_memory_does_not_wait),
	TEST(eight_bytes_take_two_slots),
	TEST(the_ring_wraps_and_its_indexes_stay_small),
	TEST(indexes_of_the_old_kind_only_grow),
	TEST(what_does_not_fit_into_the_ring_waits_in_the_slot),
	TEST(a_time_offset_goes_into_the_ring),
};
const size_t buffered_count = sizeof(buffered_tests) / sizeof(buffered_tests[0]);
