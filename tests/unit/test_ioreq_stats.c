/* SPDX-License-Identifier: MIT */
/* What a server counts, and which requests its handler gets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <xen/hvm/ioreq.h>

#include <tests/support/bed.h>

#define TYPE_VMWARE_PORT 3
#define SLOW_MS 20u

struct counted {
	struct bed bed;
	struct rig_device device;
	struct rig_recorder recorder;
	uint16_t id;
	uint64_t data; /* the last answer */
	struct ioreq raw;
};

static void counted_open(struct counted *counted, uint32_t flags, rig_handler handler)
{
	memset(counted, 0, sizeof(*counted));
	counted->recorder = (struct rig_recorder)RIG_RECORDER;
	bed_start(&counted->bed, BED_QUIET);
	rig_device_open(&counted->device, &counted->bed.rig,
			&(struct rig_device_options){ .handler = handler,
						      .handler_data = &counted->recorder,
						      .flags = flags });
	rig_device_serve(&counted->device);
	counted->id = rig_device_id(&counted->device);
}

static void counted_close(struct counted *counted)
{
	rig_device_close(&counted->device);
	bed_stop(&counted->bed);
}

static void send(struct xensim_vcpu *vcpu, void *data)
{
	struct counted *counted = data;

	(void)xensim_raw_request(vcpu, counted->id, &counted->raw, &counted->data);
}

/* Sends one request and returns what the handler got of it, if it did. */
static const struct mapcache_request *request(struct counted *counted, struct ioreq raw)
{
	uint64_t before = rig_recorded(&counted->recorder);

	counted->raw = raw;
	rig_run(&counted->bed.rig, 0, send, counted);
	if (rig_recorded(&counted->recorder) == before)
		return NULL;
	return &counted->recorder.request[(counted->recorder.count - 1) % RIG_RECORDS];
}

static struct mapcache_ioreq_stats stats(struct counted *counted)
{
	struct mapcache_ioreq_stats stats = { .size = sizeof(stats) };

	assert_int_equal(mapcache_ioreq_stats(counted->device.server, &stats), 0);
	return stats;
}

static void requests_are_counted_by_what_became_of_them(void **state)
{
	struct ioreq write = {
		.type = IOREQ_TYPE_COPY, .addr = RIG_MMIO, .size = 4, .count = 1, .dir = IOREQ_WRITE
	};
	struct mapcache_ioreq_stats seen;
	struct ioreq bad = write, many = write;
	struct counted counted;

	(void)state;
	counted_open(&counted, 0, rig_record);
	assert_non_null(request(&counted, write));
	bad.size = 3;
	assert_null(request(&counted, bad));
	many.count = 7;
	assert_non_null(request(&counted, many));
	counted.recorder.error = -EIO;
	assert_non_null(request(&counted, write));
	seen = stats(&counted);
	assert_int_equal(seen.size, sizeof(seen));
	assert_int_equal(seen.requests, 4);
	assert_int_equal(seen.items, 9);
	assert_int_equal(seen.refused, 1);
	assert_int_equal(seen.failed, 1);
	assert_int_equal(seen.deferred, 0);
	assert_int_equal(seen.buffered, 0);
	assert_int_equal(seen.invalidates, 0);
	assert_true(seen.request_ns >= seen.handler_ns && seen.request_ns_max <= seen.request_ns);
	counted_close(&counted);
}

static int slow(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	usleep(SLOW_MS * 1000);
	return rig_record(data, client, request);
}

static void balloon(struct xensim_vcpu *vcpu, void *data)
{
	uint64_t gfn = 300;

	(void)data;
	(void)xensim_decrease_reservation(vcpu, &gfn, 1, 0);
}

/* A guest that is slow because of it is told from the counters alone. */
static void a_slow_handler_shows_and_invalidate_does_not_blame_itself(void **state)
{
	struct ioreq write = {
		.type = IOREQ_TYPE_COPY, .addr = RIG_MMIO, .size = 4, .count = 1, .dir = IOREQ_WRITE
	};
	struct mapcache_ioreq_stats seen;
	struct counted counted;

	(void)state;
	counted_open(&counted, 0, slow);
	assert_non_null(request(&counted, write));
	rig_run(&counted.bed.rig, 0, balloon, NULL);
	seen = stats(&counted);
	assert_true(seen.handler_ns_max >= SLOW_MS * UINT64_C(1000000));
	assert_true(seen.request_ns_max >= seen.handler_ns_max);
	assert_int_equal(seen.invalidates, 1);
	assert_int_equal(seen.invalidate_ns, seen.invalidate_ns_max);
	assert_true(seen.invalidate_ns_max < SLOW_MS * UINT64_C(1000000));
	counted_close(&counted);
}

