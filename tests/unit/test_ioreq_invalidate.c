/* SPDX-License-Identifier: MIT */
/*
 * INVALIDATE: answered after the epoch has moved, at once or when sections have ended, on
 * every vCPU and every server that is asked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <xen/hvm/ioreq.h>

#include <tests/support/balloon.h>
#include <tests/support/rig.h>

#define VICTIM BALLOON_GFN
#define VICTIM_GPA (VICTIM << 12)

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* ---- the epoch ---------------------------------------------------------------------------- */

static void A_the_guest_goes_on_in_a_new_epoch(void **state)
{
	struct rig_options options = { .vcpus = 3 };
	struct rig_recorder recorder = RIG_RECORDER;
	struct rig_device_options server = { .handler = rig_record,
					     .handler_data = &recorder,
					     .threads = 3 };
	struct balloon balloons[3];
	struct rig_device device;
	uint64_t epoch;
	struct rig rig;

	(void)state;
	rig_start(&rig, &options);
	rig_device_open(&device, &rig, &server);
	rig_device_serve(&device);
	epoch = mapcache_epoch(rig.cache);
	for (uint32_t i = 0; i < 3; i++) {
		balloons[i] = (struct balloon){ .cache = rig.cache, .rounds = 300 };
		assert_int_equal(xensim_vcpu_start(rig.domain, i, balloon_program, &balloons[i]),
				 0);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(xensim_vcpu_join(rig.domain, i), 0);
		assert_int_equal(balloons[i].late, 0);
		assert_int_equal(balloons[i].errors, 0);
	}
	/* One each: none was merged, and the handler saw none. */
	assert_int_equal(mapcache_epoch(rig.cache), epoch + 900);
	assert_int_equal(rig_recorded(&recorder), 0);
	rig_device_close(&device);
	rig_stop(&rig);
}

/* ---- what a device sees ---------------------------------------------------------------------- */

/* A write to its register makes it read VICTIM_GPA through the cache. */
static int read_victim(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	uint64_t *seen = data, value;

	if (!request->write)
		return 0;
	if (mapcache_read(client, VICTIM_GPA, &value, sizeof(value)) < 0)
		value = UINT64_MAX;
	/* The slot orders this before the guest's next step. Atomic all the same, here and
	 * there: the slot is mapped twice, and ThreadSanitizer knows no second address. */
	__atomic_store_n(seen, value, __ATOMIC_RELAXED);
	return 0;
}

struct refill {
	const uint64_t *seen;
	uint64_t stale, errors;
};

static void refill_program(struct xensim_vcpu *vcpu, void *data)
{
	struct refill *refill = data;
	uint64_t gfn = VICTIM;

	for (uint64_t value = 1; value <= 200; value++) {
		refill->errors += xensim_decrease_reservation(vcpu, &gfn, 1, 0) != 1;
		xensim_mmio_write(vcpu, RIG_MMIO, 4, 0);
		refill->stale += __atomic_load_n(refill->seen, __ATOMIC_RELAXED) != UINT64_MAX;
		refill->errors += xensim_populate_physmap(vcpu, &gfn, 1, 0) != 1;
		refill->errors += xensim_store(vcpu, VICTIM_GPA, &value, sizeof(value)) != 0;
		xensim_mmio_write(vcpu, RIG_MMIO, 4, 0);
		refill->stale += __atomic_load_n(refill->seen, __ATOMIC_RELAXED) != value;
	}
}

static void A_a_device_sees_neither_the_page_given_away_nor_an_old_one(void **state)
{
	uint64_t seen = 0;
	struct refill refill = { .seen = &seen };
	struct rig_device device;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = read_victim,
						      .handler_data = &seen });
	rig_device_serve(&device);
	rig_run(&rig, 0, refill_program, &refill);
	assert_int_equal(refill.errors, 0);
	assert_int_equal(refill.stale, 0);
	rig_device_close(&device);
	rig_stop(&rig);
}

/* ---- at once, or after sections have ended ------------------------------------------------------ */

struct held {
	struct rig rig;
	struct rig_device device;
	struct rig_recorder recorder;
	struct mapcache_client *client;
	struct flag sent;
	struct balloon balloon;
};

