/* SPDX-License-Identifier: MIT */
/* ioreq servers: who is told of INVALIDATE, when, and who waits. */
#include <errno.h>
#include <unistd.h>

#include "test_xensim.h"

static int nop(struct xensim_vcpu *vcpu, void *argument)
{
	(void)argument;
	return xensim_nop_hypercall(vcpu);
}

static int decrease_8(struct xensim_vcpu *vcpu, void *argument)
{
	const uint64_t *first = argument;
	uint64_t gfn[8];
	unsigned int i;

	for (i = 0; i < 8; i++)
		gfn[i] = *first + 2 * i;
	return xensim_decrease_reservation(vcpu, gfn, 8, 0);
}

static int populate_1(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_populate_physmap(vcpu, argument, 1, 0);
}

static int decrease_1(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_decrease_reservation(vcpu, argument, 1, 0);
}

static int remove_1(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_remove_from_physmap(vcpu, *(uint64_t *)argument);
}

static int add_1(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_add_to_physmap(vcpu, *(uint64_t *)argument);
}

static int exchange_1(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_exchange(vcpu, *(uint64_t *)argument);
}

static int read_device(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_mmio_read(vcpu, MMIO, 4, argument);
}

static int simple(struct model *model, int (*run)(struct xensim_vcpu *, void *), uint64_t gfn,
		  bool invalidates)
{
	struct call call = { .run = run, .argument = &gfn };

	call_start(&call, 0);
	if (invalidates)
		model_serve(model, IOREQ_TYPE_INVALIDATE, 0);
	call_finish(&call);
	model_idle(model);
	return call.result;
}

/* A vCPU that gives memory away, and waits: the server has seen its request. */
static void open_with_a_waiting_vcpu(struct model *model, struct call *call, struct ioreq *request)
{
	model_open(model);
	call_start(call, 0);
	assert_int_equal(model_take(model, 20000, request), 0);
}

static bool is_done(struct call *call)
{
	return __atomic_load_n(&call->done, __ATOMIC_ACQUIRE);
}

static void one_hypercall_sends_one_request_without_a_range(void **state)
{
	uint64_t first = 600;
	struct call call = { .run = decrease_8, .argument = &first };
	struct model model;
	struct ioreq request;

	(void)state;
	open_with_a_waiting_vcpu(&model, &call, &request);
	assert_int_equal(request.type, IOREQ_TYPE_INVALIDATE);
	assert_int_equal(request.type, 8);
	assert_int_equal(request.size, 4);
	assert_int_equal(request.dir, IOREQ_WRITE);
	assert_true(request.data == ~UINT64_C(0));
	assert_int_equal(request.addr, 0);
	assert_int_equal(request.count, 0);
	assert_int_equal(call.done, 0);
	model_answer(&model, 0, 0);
	assert_int_equal(call_finish(&call), 8);
	model_idle(&model);
	assert_int_equal(totals_now().invalidates_sent, 1);
	model_close(&model);
}

static void which_changes_are_told_on_x86(void **state)
{
	struct model model;

	(void)state;
	model_open(&model);
	assert_int_equal(simple(&model, decrease_1, 600, true), 1);
	assert_int_equal(simple(&model, decrease_1, 600, false), 0);
	assert_int_equal(simple(&model, populate_1, 600, false), 1);
	assert_int_equal(simple(&model, populate_1, 600, false), 1);
	assert_int_equal(simple(&model, remove_1, 600, true), 0);
	assert_int_equal(simple(&model, add_1, 600, false), 0);
	assert_int_equal(simple(&model, add_1, 600, true), 0);
	assert_int_equal(simple(&model, exchange_1, 600, true), 0);
	assert_int_equal(simple(&model, nop, 600, false), 0);
	model_close(&model);
}

static void which_changes_are_told_on_arm(void **state)
{
	struct model model;

	(void)state;
	model_open(&model);
	assert_int_equal(simple(&model, decrease_1, 600, true), 1);
	assert_int_equal(simple(&model, populate_1, 600, false), 1);
	assert_int_equal(simple(&model, populate_1, 600, true), 1);
	assert_int_equal(simple(&model, exchange_1, 600, true), 0);
	model_close(&model);
}

#define HOOKS 8
struct order {
	uint16_t server[HOOKS];
	uint32_t vcpu[HOOKS];
	uint32_t count;
};

static void note_request(void *data, uint32_t domid, uint16_t server, uint32_t vcpu,
			 const struct ioreq *request)
{
	struct order *order = data;

	assert_int_equal(domid, guest_id);
	assert_int_equal(request->type, IOREQ_TYPE_INVALIDATE);
	order->server[order->count] = server;
	order->vcpu[order->count++] = vcpu;
}