static void statistics_of_any_size_are_understood_or_refused(void **state)
{
	struct {
		struct mapcache_ioreq_stats known;
		uint64_t more;
	} longer = { .known.size = sizeof(longer) };
	struct counted counted;

	(void)state;
	counted_open(&counted, 0, rig_record);
	assert_int_equal(mapcache_ioreq_stats(NULL, &longer.known), -EINVAL);
	assert_int_equal(mapcache_ioreq_stats(counted.device.server, NULL), -EINVAL);
	assert_int_equal(mapcache_ioreq_stats(counted.device.server, &longer.known), 0);
	assert_int_equal(longer.known.size, sizeof(longer));
	longer.more = 1;
	assert_int_equal(mapcache_ioreq_stats(counted.device.server, &longer.known), -E2BIG);
	longer.known.size = sizeof(size_t) - 1;
	assert_int_equal(mapcache_ioreq_stats(counted.device.server, &longer.known), -EINVAL);
	longer.known.size = offsetof(struct mapcache_ioreq_stats, items);
	longer.known.items = 99;
	assert_int_equal(mapcache_ioreq_stats(counted.device.server, &longer.known), 0);
	assert_int_equal(longer.known.items, 99);
	counted_close(&counted);
}

/* ---- types that the library does not name --------------------------------------------------- */

static void types_without_a_name_reach_a_handler_that_asks_for_them(void **state)
{
	struct ioreq raw = { .type = TYPE_VMWARE_PORT,
			     .addr = 0x5658,
			     .data = UINT64_C(0x123456789abcdef0),
			     .size = 4,
			     .count = 1,
			     .dir = IOREQ_READ };
	const struct mapcache_request *seen;
	struct counted counted;

	(void)state;
	counted_open(&counted, MAPCACHE_IOREQ_ALL_TYPES, rig_record);
	counted.recorder.answer = 0xffff5678;
	seen = request(&counted, raw);
	assert_non_null(seen);
	assert_int_equal(seen->type, TYPE_VMWARE_PORT);
	assert_int_equal(seen->addr, 0x5658);
	assert_int_equal(seen->data, UINT64_C(0x123456789abcdef0));
	assert_false(seen->write);
	assert_int_equal(counted.data, 0xffff5678);
	/* As it is, in one piece. */
	raw.size = 0;
	raw.count = 1000;
	raw.dir = IOREQ_WRITE;
	raw.type = 0xfe;
	seen = request(&counted, raw);
	assert_non_null(seen);
	assert_int_equal(seen->count, 1000);
	assert_int_equal(seen->size, 0);
	raw.dir = IOREQ_READ;
	assert_non_null(request(&counted, raw));
	assert_int_equal(counted.data, 0xffff5678);
	/* What it names is checked all the same. */
	raw.type = IOREQ_TYPE_COPY;
	assert_null(request(&counted, raw));
	assert_int_equal(stats(&counted).items, 3);
	counted_close(&counted);
}

static void others_are_refused_for_a_handler_that_does_not(void **state)
{
	struct ioreq raw = { .type = TYPE_VMWARE_PORT, .size = 4, .count = 1, .dir = IOREQ_READ };
	struct counted counted;

	(void)state;
	counted_open(&counted, 0, rig_record);
	assert_null(request(&counted, raw));
	assert_int_equal(counted.data, UINT64_MAX);
	assert_int_equal(stats(&counted).refused, 1);
	counted_close(&counted);
}

static void the_servers_name_is_known(void **state)
{
	struct mapcache_ioreq *second;
	struct counted counted;

	(void)state;
	counted_open(&counted, 0, rig_record);
	second = rig_server_open(&counted.bed.rig);
	assert_true(mapcache_ioreq_id(second) >= 0);
	assert_int_not_equal(mapcache_ioreq_id(second), mapcache_ioreq_id(counted.device.server));
	assert_int_equal(mapcache_ioreq_id(NULL), -EINVAL);
	assert_int_equal(mapcache_ioreq_close(second), 0);
	counted_close(&counted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_counted_by_what_became_of_them),
		cmocka_unit_test(a_slow_handler_shows_and_invalidate_does_not_blame_itself),
		cmocka_unit_test(statistics_of_any_size_are_understood_or_refused),
		cmocka_unit_test(types_without_a_name_reach_a_handler_that_asks_for_them),
		cmocka_unit_test(others_are_refused_for_a_handler_that_does_not),
		cmocka_unit_test(the_servers_name_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