/* A section is open on this thread when the guest sends INVALIDATE. */
static void hold(struct held *held, uint32_t flags, uint32_t drain_ms)
{
	struct rig_options options = { .vcpus = 2 };
	struct rig_device_options server;

	*held = (struct held){ .recorder = RIG_RECORDER };
	server = (struct rig_device_options){ .handler = rig_record,
					      .handler_data = &held->recorder,
					      .flags = flags,
					      .drain_ms = drain_ms,
					      .threads = 2 };
	rig_start(&held->rig, &options);
	held->balloon = (struct balloon){ .cache = held->rig.cache, .rounds = 1 };
	rig_device_open(&held->device, &held->rig, &server);
	rig_device_serve(&held->device);
	assert_int_equal(mapcache_client_open(held->rig.cache, &held->client), 0);
	mapcache_begin(held->client);
	assert_non_null(mapcache_ptr(held->client, VICTIM_GPA, 8, PROT_READ));
	xensim_set_request_hook(balloon_flag_invalidate, &held->sent);
	assert_int_equal(xensim_vcpu_start(held->rig.domain, 0, balloon_program, &held->balloon),
			 0);
	flag_wait(&held->sent);
}

static void release(struct held *held)
{
	xensim_set_request_hook(NULL, NULL);
	assert_int_equal(mapcache_client_close(held->client), 0);
	rig_device_close(&held->device);
	rig_stop(&held->rig);
}

static void an_immediate_answer_waits_for_no_section(void **state)
{
	struct held held;

	(void)state;
	hold(&held, 0, 0);
	assert_int_equal(xensim_vcpu_join(held.rig.domain, 0), 0);
	assert_true(flag_is_set(&held.balloon.done));
	assert_int_equal(mapcache_end(held.client), 0);
	release(&held);
}

static void touch_register(struct xensim_vcpu *vcpu, void *data)
{
	uint64_t value = 0;

	(void)data;
	xensim_mmio_read(vcpu, RIG_MMIO, 4, &value);
}

static void F_a_drained_answer_waits_for_sections_and_nothing_else_waits(void **state)
{
	struct held held;

	(void)state;
	hold(&held, MAPCACHE_IOREQ_DRAIN, 600000);
	/* Another vCPU's requests are served meanwhile. */
	for (unsigned int i = 0; i < 20; i++)
		rig_run(&held.rig, 1, touch_register, NULL);
	sleep_ms(20);
	assert_false(flag_is_set(&held.balloon.done));
	assert_int_equal(rig_recorded(&held.recorder), 20);
	assert_int_equal(mapcache_end(held.client), 0);
	assert_int_equal(xensim_vcpu_join(held.rig.domain, 0), 0);
	assert_true(flag_is_set(&held.balloon.done));
	release(&held);
}

static void a_drain_that_takes_too_long_is_given_up_and_answered(void **state)
{
	struct held held;

	(void)state;
	hold(&held, MAPCACHE_IOREQ_DRAIN, 5);
	assert_int_equal(xensim_vcpu_join(held.rig.domain, 0), 0);
	assert_true(flag_is_set(&held.balloon.done));
	assert_int_equal(held.balloon.late, 0);
	assert_int_equal(mapcache_end(held.client), 0);
	release(&held);
}

static void two_vcpus_that_drain_at_once_do_not_wait_for_each_other(void **state)
{
	struct rig_options options = { .vcpus = 2 };
	struct rig_recorder recorder = RIG_RECORDER;
	struct rig_device_options server = { .handler = rig_record,
					     .handler_data = &recorder,
					     .threads = 2,
					     .flags = MAPCACHE_IOREQ_DRAIN,
					     .drain_ms = 600000 };
	struct balloon balloons[2];
	struct rig_device device;
	struct rig rig;

	(void)state;
	rig_start(&rig, &options);
	rig_device_open(&device, &rig, &server);
	rig_device_serve(&device);
	for (uint32_t i = 0; i < 2; i++) {
		balloons[i] = (struct balloon){ .cache = rig.cache, .rounds = 300 };
		assert_int_equal(xensim_vcpu_start(rig.domain, i, balloon_program, &balloons[i]),
				 0);
	}
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(xensim_vcpu_join(rig.domain, i), 0);
	assert_int_equal(balloons[0].late + balloons[1].late, 0);
	rig_device_close(&device);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(A_the_guest_goes_on_in_a_new_epoch),
		cmocka_unit_test(A_a_device_sees_neither_the_page_given_away_nor_an_old_one),
		cmocka_unit_test(an_immediate_answer_waits_for_no_section),
		cmocka_unit_test(F_a_drained_answer_waits_for_sections_and_nothing_else_waits),
		cmocka_unit_test(a_drain_that_takes_too_long_is_given_up_and_answered),
		cmocka_unit_test(two_vcpus_that_drain_at_once_do_not_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
