/* SPDX-License-Identifier: MIT */
/* Requests that no honest guest makes are answered like any other, at a bounded cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <bench/random.h>
#include <lib/ioreq/ioreq.h>

#include "hostile_scene.h"

#define REQUESTS 20000u

/* ---- requests made of nonsense ----------------------------------------------------------- */

static uint64_t hostile_address(uint64_t *random)
{
	switch (random_below(random, 5)) {
	case 0:
		return UINT64_MAX - random_below(random, 64);
	case 1:
		return random_below(random, RAM_PAGES * PAGE + 4096);
	case 2:
		return RAM_PAGES * PAGE - random_below(random, 64);
	case 3:
		return random_next(random);
	default:
		return (UINT64_C(1) << random_below(random, 64)) - random_below(random, 16);
	}
}

static struct ioreq hostile_request(uint64_t *random)
{
	static const uint32_t counts[] = { 0,         1, 2, 511, 65536, INT32_MAX, UINT32_MAX - 1,
					   UINT32_MAX };
	static const uint32_t sizes[] = { 0, 1, 2, 3, 4, 8, 16, INT32_MAX, UINT32_MAX };

	return (struct ioreq){
		.type = (uint8_t)random_below(random, 12),
		.dir = random_below(random, 2) & 1,
		.df = random_below(random, 2) & 1,
		.data_is_ptr = random_below(random, 2) & 1,
		.size = sizes[random_below(random, 9)],
		.count = counts[random_below(random, 8)],
		.addr = hostile_address(random),
		.data = hostile_address(random),
		.vp_eport = 1,
		.state = STATE_IOREQ_READY,
	};
}

/* On the test's own thread, so that the time spent is known. */
static void every_request_is_answered_at_a_bounded_cost(void **state)
{
	struct scene scene;
	struct mapcache_client *client;
	struct ioreq slot;
	struct ioreq_vcpu vcpus[2] = { { .word = 0 } };
	struct mapcache_ioreq server = { .options = { .vcpus = 1, .handler = scene_obey },
					 .link.slots = &slot,
					 .slots = 1,
					 .vcpu = vcpus,
					 .enabled_once = 1 };
	uint64_t random = SEED, started = now_ns(CLOCK_MONOTONIC), most = 0, sum = 0;

	(void)state;
	scene_start(&scene, 1);
	server.cache = scene.rig.cache;
	server.options.handler_data = &scene;
	assert_int_equal(mapcache_client_open(scene.rig.cache, &client), 0);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		uint64_t before = now_ns(CLOCK_THREAD_CPUTIME_ID), spent;

		slot = hostile_request(&random);
		assert_int_equal(mapcache_ioreq_handle(&server, client, 0), 1);
		assert_int_equal(slot.state, STATE_IORESP_READY);
		spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - before;
		most = spent > most ? spent : most;
		sum += spent;
		if (i % 256 == 0)
			scene_check_bounds(&scene, started);
	}
	print_message("seed %lu: %u requests, %lu handed on; CPU us per request: %.1f on average, "
		      "%.1f at most; %lu lines of log\n",
		      (unsigned long)SEED, REQUESTS, (unsigned long)scene.served,
		      (double)sum / REQUESTS / 1e3, (double)most / 1e3,
		      (unsigned long)scene.log_lines);
	assert_true(scene.served > REQUESTS / 100);
	/* One request costs its device 16 pieces, each a map call or two at worst. */
	assert_true(most < 100000000u);
	assert_int_equal(mapcache_client_close(client), 0);
	scene_stop(&scene);
}

static void ask_for_all(struct xensim_vcpu *vcpu, void *data)
{
	uint16_t server = *(uint16_t *)data;
	struct ioreq request = { .type = IOREQ_TYPE_COPY,
				 .data_is_ptr = 1,
				 .size = 8,
				 .count = UINT32_MAX,
				 .addr = UINT64_C(1) << 40,
				 .data = 0x800 };
	uint64_t answer;

	for (unsigned int i = 0; i < 64; i++) {
		request.dir = i & 1;
		request.df = i >> 1 & 1;
		request.data = i & 4 ? RAM_PAGES * PAGE - 0x1000 : UINT64_C(1) << 41;
		(void)xensim_raw_request(vcpu, server, &request, &answer);
	}
}

static void four_billion_items_are_a_request_like_any_other(void **state)
{
	struct scene scene;
	uint16_t server;
	uint64_t started;

	(void)state;
	scene_start(&scene, 1);
	scene_serve(&scene, 1);
	server = rig_device_id(&scene.device);
	started = now_ns(CLOCK_MONOTONIC);
	rig_run(&scene.rig, 0, ask_for_all, &server);
	print_message("64 requests of 2^32 - 1 items: %lu items moved, %.1f ms\n",
		      (unsigned long)scene.moved,
		      (double)(now_ns(CLOCK_MONOTONIC) - started) / 1e6);
	assert_true(scene.moved > 0);
	scene_check_bounds(&scene, started);
	rig_device_close(&scene.device);
	scene_stop(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_is_answered_at_a_bounded_cost),
		cmocka_unit_test(four_billion_items_are_a_request_like_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
