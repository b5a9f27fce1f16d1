/* SPDX-License-Identifier: MIT */
/*
 * The state of a slot, seen without Xen on the other side: the slots here are plain memory.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <lib/ioreq/ioreq.h>
#include <tests/support/peer.h>
#include <tests/support/rig.h>

/* Looks at its own slot while it serves it. */
static int peek(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct ioreq **slot = data;

	(void)client;
	assert_int_equal((*slot)->state, STATE_IOREQ_INPROCESS);
	assert_int_equal((*slot)->dir == IOREQ_WRITE, request->write);
	assert_int_equal((*slot)->data_is_ptr, request->data_is_ptr);
	assert_int_equal((*slot)->df, request->backwards);
	/* What Xen would write there now must not be seen by anybody. */
	(*slot)->count = 0;
	(*slot)->size = 1;
	if (!request->write)
		request->data = UINT64_MAX;
	return 0;
}

static void a_request_in_process_keeps_the_other_fields_of_its_byte(void **state)
{
	struct mapcache_ioreq_options options = { .size = sizeof(options), .vcpus = 1 };
	struct mapcache_client *client;
	struct ioreq slots[2], *slot = &slots[0];
	struct ioreq_vcpu vcpus[3] = { { .word = 0 } };
	struct mapcache_ioreq server = {
		.link.slots = slots, .slots = 2, .vcpu = vcpus, .enabled_once = 1
	};
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	assert_int_equal(mapcache_client_open(rig.cache, &client), 0);
	options.handler = peek;
	options.handler_data = &slot;
	server.cache = rig.cache;
	server.options = options;
	for (unsigned int bits = 0; bits < 8; bits++) {
		memset(slots, 0xff, sizeof(slots));
		*slot = (struct ioreq){ .type = IOREQ_TYPE_COPY,
					.addr = RIG_MMIO,
					.data = 0x1000,
					.size = 8,
					.count = 1,
					.dir = bits & 1,
					.data_is_ptr = bits >> 1 & 1,
					.df = bits >> 2 & 1,
					._pad1 = 1,
					.vp_eport = 0x1234,
					.state = STATE_IOREQ_READY };
		assert_int_equal(mapcache_ioreq_handle(&server, client, 0), 1);
		assert_int_equal(slot->state, STATE_IORESP_READY);
		assert_int_equal(slot->dir, bits & 1);
		assert_int_equal(slot->data_is_ptr, bits >> 1 & 1);
		assert_int_equal(slot->df, bits >> 2 & 1);
		assert_int_equal(slot->_pad1, 1);
		assert_int_equal(slot->vp_eport, 0x1234);
		assert_int_equal(slot->data, bits == 1 || bits == 5 ? UINT64_MAX : 0x1000);
		assert_int_equal(slots[1].addr, UINT64_MAX);
	}
	assert_int_equal(mapcache_client_close(client), 0);
	rig_stop(&rig);
}

static void a_slot_in_any_other_state_is_left_alone(void **state)
{
	struct ioreq slots[1];
	struct mapcache_client *client;
	struct rig_recorder recorder = RIG_RECORDER;
	struct ioreq_vcpu vcpus[3] = { { .word = 0 } };
	struct mapcache_ioreq server = {
		.link.slots = slots, .slots = 2, .vcpu = vcpus, .enabled_once = 1
	};
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	assert_int_equal(mapcache_client_open(rig.cache, &client), 0);
	server.cache = rig.cache;
	server.options = (struct mapcache_ioreq_options){ .vcpus = 1,
							  .handler = rig_record,
							  .handler_data = &recorder };
	for (unsigned int wrong = 0; wrong < 16; wrong++) {
		if (wrong == STATE_IOREQ_READY)
			continue;
		slots[0] = (struct ioreq){
			.type = IOREQ_TYPE_COPY, .size = 4, .count = 1, .state = wrong & 0xf
		};
		assert_int_equal(mapcache_ioreq_handle(&server, client, 0), 0);
		assert_int_equal(slots[0].state, wrong);
	}
	/* Nor is a slot believed before Xen has cleared the page. */
	slots[0].state = STATE_IOREQ_READY;
	server.enabled_once = 0;
	assert_int_equal(mapcache_ioreq_handle(&server, client, 0), 0);
	assert_int_equal(slots[0].state, STATE_IOREQ_READY);
	assert_int_equal(rig_recorded(&recorder), 0);
	assert_int_equal(mapcache_client_close(client), 0);
	rig_stop(&rig);
}

static void handle_refuses_wrong_arguments_and_sections(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct mapcache_client *client;
	struct rig_device device;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = rig_record,
						      .handler_data = &recorder });
	assert_int_equal(mapcache_client_open(rig.cache, &client), 0);
	assert_int_equal(mapcache_ioreq_handle(device.server, client, 0), 0);
	assert_int_equal(mapcache_ioreq_enable(device.server, true), 0);
	assert_int_equal(mapcache_ioreq_handle(device.server, client, 0), 0);
	assert_int_equal(mapcache_ioreq_handle(device.server, NULL, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_handle(device.server, client, 127), 0);
	assert_int_equal(mapcache_ioreq_handle(device.server, client, 128), -EINVAL);
	assert_int_equal(mapcache_ioreq_handle(device.server, client, UINT32_MAX), -EINVAL);
	mapcache_begin(client);
	assert_int_equal(mapcache_ioreq_handle(device.server, client, 0), -EINVAL);
	assert_int_equal(mapcache_end(client), 0);
	assert_int_equal(mapcache_ioreq_handle(device.server, client, 0), 0);
	assert_int_equal(mapcache_client_close(client), 0);
	rig_device_close(&device);
	rig_stop(&rig);
}

static int handle(struct peer *peer, void *data)
{
	return mapcache_ioreq_handle(data, peer->client, 0);
}

static void A_invalidate_is_in_process_until_all_of_it_is_done(void **state)
{
	struct ioreq slot = { .type = IOREQ_TYPE_INVALIDATE,
			      .size = 4,
			      .dir = IOREQ_WRITE,
			      .data = UINT64_MAX,
			      .state = STATE_IOREQ_READY };
	struct ioreq_vcpu vcpus[2] = { { .word = 0 } };
	struct mapcache_ioreq server = {
		.link.slots = &slot,
		.slots = 1,
		.vcpu = vcpus,
		.enabled_once = 1,
		.options = { .vcpus = 1, .flags = MAPCACHE_IOREQ_DRAIN, .drain_ms = 30000 },
	};
	struct mapcache_client *client;
	struct peer peer;
	uint64_t epoch;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	assert_int_equal(mapcache_client_open(rig.cache, &client), 0);
	server.cache = server.caches[0] = rig.cache;
	peer_open(&peer, rig.cache);
	mapcache_begin(client);
	epoch = mapcache_epoch(rig.cache);
	peer_start(&peer, handle, &server);
	while (mapcache_epoch(rig.cache) == epoch)
		sched_yield();
	assert_int_equal(slot.state, STATE_IOREQ_INPROCESS);
	assert_int_equal(mapcache_end(client), 0);
	assert_int_equal(peer_wait(&peer), 1);
	assert_int_equal(slot.state, STATE_IORESP_READY);
	peer_close(&peer);
	assert_int_equal(mapcache_client_close(client), 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_in_process_keeps_the_other_fields_of_its_byte),
		cmocka_unit_test(a_slot_in_any_other_state_is_left_alone),
		cmocka_unit_test(handle_refuses_wrong_arguments_and_sections),
		cmocka_unit_test(A_invalidate_is_in_process_until_all_of_it_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
