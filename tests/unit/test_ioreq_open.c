/* SPDX-License-Identifier: MIT */
/*
 * Opening an ioreq server: what is refused, what is left behind when a call into Xen fails, the
 * ports and ranges it then has.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/rig.h>

static void null_pointers_are_refused(void **state)
{
	struct mapcache_ioreq_options options;
	struct mapcache_ioreq *server;
	struct mapcache_client *client;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	options = rig_ioreq_options(&rig);
	assert_int_equal(mapcache_ioreq_open(NULL, &options, &server), -EINVAL);
	assert_int_equal(mapcache_ioreq_open(rig.cache, NULL, &server), -EINVAL);
	assert_int_equal(mapcache_ioreq_open(rig.cache, &options, NULL), -EINVAL);
	assert_int_equal(mapcache_client_open(rig.cache, &client), 0);
	assert_int_equal(mapcache_ioreq_handle(NULL, client, 0), -EINVAL);
	assert_int_equal(mapcache_client_close(client), 0);
	assert_int_equal(mapcache_ioreq_enable(NULL, true), -EINVAL);
	assert_int_equal(mapcache_ioreq_vcpu_port(NULL, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_add_range(NULL, MAPCACHE_IOREQ_PORT, 0, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_remove_range(NULL, MAPCACHE_IOREQ_PORT, 0, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_close(NULL), -EINVAL);
	rig_stop(&rig);
}

static void options_out_of_range_are_refused(void **state)
{
	struct mapcache_ioreq_options options[7];
	struct mapcache_ioreq *server = NULL;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	for (unsigned int i = 0; i < 7; i++)
		options[i] = rig_ioreq_options(&rig);
	options[0].domid = 0x7ff0; /* not a domain: DOMID_SELF and its like */
	options[1].vcpus = 32 * 128 + 1;
	options[2].domid = rig.domid + 1; /* not its cache's */
	options[3].flags = MAPCACHE_IOREQ_ALL_TYPES << 1;
	options[4].drain_ms = (uint32_t)INT_MAX + 1;
	options[5].handler = NULL;
	options[6].size = sizeof(size_t) - 1;
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(mapcache_ioreq_open(rig.cache, &options[i], &server), -EINVAL);
	assert_null(server);
	rig_stop(&rig);
}

