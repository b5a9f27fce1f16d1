/* SPDX-License-Identifier: MIT */
/* Event channels: pending, masked, bound once, usable with poll. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "test_xensim.h"

static bool readable(xenevtchn_handle *xce)
{
	struct pollfd poll_fd = { .fd = xenevtchn_fd(xce), .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static int ask(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_mmio_read(vcpu, MMIO, 4, argument);
}

static void binding_makes_the_port_pending(void **state)
{
	struct model model;
	int port;

	(void)state;
	model_open(&model);
	assert_int_equal(xenevtchn_unbind(model.xce, (evtchn_port_t)model.port[1]), 0);
	assert_false(readable(model.xce));
	port = xenevtchn_bind_interdomain(model.xce, guest_id, model.page->vcpu_ioreq[1].vp_eport);
	assert_true(port > 0);
	assert_true(readable(model.xce));
	assert_int_equal(xenevtchn_pending(model.xce), port);
	assert_false(readable(model.xce));
	model_close(&model);
}

static void a_delivered_port_is_silent_until_unmasked(void **state)
{
	uint64_t value;
	struct call call = { .run = ask, .argument = &value };
	struct model model;
	int port;

	(void)state;
	model_open(&model);
	xendevicemodel_map_io_range_to_ioreq_server(model.dmod, (domid_t)guest_id, model.id, 1,
						    MMIO, MMIO + 0xfff);
	call_start(&call, 0);
	while (!readable(model.xce))
		usleep(100);
	port = xenevtchn_pending(model.xce);
	assert_int_equal(port, model.port[0]);
	model_answer(&model, 0, 1); /* not unmasked */
	call_finish(&call);
	call_start(&call, 0);
	usleep(20000);
	assert_false(readable(model.xce));
	xenevtchn_unmask(model.xce, (evtchn_port_t)port);
	assert_true(readable(model.xce));
	model_serve(&model, IOREQ_TYPE_COPY, 2);
	call_finish(&call);
	assert_int_equal(value, 2);
	model_close(&model);
}

static void a_channel_is_bound_once(void **state)
{
	xenevtchn_handle *other = xenevtchn_open(NULL, 0);
	struct model model;

	(void)state;
	model_open(&model);
	assert_int_equal(xenevtchn_bind_interdomain(other, guest_id,
						    model.page->vcpu_ioreq[0].vp_eport),
			 -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(xenevtchn_bind_interdomain(other, guest_id, 999), -1);
	assert_int_equal(xenevtchn_bind_interdomain(other, 999, 1), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(xenevtchn_notify(other, (evtchn_port_t)model.port[0]), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(xenevtchn_unbind(other, (evtchn_port_t)model.port[0]), -1);
	model_close(&model);
	xenevtchn_close(other);
}

static void nothing_pending_is_eagain_when_nonblocking(void **state)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);

	(void)state;
	assert_int_equal(fcntl(xenevtchn_fd(xce), F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(xenevtchn_pending(xce), -1);
	assert_int_equal(errno, EAGAIN);
	xenevtchn_close(xce);
}

static void restricted_handles_bind_their_domain_only(void **state)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);

	(void)state;
	assert_int_equal(xenevtchn_restrict(xce, (domid_t)guest_id), 0);
	assert_int_equal(xenevtchn_bind_interdomain(xce, guest_id + 1, 1), -1);
	assert_int_equal(errno, EPERM);
	xenevtchn_close(xce);
}

static void unbinding_drops_what_was_queued(void **state)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	struct model model;
	int first, second;

	(void)state;
	model_open(&model);
	xenevtchn_unbind(model.xce, (evtchn_port_t)model.port[0]);
	xenevtchn_unbind(model.xce, (evtchn_port_t)model.port[1]);
	first = xenevtchn_bind_interdomain(xce, guest_id, model.page->vcpu_ioreq[0].vp_eport);
	second = xenevtchn_bind_interdomain(xce, guest_id, model.page->vcpu_ioreq[1].vp_eport);
	assert_int_equal(xenevtchn_unbind(xce, (evtchn_port_t)first), 0);
	assert_true(readable(xce));
	assert_int_equal(xenevtchn_pending(xce), second);
	assert_false(readable(xce));
	xenevtchn_close(xce);
	model_close(&model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest evtchn_tests[] = {
	TEST(binding_makes_the_port_pending),
	TEST(a_delivered_port_is_silent_until_unmasked),
	TEST(a_channel_is_bound_once),
	TEST(nothing_pending_is_eagain_when_nonblocking),
	TEST(restricted_handles_bind_their_domain_only),
	TEST(unbinding_drops_what_was_queued),
};
const size_t evtchn_count = sizeof(evtchn_tests) / sizeof(evtchn_tests[0]);