static void all_enabled_servers_are_told_newest_first(void **state)
{
	uint64_t first = 600;
	struct call call = { .run = decrease_8, .argument = &first };
	struct model model[3];
	struct order order = { .count = 0 };
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		model_open(&model[i]);
	xendevicemodel_set_ioreq_server_state(model[1].dmod, (domid_t)guest_id, model[1].id, 0);
	xensim_set_request_hook(note_request, &order);
	call_start(&call, 1);
	model_serve(&model[0], IOREQ_TYPE_INVALIDATE, 0);
	usleep(20000);
	assert_false(is_done(&call));
	model_serve(&model[2], IOREQ_TYPE_INVALIDATE, 0);
	call_finish(&call);
	xensim_set_request_hook(NULL, NULL);
	model_idle(&model[1]);
	assert_int_equal(order.count, 2);
	assert_int_equal(order.server[0], model[2].id);
	assert_int_equal(order.server[1], model[0].id);
	assert_int_equal(order.vcpu[0], 1);
	for (i = 0; i < 3; i++)
		model_close(&model[i]);
}

static void only_the_vcpu_that_asked_waits(void **state)
{
	uint64_t first = 600, value = 0;
	struct call call = { .run = decrease_8, .argument = &first };
	struct call other = { .run = read_device, .argument = &value };
	struct model model;
	struct ioreq request;

	(void)state;
	model_open(&model);
	xendevicemodel_map_io_range_to_ioreq_server(model.dmod, (domid_t)guest_id, model.id, 1,
						    MMIO, MMIO + 0xfff);
	call_start(&call, 0);
	assert_int_equal(model_take(&model, 20000, &request), 0);
	call_start(&other, 1);
	model_serve(&model, IOREQ_TYPE_COPY, 0x12345678);
	assert_int_equal(call_finish(&other), 0);
	assert_int_equal(value, 0x12345678);
	assert_false(is_done(&call));
	model_answer(&model, 0, 0);
	assert_int_equal(call_finish(&call), 8);
	model_close(&model);
}

static void a_change_from_outside_reaches_every_vcpu_late(void **state)
{
	struct call call[VCPUS];
	uint64_t gfn = 600;
	struct model model;
	uint32_t i;

	(void)state;
	model_open(&model);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	model_idle(&model);
	for (i = 0; i < VCPUS; i++) {
		uint64_t buffer;

		call[i] = (struct call){ .run = nop, .argument = &buffer };
		call_start(&call[i], i);
		model_serve(&model, IOREQ_TYPE_INVALIDATE, 0);
		call_finish(&call[i]);
	}
	model_idle(&model);
	assert_int_equal(totals_now().invalidates_sent, VCPUS);
	assert_int_equal(totals_now().invalidates_changes, 1);
	model_close(&model);
}

static int start_split(void **state)
{
	const struct xensim_options options = { .split = 3 };

	(void)state;
	return start_with(&options);
}

static void an_interrupted_hypercall_tells_more_than_once(void **state)
{
	uint64_t first = 600;
	struct call call = { .run = decrease_8, .argument = &first };
	struct model model;
	int i;

	(void)state;
	model_open(&model);
	call_start(&call, 0);
	for (i = 0; i < 3; i++)
		model_serve(&model, IOREQ_TYPE_INVALIDATE, 0);
	assert_int_equal(call_finish(&call), 8);
	model_close(&model);
}

static void what_changes_before_the_first_unpause_is_never_told(void **state)
{
	struct xensim_domain *before;
	uint64_t gfn = 60;

	(void)state;
	assert_int_equal(xensim_domain_create(1, 0, 100, &before), 0);
	assert_int_equal(xensim_outside_decrease(before, &gfn, 1), 1);
	assert_int_equal(totals_now().invalidates_changes, 0);
	xensim_domain_unpause(before);
	gfn++;
	assert_int_equal(xensim_outside_decrease(before, &gfn, 1), 1);
	assert_int_equal(totals_now().invalidates_changes, 1);
	xensim_domain_destroy(before);
}

static int halt(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_halt(vcpu, argument);
}

static void a_sleeping_vcpu_tells_when_it_wakes(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	uint64_t gfn = 600, seen = 0;
	struct call call = { .run = halt, .argument = &seen };
	struct model model;

	(void)state;
	model_open(&model);
	call_start(&call, 0);
	usleep(20000);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	model_idle(&model);
	assert_int_equal(xendevicemodel_inject_msi(dmod, (domid_t)guest_id, 0xfee00000, 0x41), 0);
	model_serve(&model, IOREQ_TYPE_INVALIDATE, 0);
	assert_int_equal(call_finish(&call), 0);
	xendevicemodel_close(dmod);
	model_close(&model);
}

static void a_paused_domain_does_nothing(void **state)
{
	struct call call = { .run = nop };
	struct model model;

	(void)state;
	model_open(&model);
	xensim_domain_pause(guest);
	call_start(&call, 0);
	usleep(20000);
	assert_false(is_done(&call));
	xensim_domain_unpause(guest);
	assert_int_equal(call_finish(&call), 0);
	model_close(&model);
}

static int start_per_domain(void **state)
{
	const struct xensim_options options = { .arch = XENSIM_ARM, .flag_per_domain = true };

	(void)state;
	return start_with(&options);
}

