/* SPDX-License-Identifier: MIT */
/* The tests of the simulated Xen: each fact of a real one that the library stands on. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define __XEN_TOOLS__ 1
#include "test_xensim.h"
#include <xen/memory.h>

struct xensim_domain *guest;
uint32_t guest_id;
xenforeignmemory_handle *fmem;

int start_with(const struct xensim_options *given)
{
	struct xensim_options options = *given;

	options.machine_pages = 8192;
	assert_int_equal(xensim_start(&options), 0);
	assert_int_equal(xensim_domain_create(VCPUS, 0, RAM_PAGES, &guest), 0);
	xensim_domain_unpause(guest);
	guest_id = xensim_domid(guest);
	fmem = xenforeignmemory_open(NULL, 0);
	assert_non_null(fmem);
	return 0;
}

int start_x86(void **state)
{
	const struct xensim_options options = { .arch = XENSIM_X86 };

	(void)state;
	return start_with(&options);
}

int start_arm(void **state)
{
	const struct xensim_options options = { .arch = XENSIM_ARM };

	(void)state;
	return start_with(&options);
}

int stop(void **state)
{
	(void)state;
	xenforeignmemory_close(fmem);
	if (guest)
		xensim_domain_destroy(guest);
	assert_int_equal(xensim_stop(stderr), 0);
	return 0;
}

void *map_range(uint64_t gfn, size_t pages, int prot, int *err)
{
	xen_pfn_t *list = calloc(pages, sizeof(*list));
	void *address;
	size_t i;

	for (i = 0; i < pages; i++)
		list[i] = gfn + i;
	address = xenforeignmemory_map(fmem, guest_id, prot, pages, list, err);
	free(list);
	return address;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct xensim_totals totals_now(void)
{
	struct xensim_totals totals;

	xensim_totals(&totals);
	return totals;
}

void wait_for(const uint32_t *word, uint32_t value)
{
	uint64_t end = now_ms() + 20000;

	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value) {
		assert_true(now_ms() < end);
		usleep(100);
	}
}

/* ---- the device model -------------------------------------------------------------- */

static uint8_t *state_byte(struct model *model, int vcpu)
{
	return (uint8_t *)&model->page->vcpu_ioreq[vcpu] + offsetof(struct ioreq, type) - 1;
}

void model_open(struct model *model)
{
	void *address = NULL;
	int i;

	memset(model, 0, sizeof(*model));
	model->dmod = xendevicemodel_open(NULL, 0);
	model->xce = xenevtchn_open(NULL, 0);
	assert_non_null(model->dmod);
	assert_non_null(model->xce);
	assert_int_equal(xendevicemodel_create_ioreq_server(model->dmod, (domid_t)guest_id, 0,
							    &model->id),
			 0);
	model->resource = xenforeignmemory_map_resource(fmem, (domid_t)guest_id,
							XENMEM_resource_ioreq_server, model->id,
							XENMEM_resource_ioreq_server_frame_ioreq(0),
							1, &address, PROT_READ | PROT_WRITE, 0);
	assert_non_null(model->resource);
	model->page = address;
	assert_int_equal(xendevicemodel_set_ioreq_server_state(model->dmod, (domid_t)guest_id,
							       model->id, 1),
			 0);
	for (i = 0; i < (int)VCPUS; i++) {
		model->port[i] = xenevtchn_bind_interdomain(model->xce, guest_id,
							    model->page->vcpu_ioreq[i].vp_eport);
		assert_true(model->port[i] > 0);
	}
	/* Binding makes every port pending once. */
	assert_int_equal(model_take(model, 0, NULL), -1);
}

void model_close(struct model *model)
{
	xenevtchn_close(model->xce);
	xendevicemodel_set_ioreq_server_state(model->dmod, (domid_t)guest_id, model->id, 0);
	xenforeignmemory_unmap_resource(fmem, model->resource);
	xendevicemodel_destroy_ioreq_server(model->dmod, (domid_t)guest_id, model->id);
	xendevicemodel_close(model->dmod);
}

void model_set_state(struct model *model, int vcpu, unsigned int value)
{
	uint8_t *byte = state_byte(model, vcpu);
	uint8_t now = __atomic_load_n(byte, __ATOMIC_ACQUIRE);

	__atomic_store_n(byte, (uint8_t)((now & 0xf0) | value), __ATOMIC_RELEASE);
}

int model_take(struct model *model, int timeout_ms, struct ioreq *copy)
{
	struct pollfd poll_fd = { .fd = xenevtchn_fd(model->xce), .events = POLLIN };

	while (poll(&poll_fd, 1, timeout_ms) == 1) {
		int port = xenevtchn_pending(model->xce);
		int vcpu = 0;

		while (model->port[vcpu] != port)
			vcpu++;
		assert_int_equal(xenevtchn_unmask(model->xce, (evtchn_port_t)port), 0);
		if ((__atomic_load_n(state_byte(model, vcpu), __ATOMIC_ACQUIRE) & 0xf) !=
		    STATE_IOREQ_READY)
			continue;
		model_set_state(model, vcpu, STATE_IOREQ_INPROCESS);
		if (copy)
			*copy = model->page->vcpu_ioreq[vcpu];
		return vcpu;
	}
	return -1;
}

void model_answer(struct model *model, int vcpu, uint64_t data)
{
	model->page->vcpu_ioreq[vcpu].data = data;
	model_set_state(model, vcpu, STATE_IORESP_READY);
	assert_int_equal(xenevtchn_notify(model->xce, (evtchn_port_t)model->port[vcpu]), 0);
}

void model_serve(struct model *model, uint8_t type, uint64_t data)
{
	struct ioreq request;
	int vcpu = model_take(model, 20000, &request);

	assert_true(vcpu >= 0);
	assert_int_equal(request.type, type);
	model_answer(model, vcpu, data);
}

void model_idle(struct model *model)
{
	assert_int_equal(model_take(model, 20, NULL), -1);
}

/* ---- calls of a guest -------------------------------------------------------------- */

static void call_program(struct xensim_vcpu *vcpu, void *data)
{
	struct call *call = data;

	call->result = call->run(vcpu, call->argument);
	__atomic_store_n(&call->done, 1, __ATOMIC_RELEASE);
}

void call_start(struct call *call, uint32_t vcpu)
{
	call->done = 0;
	call->vcpu = vcpu;
	assert_int_equal(xensim_vcpu_start(guest, vcpu, call_program, call), 0);
}

int call_finish(struct call *call)
{
	wait_for(&call->done, 1);
	assert_int_equal(xensim_vcpu_join(guest, call->vcpu), 0);
	return call->result;
}

#define RUN(title, group) _cmocka_run_group_tests(title, group##_tests, group##_count, NULL, NULL)

int main(void)
{
	int failed = 0;

	failed += RUN("foreign mapping", map);
	failed += RUN("accounting", account);
	failed += RUN("p2m", p2m);
	failed += RUN("failures", fault);
	failed += RUN("INVALIDATE", ioreq);
	failed += RUN("ioreq servers", server);
	failed += RUN("I/O", io);
	failed += RUN("buffered requests", buffered);
	failed += RUN("guest", guest);
	failed += RUN("event channels", evtchn);
	failed += RUN("grants", grants);
	failed += RUN("oracle", oracle);
	failed += RUN("storm", storm);
	return failed ? 1 : 0;
}
