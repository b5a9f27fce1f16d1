/* SPDX-License-Identifier: MIT */
/*
 * The ends of an ioreq server: with its guest gone, with Xen refusing, after the emulator's
 * death, and in a child.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <xendevicemodel.h>

#include <tests/support/bed.h>
#include <tests/support/rig.h>

struct traffic {
	uint64_t value;
	int error;
};

static void read_register(struct xensim_vcpu *vcpu, void *data)
{
	struct traffic *traffic = data;

	traffic->error = xensim_mmio_read(vcpu, RIG_MMIO + 8, 4, &traffic->value);
}

static void close_works_when_the_domain_is_gone(void **state)
{
	struct mapcache_ioreq *server;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	server = rig_server_open(&rig);
	assert_int_equal(mapcache_ioreq_enable(server, true), 0);
	assert_int_equal(xensim_domain_destroy(rig.domain), 0);
	rig.domain = NULL;
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

static void every_call_of_close_is_made_although_one_fails(void **state)
{
	struct mapcache_ioreq *server;
	uint64_t handles;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	handles = bed_totals().handles_open;
	server = rig_server_open(&rig);
	xensim_fail(XENSIM_CALL_DEVICEMODEL, 1, EPERM); /* the state; not the destruction */
	assert_int_equal(mapcache_ioreq_close(server), 0);
	assert_int_equal(bed_totals().handles_open, handles);
	rig_stop(&rig);
}

static void close_works_after_the_emulator_has_died(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct traffic traffic = { 0 };
	struct rig_device device;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = rig_record,
						      .handler_data = &recorder });
	rig_device_serve(&device);
	rig_run(&rig, 0, read_register, &traffic);
	assert_int_equal(xensim_emulator_death(rig.domain, rig_device_id(&device)), 0);
	rig_device_close(&device);
	rig_stop(&rig);
}

/* Whether a call into Xen that would fail has still to come. */
static bool is_pending(uint32_t domid)
{
	xendevicemodel_handle *handle = xendevicemodel_open(NULL, 0);
	int error = xendevicemodel_set_ioreq_server_state(handle, (domid_t)domid, 0, 1);

	return error == -1 && errno == EPROTO;
}

static void a_child_closes_its_handles_and_asks_xen_for_nothing(void **state)
{
	struct rig_options rig_options = { .cache.flags = MAPCACHE_NO_RECLAIM_THREAD };
	struct mapcache_ioreq *server;
	struct rig rig;
	int status;
	pid_t child;

	(void)state;
	rig_start(&rig, &rig_options);
	server = rig_server_open(&rig);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		xensim_fail(XENSIM_CALL_DEVICEMODEL, 1, EPROTO);
		if (mapcache_ioreq_close(server))
			_exit(1);
		_exit(is_pending(rig.domid) ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_works_when_the_domain_is_gone),
		cmocka_unit_test(every_call_of_close_is_made_although_one_fails),
		cmocka_unit_test(close_works_after_the_emulator_has_died),
		cmocka_unit_test(a_child_closes_its_handles_and_asks_xen_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