static void an_unknown_tail_is_accepted_only_when_it_is_zero(void **state)
{
	struct {
		struct mapcache_ioreq_options known;
		char tail[16];
	} longer;
	struct mapcache_ioreq *server;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	memset(&longer, 0, sizeof(longer));
	longer.known = rig_ioreq_options(&rig);
	longer.known.size = sizeof(longer);
	longer.tail[15] = 1;
	assert_int_equal(mapcache_ioreq_open(rig.cache, &longer.known, &server), -E2BIG);
	longer.tail[15] = 0;
	assert_int_equal(mapcache_ioreq_open(rig.cache, &longer.known, &server), 0);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

static void a_shorter_struct_means_the_defaults(void **state)
{
	struct mapcache_ioreq_options options;
	struct mapcache_ioreq *server;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	options = rig_ioreq_options(&rig);
	options.size = offsetof(struct mapcache_ioreq_options, handler);
	/* Its handler is behind the end of what this caller knows. */
	assert_int_equal(mapcache_ioreq_open(rig.cache, &options, &server), -EINVAL);
	options.size = offsetof(struct mapcache_ioreq_options, handler_data);
	assert_int_equal(mapcache_ioreq_open(rig.cache, &options, &server), 0);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

static void a_domain_that_is_gone_is_an_error(void **state)
{
	struct mapcache_ioreq_options options;
	struct mapcache_ioreq *server;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	options = rig_ioreq_options(&rig);
	assert_int_equal(xensim_domain_destroy(rig.domain), 0);
	rig.domain = NULL;
	assert_int_equal(mapcache_ioreq_open(rig.cache, &options, &server), -ESRCH);
	rig_stop(&rig);
}

/* One call of open fails; all calls succeed the next time. */
static void fail_once(struct rig *rig, enum xensim_call call, uint64_t nth, int error)
{
	struct mapcache_ioreq_options options = rig_ioreq_options(rig);
	struct mapcache_ioreq *server = NULL;
	uint64_t handles = bed_totals().handles_open;

	xensim_fail(call, nth, error);
	assert_int_equal(mapcache_ioreq_open(rig->cache, &options, &server), -error);
	xensim_fail(call, 0, 0);
	assert_null(server);
	assert_int_equal(bed_totals().handles_open, handles);
	assert_int_equal(mapcache_ioreq_open(rig->cache, &options, &server), 0);
	assert_int_equal(mapcache_ioreq_close(server), 0);
}

static void a_failing_call_leaves_nothing_behind(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	fail_once(&rig, XENSIM_CALL_OPEN, 1, EACCES);
	fail_once(&rig, XENSIM_CALL_OPEN, 2, ENOENT);
	fail_once(&rig, XENSIM_CALL_DEVICEMODEL, 1, ENOSPC);
	fail_once(&rig, XENSIM_CALL_MAP_RESOURCE, 1, ENOMEM);
	rig_stop(&rig);
}

static void a_failing_call_leaves_nothing_behind_on_an_older_xen(void **state)
{
	struct rig_options options = { .host.no_map_resource = true };
	struct rig rig;

	(void)state;
	rig_start(&rig, &options);
	fail_once(&rig, XENSIM_CALL_DEVICEMODEL, 2, EPERM); /* what its frame is */
	fail_once(&rig, XENSIM_CALL_MAP, 1, ENOMEM);
	rig_stop(&rig);
}

struct traffic {
	uint64_t value;
	int error;
};

static void read_register(struct xensim_vcpu *vcpu, void *data)
{
	struct traffic *traffic = data;

	traffic->error = xensim_mmio_read(vcpu, RIG_MMIO + 8, 4, &traffic->value);
}

static void an_older_xen_without_map_resource_is_served(void **state)
{
	struct rig_options options = { .host.no_map_resource = true, .vcpus = 2 };
	struct rig_recorder recorder = RIG_RECORDER;
	struct traffic traffic = { 0 };
	struct rig_device device;
	struct rig rig;

	(void)state;
	recorder.answer = 0x12345678;
	rig_start(&rig, &options);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = rig_record,
						      .handler_data = &recorder });
	rig_device_serve(&device);
	rig_run(&rig, 1, read_register, &traffic);
	assert_int_equal(traffic.error, 0);
	assert_int_equal(traffic.value, 0x12345678);
	rig_device_close(&device);
	rig_stop(&rig);
}