/* The race of the first proposal: two vCPUs, one flag, and one of them does not wait. */
static void one_flag_for_the_domain_loses_a_wait(void **state)
{
	struct call taker = { .run = nop }, loser = { .run = nop };
	uint64_t gfn = 600;
	struct model model;

	(void)state;
	model_open(&model);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	call_start(&taker, 0);
	assert_int_equal(model_take(&model, 20000, NULL), 0);
	call_start(&loser, 1);
	assert_int_equal(call_finish(&loser), 0); /* though nobody has answered */
	model_answer(&model, 0, 0);
	call_finish(&taker);
	assert_int_equal(totals_now().invalidates_sent, 1);
	model_close(&model);
}

static int load_word(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_load(vcpu, 0, argument, 8);
}

static void a_plain_load_delivers_what_is_due(void **state)
{
	uint64_t gfn = 600, word;
	struct call call = { .run = load_word, .argument = &word };
	struct model model;

	(void)state;
	model_open(&model);
	xensim_outside_decrease(guest, &gfn, 1);
	call_start(&call, 2);
	model_serve(&model, IOREQ_TYPE_INVALIDATE, 0);
	assert_int_equal(call_finish(&call), 0);
	model_close(&model);
}

static void without_an_answer_the_vcpu_stays_until_shutdown(void **state)
{
	uint64_t first = 600;
	struct call call = { .run = decrease_8, .argument = &first };
	struct model model;

	(void)state;
	open_with_a_waiting_vcpu(&model, &call, NULL);
	usleep(50000);
	assert_false(is_done(&call));
	assert_int_equal(xensim_domain_shutdown(guest), 0);
	assert_int_equal(call.done, 1);
	assert_int_equal(call.result, -ESHUTDOWN);
	assert_int_equal(xensim_domain_state(guest_id, NULL), 2);
	assert_int_equal(xensim_vcpu_start(guest, 0, NULL, NULL), -EINVAL);
	model_close(&model);
}

static void an_answer_without_a_notification_is_not_seen(void **state)
{
	uint64_t first = 600;
	struct call call = { .run = decrease_8, .argument = &first };
	struct model model;

	(void)state;
	open_with_a_waiting_vcpu(&model, &call, NULL);
	usleep(20000);
	model_set_state(&model, 0, STATE_IORESP_READY);
	usleep(50000);
	assert_false(is_done(&call));
	xenevtchn_notify(model.xce, (evtchn_port_t)model.port[0]);
	assert_int_equal(call_finish(&call), 8);
	model_close(&model);
}

static void a_backward_transition_crashes_the_domain(void **state)
{
	uint64_t value;
	struct call call = { .run = decrease_8, .argument = &value };
	struct model model;

	(void)state;
	value = 600;
	open_with_a_waiting_vcpu(&model, &call, NULL);
	xenevtchn_notify(model.xce, (evtchn_port_t)model.port[0]);
	usleep(20000);
	model_set_state(&model, 0, STATE_IOREQ_READY);
	xenevtchn_notify(model.xce, (evtchn_port_t)model.port[0]);
	assert_int_equal(call_finish(&call), -ESHUTDOWN);
	assert_int_equal(xensim_protocol_errors(), 1);
	assert_int_equal(xensim_domain_state(guest_id, NULL), 2);
	model_close(&model);
}

static void a_vcpu_counts_how_long_it_waited(void **state)
{
	uint64_t first = 600;
	struct call call = { .run = decrease_8, .argument = &first };
	struct xensim_wait wait;
	struct model model;

	(void)state;
	open_with_a_waiting_vcpu(&model, &call, NULL);
	usleep(5000);
	model_answer(&model, 0, 0);
	call_finish(&call);
	xensim_vcpu_wait(xensim_vcpu(guest, 0), &wait);
	assert_int_equal(wait.invalidates, 1);
	assert_true(wait.last_ns >= 5000000);
	assert_int_equal(wait.last_ns, wait.max_ns);
	assert_int_equal(wait.last_ns, wait.total_ns);
	model_close(&model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest ioreq_tests[] = {
	TEST(one_hypercall_sends_one_request_without_a_range),
	TEST(which_changes_are_told_on_x86),
	cmocka_unit_test_setup_teardown(which_changes_are_told_on_arm, start_arm, stop),
	TEST(all_enabled_servers_are_told_newest_first),
	TEST(only_the_vcpu_that_asked_waits),
	TEST(a_change_from_outside_reaches_every_vcpu_late),
	cmocka_unit_test_setup_teardown(an_interrupted_hypercall_tells_more_than_once, start_split,
					stop),
	TEST(what_changes_before_the_first_unpause_is_never_told),
	TEST(a_sleeping_vcpu_tells_when_it_wakes),
	TEST(a_paused_domain_does_nothing),
	cmocka_unit_test_setup_teardown(one_flag_for_the_domain_loses_a_wait, start_per_domain,
					stop),
	TEST(a_plain_load_delivers_what_is_due),
	TEST(without_an_answer_the_vcpu_stays_until_shutdown),
	TEST(an_answer_without_a_notification_is_not_seen),
	TEST(a_backward_transition_crashes_the_domain),
	TEST(a_vcpu_counts_how_long_it_waited),
};
const size_t ioreq_count = sizeof(ioreq_tests) / sizeof(ioreq_tests[0]);
