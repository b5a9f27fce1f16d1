/* SPDX-License-Identifier: MIT */
/* How many vCPUs: asked of Xen, past what was given, more than a page of slots holds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <lib/ioreq/ioreq.h>
#include <tests/support/bed.h>
#include <tests/support/rig.h>

static struct {
	unsigned int lines;
	char text[256];
} said;

static void say(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	if (level != MAPCACHE_LOG_WARNING)
		return;
	said.lines++;
	strncpy(said.text, message, sizeof(said.text) - 1);
}

static void start(struct rig *rig, uint32_t vcpus)
{
	said.lines = 0;
	rig_start(rig, &(struct rig_options){ .vcpus = vcpus, .cache.log = say });
}

static struct mapcache_ioreq *open_for(struct rig *rig, uint32_t vcpus, rig_handler handler,
				       void *data)
{
	struct mapcache_ioreq_options options = rig_ioreq_options(rig);
	struct mapcache_ioreq *server;

	options.vcpus = vcpus;
	options.handler = handler;
	options.handler_data = data;
	assert_int_equal(mapcache_ioreq_open(rig->cache, &options, &server), 0);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_MEMORY, RIG_MMIO,
						  RIG_MMIO + 0xfff),
			 0);
	assert_int_equal(mapcache_ioreq_enable(server, true), 0);
	return server;
}

static void without_a_count_xen_is_asked(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct mapcache_ioreq_options options;
	struct mapcache_ioreq *server;
	uint64_t handles;
	struct rig rig;

	(void)state;
	start(&rig, 5);
	server = open_for(&rig, 0, rig_record, &recorder);
	assert_int_equal(mapcache_ioreq_vcpus(server), 5);
	assert_true(mapcache_ioreq_vcpu_port(server, 4) > 0);
	assert_int_equal(said.lines, 0);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	server = open_for(&rig, 3, rig_record, &recorder);
	assert_int_equal(mapcache_ioreq_vcpus(server), 3);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	assert_int_equal(mapcache_ioreq_vcpus(NULL), -EINVAL);
	/* An older Xen cannot say. */
	options = rig_ioreq_options(&rig);
	options.vcpus = 0;
	handles = bed_totals().handles_open;
	xensim_fail(XENSIM_CALL_DEVICEMODEL, 1, EOPNOTSUPP);
	assert_int_equal(mapcache_ioreq_open(rig.cache, &options, &server), -EOPNOTSUPP);
	assert_int_equal(bed_totals().handles_open, handles);
	rig_stop(&rig);
}

static void read_register(struct xensim_vcpu *vcpu, void *data)
{
	(void)xensim_mmio_read(vcpu, RIG_MMIO, 4, data);
}

/* Serves one vCPU until it has been answered. */
static void serve_one(struct rig *rig, struct mapcache_ioreq *server, uint32_t vcpu)
{
	int remote = mapcache_ioreq_vcpu_port(server, vcpu), port;
	xenevtchn_handle *channels = xenevtchn_open(NULL, 0);
	struct mapcache_client *client;

	assert_non_null(channels);
	assert_true(remote > 0);
	port = xenevtchn_bind_interdomain(channels, rig->domid, (evtchn_port_t)remote);
	assert_true(port > 0);
	assert_int_equal(mapcache_client_open(rig->cache, &client), 0);
	while (mapcache_ioreq_handle(server, client, vcpu) != 1)
		sched_yield();
	assert_int_equal(xenevtchn_notify(channels, (evtchn_port_t)port), 0);
	assert_int_equal(mapcache_client_close(client), 0);
	xenevtchn_close(channels);
}

static void a_vcpu_past_the_count_is_served_and_said_once(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct mapcache_ioreq *server;
	uint64_t value[2] = { 0, 0 };
	struct rig rig;

	(void)state;
	recorder.answer = 0x1234;
	start(&rig, 8);
	server = open_for(&rig, 4, rig_record, &recorder);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(xensim_vcpu_start(rig.domain, 5 + i, read_register, &value[i]), 0);
		serve_one(&rig, server, 5 + i);
		assert_int_equal(xensim_vcpu_join(rig.domain, 5 + i), 0);
		assert_int_equal(value[i], 0x1234);
	}
	assert_int_equal(said.lines, 1);
	assert_non_null(strstr(said.text, "vCPU 5 "));
	assert_non_null(strstr(said.text, "the 4 "));
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

/* Nobody has bound its channel: it waits for ever, which somebody should know. */
static void a_vcpu_past_the_count_that_nobody_serves_is_said_once(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct mapcache_ioreq *server;
	uint64_t value = 0, lost = 0;
	struct rig rig;

	(void)state;
	start(&rig, 8);
	server = open_for(&rig, 4, rig_record, &recorder);
	assert_int_equal(xensim_vcpu_start(rig.domain, 7, read_register, &lost), 0);
	for (unsigned int i = 0; i < 300; i++) {
		assert_int_equal(xensim_vcpu_start(rig.domain, 0, read_register, &value), 0);
		serve_one(&rig, server, 0);
		assert_int_equal(xensim_vcpu_join(rig.domain, 0), 0);
	}
	assert_int_equal(said.lines, 1);
	assert_non_null(strstr(said.text, "vCPU 7 "));
	serve_one(&rig, server, 7);
	assert_int_equal(xensim_vcpu_join(rig.domain, 7), 0);
	assert_int_equal(said.lines, 1);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

/* The layout has room for them; a Xen that does not know more than one page refuses. */
static void more_vcpus_than_a_page_holds_are_xens_decision(void **state)
{
	struct mapcache_ioreq_options options;
	struct mapcache_ioreq *server = NULL;
	uint64_t handles;
	struct rig rig;

	(void)state;
	for (unsigned int older = 0; older < 2; older++) {
		rig_start(&rig, &(struct rig_options){ .host.no_map_resource = older });
		options = rig_ioreq_options(&rig);
		options.vcpus = 129;
		handles = bed_totals().handles_open;
		assert_int_equal(mapcache_ioreq_open(rig.cache, &options, &server),
				 older ? -EOPNOTSUPP : -EINVAL);
		assert_null(server);
		assert_int_equal(bed_totals().handles_open, handles);
		rig_stop(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_count_xen_is_asked),
		cmocka_unit_test(a_vcpu_past_the_count_is_served_and_said_once),
		cmocka_unit_test(a_vcpu_past_the_count_that_nobody_serves_is_said_once),
		cmocka_unit_test(more_vcpus_than_a_page_holds_are_xens_decision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