static void a_port_is_known_once_the_server_was_enabled(void **state)
{
	struct rig_options options = { .vcpus = 3 };
	struct mapcache_ioreq_options server_options;
	struct mapcache_ioreq *server;
	struct rig rig;

	(void)state;
	rig_start(&rig, &options);
	server_options = rig_ioreq_options(&rig);
	assert_int_equal(mapcache_ioreq_open(rig.cache, &server_options, &server), 0);
	assert_int_equal(mapcache_ioreq_vcpu_port(server, 2), -EAGAIN);
	assert_int_equal(mapcache_ioreq_vcpu_port(server, 128), -EINVAL);
	assert_int_equal(mapcache_ioreq_enable(server, true), 0);
	assert_true(mapcache_ioreq_vcpu_port(server, 2) > 0);
	assert_int_not_equal(mapcache_ioreq_vcpu_port(server, 2),
			     mapcache_ioreq_vcpu_port(server, 0));
	assert_int_equal(mapcache_ioreq_vcpu_port(server, 3), -ENOENT);
	assert_int_equal(mapcache_ioreq_vcpu_port(server, 128), -EINVAL);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

static void a_failed_enable_changes_nothing(void **state)
{
	struct mapcache_ioreq *server;
	uint64_t epoch;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	server = rig_server_open(&rig);
	epoch = mapcache_epoch(rig.cache);
	xensim_fail(XENSIM_CALL_DEVICEMODEL, 1, EPERM);
	assert_int_equal(mapcache_ioreq_enable(server, true), -EPERM);
	assert_int_equal(mapcache_epoch(rig.cache), epoch);
	assert_int_equal(mapcache_ioreq_vcpu_port(server, 0), -EAGAIN);
	assert_int_equal(mapcache_ioreq_enable(server, true), 0);
	assert_int_equal(mapcache_epoch(rig.cache), epoch + 1);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

static void wrong_ranges_are_refused(void **state)
{
	struct mapcache_ioreq *server;
	uint64_t function = UINT64_C(0x18) << 32;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	server = rig_server_open(&rig);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_MEMORY, 1, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_PORT, 0, 0x10000),
			 -EINVAL);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_PCI, function,
						  function + (UINT64_C(1) << 32)),
			 -EINVAL);
	assert_int_equal(mapcache_ioreq_add_range(server, (enum mapcache_ioreq_type)3, 0, 1),
			 -EINVAL);
	assert_int_equal(mapcache_ioreq_remove_range(server, MAPCACHE_IOREQ_MEMORY, 0, 1), -ENOENT);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_MEMORY, 0, 0xfff), 0);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_MEMORY, 0, 0xfff),
			 -EEXIST);
	assert_int_equal(mapcache_ioreq_remove_range(server, MAPCACHE_IOREQ_MEMORY, 0, 0xfff), 0);
	assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_PCI, function,
						  function + UINT32_MAX),
			 0);
	assert_int_equal(
		mapcache_ioreq_remove_range(server, MAPCACHE_IOREQ_PCI, function, function), 0);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	rig_stop(&rig);
}

static void a_removed_range_is_no_longer_served(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct traffic traffic = { 0 };
	struct rig_device device;
	struct rig rig;

	(void)state;
	recorder.answer = 7;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = rig_record,
						      .handler_data = &recorder });
	rig_device_serve(&device);
	rig_run(&rig, 0, read_register, &traffic);
	assert_int_equal(traffic.value, 7);
	assert_int_equal(mapcache_ioreq_remove_range(device.server, MAPCACHE_IOREQ_MEMORY, RIG_MMIO,
						     RIG_MMIO + 0xfff),
			 0);
	rig_run(&rig, 0, read_register, &traffic);
	assert_int_equal((uint32_t)traffic.value, UINT32_MAX);
	assert_int_equal(rig_recorded(&recorder), 1);
	rig_device_close(&device);
	rig_stop(&rig);
}

static void I_every_handle_is_opened_by_open(void **state)
{
	struct rig_recorder recorder = RIG_RECORDER;
	struct traffic traffic = { 0 };
	struct rig_device device;
	uint64_t before, handles;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	before = bed_totals().handles_open;
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = rig_record,
						      .handler_data = &recorder });
	handles = bed_totals().handles_open;
	assert_true(handles > before);
	rig_device_serve(&device);
	rig_run(&rig, 0, read_register, &traffic);
	/* The one more is the test's own, for its event channels. */
	assert_int_equal(bed_totals().handles_open, handles + 1);
	rig_device_close(&device);
	assert_int_equal(bed_totals().handles_open, before);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_pointers_are_refused),
		cmocka_unit_test(options_out_of_range_are_refused),
		cmocka_unit_test(an_unknown_tail_is_accepted_only_when_it_is_zero),
		cmocka_unit_test(a_shorter_struct_means_the_defaults),
		cmocka_unit_test(a_domain_that_is_gone_is_an_error),
		cmocka_unit_test(a_failing_call_leaves_nothing_behind),
		cmocka_unit_test(a_failing_call_leaves_nothing_behind_on_an_older_xen),
		cmocka_unit_test(an_older_xen_without_map_resource_is_served),
		cmocka_unit_test(a_port_is_known_once_the_server_was_enabled),
		cmocka_unit_test(a_failed_enable_changes_nothing),
		cmocka_unit_test(wrong_ranges_are_refused),
		cmocka_unit_test(a_removed_range_is_no_longer_served),
		cmocka_unit_test(I_every_handle_is_opened_by_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
