/* SPDX-License-Identifier: MIT */
/*
 * INVALIDATE in company: changes from outside, several vCPUs, several servers, and a server
 * that is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <xen/hvm/ioreq.h>

#include <tests/support/balloon.h>
#include <tests/support/rig.h>

#define VICTIM BALLOON_GFN

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static struct rig_device_options plain(struct rig_recorder *recorder)
{
	return (struct rig_device_options){ .handler = rig_record, .handler_data = recorder };
}

/* ---- changes from outside ------------------------------------------------------------------------ */

static void visit(struct xensim_vcpu *vcpu, void *data)
{
	(void)data;
	xensim_nop_hypercall(vcpu);
}

static void an_outside_change_reaches_every_vcpu_and_each_is_answered(void **state)
{
	struct rig_options options = { .vcpus = 3 };
	struct rig_recorder recorder = RIG_RECORDER;
	const struct rig_device_options server = plain(&recorder);
	struct rig_device device;
	uint64_t gfn = VICTIM, epoch;
	struct rig rig;

	(void)state;
	rig_start(&rig, &options);
	rig_device_open(&device, &rig, &server);
	rig_device_serve(&device);
	epoch = mapcache_epoch(rig.cache);
	assert_int_equal(xensim_outside_decrease(rig.domain, &gfn, 1), 1);
	assert_int_equal(mapcache_epoch(rig.cache), epoch);
	for (uint32_t vcpu = 0; vcpu < 3; vcpu++) {
		rig_run(&rig, vcpu, visit, NULL);
		assert_int_equal(mapcache_epoch(rig.cache), epoch + vcpu + 1);
		rig_run(&rig, vcpu, visit, NULL);
		assert_int_equal(mapcache_epoch(rig.cache), epoch + vcpu + 1);
	}
	rig_device_close(&device);
	rig_stop(&rig);
}

/* ---- several servers ------------------------------------------------------------------------------ */

#define SERVERS 3u

struct order {
	uint32_t count;
	uint16_t server[16];
};

static void note_order(void *data, uint32_t domid, uint16_t server, uint32_t vcpu,
		       const struct ioreq *request)
{
	struct order *order = data;

	(void)domid, (void)vcpu;
	if (request->type == IOREQ_TYPE_INVALIDATE && order->count < 16)
		order->server[order->count++] = server;
}

static void every_enabled_server_is_asked_newest_first(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct rig_device_options options = plain(&recorder);
	struct mapcache_options cache_options = { .size = sizeof(cache_options) };
	struct mapcache *caches[SERVERS];
	struct rig_device devices[SERVERS];
	struct order order = { .count = 0 };
	struct balloon balloon;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	cache_options.domid = rig.domid;
	options.no_ranges = true;
	for (uint32_t i = 0; i < SERVERS; i++) {
		assert_int_equal(mapcache_open(&cache_options, &caches[i]), 0);
		options.cache = caches[i];
		rig_device_open(&devices[i], &rig, &options);
	}
	/* The one in the middle is not enabled, and not asked. */
	rig_device_serve(&devices[0]);
	rig_device_serve(&devices[2]);
	xensim_set_request_hook(note_order, &order);
	balloon = (struct balloon){ .cache = caches[0], .rounds = 1 };
	rig_run(&rig, 0, balloon_program, &balloon);
	xensim_set_request_hook(NULL, NULL);
	assert_int_equal(order.count, 2);
	assert_int_equal(order.server[0], rig_device_id(&devices[2]));
	assert_int_equal(order.server[1], rig_device_id(&devices[0]));
	assert_int_equal(mapcache_epoch(caches[0]), 3);
	assert_int_equal(mapcache_epoch(caches[1]), 1);
	assert_int_equal(mapcache_epoch(caches[2]), 3);
	assert_int_equal(balloon.late, 0);
	for (uint32_t i = 0; i < SERVERS; i++) {
		rig_device_close(&devices[i]);
		assert_int_equal(mapcache_close(caches[i]), 0);
	}
	rig_stop(&rig);
}

static void a_guest_whose_emulator_dies_goes_on(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	const struct rig_device_options server = plain(&recorder);
	struct flag sent = { 0 };
	struct rig_device device;
	struct balloon balloon;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig, &server);
	rig_device_serve(&device);
	rig_device_halt(&device);
	balloon = (struct balloon){ .cache = rig.cache, .rounds = 1 };
	xensim_set_request_hook(balloon_flag_invalidate, &sent);
	assert_int_equal(xensim_vcpu_start(rig.domain, 0, balloon_program, &balloon), 0);
	flag_wait(&sent);
	sleep_ms(10);
	assert_false(flag_is_set(&balloon.done));
	assert_int_equal(xensim_emulator_death(rig.domain, rig_device_id(&device)), 0);
	assert_int_equal(xensim_vcpu_join(rig.domain, 0), 0);
	assert_true(flag_is_set(&balloon.done));
	xensim_set_request_hook(NULL, NULL);
	rig_device_close(&device);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_outside_change_reaches_every_vcpu_and_each_is_answered),
		cmocka_unit_test(every_enabled_server_is_asked_newest_first),
		cmocka_unit_test(a_guest_whose_emulator_dies_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
