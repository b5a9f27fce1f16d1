/* SPDX-License-Identifier: MIT */
/*
 * Why Xen keeps an invalidate flag for every vCPU. With one flag for the domain, as first
 * proposed, a vCPU whose change is covered by another one's INVALIDATE goes on before that is
 * answered, and a device shows it a page that it has given away. tests/model/ioreq.pml finds
 * the same by itself.
 *
 * vCPU 0 is stopped at the moment at which it is about to send INVALIDATE, until vCPU 1 has
 * gone on and made a device look.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <xen/hvm/ioreq.h>

#include <tests/support/flag.h>
#include <tests/support/rig.h>

#define VICTIM UINT64_C(0x30) /* the frame that vCPU 1 loses */
#define VICTIM_GPA (VICTIM << 12)
#define OTHER UINT64_C(0x31) /* the frame that vCPU 0 gives away */
#define OLD UINT64_C(0x6f6c64)

/* Frames that are taken away without a notice, for a hypercall that takes its time. */
#define SILENT UINT64_C(0x100)
#define SILENT_COUNT 3000u

struct race {
	struct rig rig;
	struct rig_device device;
	uint64_t seen; /* by the device; UINT64_MAX: no memory there */
	uint64_t changes;
	struct flag held, gone_on;
	uint32_t errors;
};

static uint64_t changes(void)
{
	struct xensim_totals totals;

	xensim_totals(&totals);
	return totals.invalidates_changes;
}

/* A write to the register makes the device read the victim. */
static int read_victim(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct race *race = data;

	if (request->write && mapcache_read(client, VICTIM_GPA, &race->seen, 8) != 8)
		race->seen = UINT64_MAX;
	return 0;
}

static void hold_first_vcpu(void *data, uint32_t domid, uint16_t server, uint32_t vcpu,
			    const struct ioreq *request)
{
	struct race *race = data;

	(void)domid, (void)server;
	if (request->type != IOREQ_TYPE_INVALIDATE || vcpu != 0)
		return;
	flag_set(&race->held);
	flag_wait(&race->gone_on);
}

static void go_on(struct race *race, struct xensim_vcpu *vcpu)
{
	race->errors += xensim_mmio_write(vcpu, RIG_MMIO, 4, 0) != 0;
	flag_set(&race->gone_on);
}

static void look_once(struct xensim_vcpu *vcpu, void *data)
{
	(void)data;
	xensim_mmio_write(vcpu, RIG_MMIO, 4, 0);
}

static void start(struct race *race, bool flag_per_domain)
{
	struct rig_options options = { .host.flag_per_domain = flag_per_domain,
				       .vcpus = 2,
				       .ram_pages = SILENT + SILENT_COUNT };
	struct rig_device_options device = { .handler = read_victim,
					     .handler_data = race,
					     .threads = 2 };
	uint64_t old = OLD;

	*race = (struct race){ .seen = 0 };
	rig_start(&race->rig, &options);
	rig_device_open(&race->device, &race->rig, &device);
	rig_device_serve(&race->device);
	assert_int_equal(xensim_guest_write(race->rig.domain, VICTIM_GPA, &old, 8), 0);
	rig_run(&race->rig, 1, look_once, NULL);
	assert_int_equal(race->seen, OLD);
	xensim_set_request_hook(hold_first_vcpu, race);
}

/* The request that was held has been answered by now: nothing old is seen any more. */
static void stop(struct race *race)
{
	xensim_set_request_hook(NULL, NULL);
	assert_int_equal(race->errors, 0);
	rig_run(&race->rig, 1, look_once, NULL);
	assert_int_equal(race->seen, UINT64_MAX);
	rig_device_close(&race->device);
	rig_stop(&race->rig);
}

