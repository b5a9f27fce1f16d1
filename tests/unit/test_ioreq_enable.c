/* SPDX-License-Identifier: MIT */
/*
 * Enabling a server makes up for every INVALIDATE that it was not sent, including those up to
 * the moment at which Xen enables it. The library's call into Xen is wrapped by the linker, to
 * put a guest's hypercall at exactly that place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <xendevicemodel.h>

#include <tests/support/rig.h>

#define VICTIM UINT64_C(0x30)
#define VICTIM_GPA (VICTIM << 12)

int __real_xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *handle, domid_t domid,
						 ioservid_t id, int enabled);
int __wrap_xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *handle, domid_t domid,
						 ioservid_t id, int enabled);

/* What happens just before Xen is asked to enable a server. */
static void (*before_enable)(void *data);
static void *before_enable_data;

int __wrap_xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *handle, domid_t domid,
						 ioservid_t id, int enabled)
{
	if (enabled && before_enable != NULL)
		before_enable(before_enable_data);
	return __real_xendevicemodel_set_ioreq_server_state(handle, domid, id, enabled);
}

struct fixture {
	struct rig rig;
	struct rig_device device;
	struct rig_recorder recorder;
	struct mapcache_client *client;
	uint64_t next;
};

static void start(struct fixture *fixture)
{
	*fixture = (struct fixture){ .recorder = RIG_RECORDER, .next = 1 };
	rig_start(&fixture->rig, NULL);
	rig_device_open(&fixture->device, &fixture->rig,
			&(struct rig_device_options){ .handler = rig_record,
						      .handler_data = &fixture->recorder });
	assert_int_equal(mapcache_client_open(fixture->rig.cache, &fixture->client), 0);
}

static void stop(struct fixture *fixture)
{
	before_enable = NULL;
	assert_int_equal(mapcache_client_close(fixture->client), 0);
	rig_device_close(&fixture->device);
	rig_stop(&fixture->rig);
}

static uint64_t read_victim(struct fixture *fixture)
{
	uint64_t value = 0;

	assert_int_equal(mapcache_read(fixture->client, VICTIM_GPA, &value, sizeof(value)),
			 sizeof(value));
	return value;
}

static void exchange_program(struct xensim_vcpu *vcpu, void *data)
{
	uint64_t *value = data;

	if (xensim_exchange(vcpu, VICTIM) >= 0)
		xensim_store(vcpu, VICTIM_GPA, value, sizeof(*value));
}

/* The guest gets another page behind the same frame, and writes the next number there. */
static uint64_t exchange(struct fixture *fixture)
{
	fixture->next++;
	rig_run(&fixture->rig, 0, exchange_program, &fixture->next);
	return fixture->next;
}

static void look_then_exchange(void *data)
{
	read_victim(data);
	exchange(data);
}

static void A_what_was_missed_before_enabling_is_made_up_for(void **state)
{
	struct fixture fixture;
	uint64_t old;

	(void)state;
	start(&fixture);
	old = read_victim(&fixture);
	exchange(&fixture);
	/* Without a server that is enabled nobody tells us. */
	assert_int_equal(read_victim(&fixture), old);
	rig_device_serve(&fixture.device);
	assert_int_equal(read_victim(&fixture), fixture.next);
	stop(&fixture);
}

static void A_what_was_mapped_and_missed_while_enabling_is_made_up_for(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture);
	before_enable = look_then_exchange;
	before_enable_data = &fixture;
	rig_device_serve(&fixture.device);
	assert_int_equal(read_victim(&fixture), fixture.next);
	stop(&fixture);
}

static void A_what_was_missed_while_disabled_is_made_up_for(void **state)
{
	struct fixture fixture;
	uint64_t old;

	(void)state;
	start(&fixture);
	rig_device_serve(&fixture.device);
	old = exchange(&fixture);
	assert_int_equal(read_victim(&fixture), old);
	assert_int_equal(mapcache_ioreq_enable(fixture.device.server, false), 0);
	exchange(&fixture);
	assert_int_equal(read_victim(&fixture), old);
	assert_int_equal(mapcache_ioreq_enable(fixture.device.server, true), 0);
	assert_int_equal(read_victim(&fixture), fixture.next);
	/* And from here on it is told again. */
	exchange(&fixture);
	assert_int_equal(read_victim(&fixture), fixture.next);
	stop(&fixture);
}

static void a_server_that_was_enabled_before_is_not_harmed(void **state)
{
	struct fixture fixture;
	uint64_t epoch;
	int port;

	(void)state;
	start(&fixture);
	rig_device_serve(&fixture.device);
	port = mapcache_ioreq_vcpu_port(fixture.device.server, 0);
	epoch = mapcache_epoch(fixture.rig.cache);
	assert_int_equal(mapcache_ioreq_enable(fixture.device.server, true), 0);
	assert_int_equal(mapcache_epoch(fixture.rig.cache), epoch + 1);
	assert_int_equal(mapcache_ioreq_vcpu_port(fixture.device.server, 0), port);
	read_victim(&fixture);
	exchange(&fixture);
	assert_int_equal(read_victim(&fixture), fixture.next);
	stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(A_what_was_missed_before_enabling_is_made_up_for),
		cmocka_unit_test(A_what_was_mapped_and_missed_while_enabling_is_made_up_for),
		cmocka_unit_test(A_what_was_missed_while_disabled_is_made_up_for),
		cmocka_unit_test(a_server_that_was_enabled_before_is_not_harmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