static void run_both(struct race *race, xensim_program first, xensim_program second)
{
	assert_int_equal(xensim_vcpu_start(race->rig.domain, 0, first, race), 0);
	assert_int_equal(xensim_vcpu_start(race->rig.domain, 1, second, race), 0);
	assert_int_equal(xensim_vcpu_join(race->rig.domain, 1), 0);
	assert_int_equal(xensim_vcpu_join(race->rig.domain, 0), 0);
}

/* ---- a change from outside ----------------------------------------------------------------- */

static void enter(struct xensim_vcpu *vcpu, void *data)
{
	(void)data;
	xensim_nop_hypercall(vcpu);
}

static void enter_behind_the_first(struct xensim_vcpu *vcpu, void *data)
{
	struct race *race = data;

	flag_wait(&race->held);
	race->errors += xensim_nop_hypercall(vcpu) != 0;
	go_on(race, vcpu);
}

static uint64_t outside_change(bool flag_per_domain)
{
	struct race race;
	uint64_t gfn = VICTIM, seen;

	start(&race, flag_per_domain);
	assert_int_equal(xensim_outside_decrease(race.rig.domain, &gfn, 1), 1);
	run_both(&race, enter, enter_behind_the_first);
	seen = race.seen;
	stop(&race);
	return seen;
}

static void a_flag_per_domain_lets_a_vcpu_pass_after_an_outside_change(void **state)
{
	(void)state;
	assert_int_equal(outside_change(true), OLD);
}

static void A_a_flag_per_vcpu_lets_no_vcpu_pass_after_an_outside_change(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 20; round++)
		assert_int_equal(outside_change(false), UINT64_MAX);
}

/* ---- two vCPUs at once ------------------------------------------------------------------------ */

/* Its change asks for INVALIDATE at once; its hypercall goes on for a while. */
static void give_away_slowly(struct xensim_vcpu *vcpu, void *data)
{
	static uint64_t gfn[1 + SILENT_COUNT];
	struct race *race = data;

	gfn[0] = VICTIM;
	for (uint64_t i = 0; i < SILENT_COUNT; i++)
		gfn[1 + i] = SILENT + i;
	race->errors +=
		xensim_decrease_reservation(vcpu, gfn, 1 + SILENT_COUNT, 0) != 1 + SILENT_COUNT;
	go_on(race, vcpu);
}

static void give_away_meanwhile(struct xensim_vcpu *vcpu, void *data)
{
	struct race *race = data;
	uint64_t gfn = OTHER;

	while (changes() == race->changes && !flag_is_set(&race->gone_on))
		sched_yield();
	xensim_decrease_reservation(vcpu, &gfn, 1, 0);
}

static uint64_t two_at_once(bool flag_per_domain)
{
	struct race race;
	uint64_t seen;

	start(&race, flag_per_domain);
	assert_int_equal(xensim_p2m_set_type(race.rig.domain, SILENT, SILENT_COUNT, XENSIM_GRANT),
			 0);
	race.changes = changes();
	run_both(&race, give_away_meanwhile, give_away_slowly);
	seen = race.seen;
	stop(&race);
	return seen;
}

/* Only when vCPU 0 was quick enough is it a race: tried until it is. */
static void a_flag_per_domain_lets_one_of_two_vcpus_pass(void **state)
{
	unsigned int round;

	(void)state;
	for (round = 0; round < 1000; round++)
		if (two_at_once(true) == OLD)
			break;
	assert_in_range(round, 0, 999);
}

static void A_a_flag_per_vcpu_lets_neither_of_two_vcpus_pass(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 50; round++)
		assert_int_equal(two_at_once(false), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flag_per_domain_lets_a_vcpu_pass_after_an_outside_change),
		cmocka_unit_test(A_a_flag_per_vcpu_lets_no_vcpu_pass_after_an_outside_change),
		cmocka_unit_test(a_flag_per_domain_lets_one_of_two_vcpus_pass),
		cmocka_unit_test(A_a_flag_per_vcpu_lets_neither_of_two_vcpus_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
