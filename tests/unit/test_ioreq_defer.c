/* SPDX-License-Identifier: MIT */
/* Requests that are answered later, and what goes on meanwhile. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <xen/hvm/ioreq.h>

#include <tests/support/bed.h>
#include <tests/support/flag.h>
#include <tests/support/peer.h>

/* A device whose handler defers everything; somebody else completes it. */
struct desk {
	struct bed bed;
	struct rig_device device;
	struct mapcache_request kept;
	struct flag came;
	uint64_t handed; /* calls of the handler */
	int from_inside; /* completions while the handler has not returned: what they return */
	bool inside;
};

static int keep(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct desk *desk = data;

	desk->handed++;
	desk->kept = *request;
	if (mapcache_ioreq_defer(desk->device.server, request))
		return -EIO;
	if (desk->inside) {
		desk->kept.data = 0x1000 + desk->handed;
		desk->from_inside +=
			mapcache_ioreq_complete(desk->device.server, client, &desk->kept, 0);
	}
	flag_set(&desk->came);
	/* Does not count. */
	request->data = 0xbad;
	return -EPERM;
}

static void desk_open(struct desk *desk, uint32_t vcpus)
{
	memset(desk, 0, sizeof(*desk));
	bed_start(&desk->bed, &(struct rig_options){ .vcpus = vcpus });
	rig_device_open(&desk->device, &desk->bed.rig,
			&(struct rig_device_options){ .handler = keep, .handler_data = desk });
	rig_device_serve(&desk->device);
}

static void desk_close(struct desk *desk)
{
	rig_device_close(&desk->device);
	bed_stop(&desk->bed);
}

/* What was kept last is answered, and its vCPU told. */
static int complete(struct desk *desk, uint64_t data, int error)
{
	struct mapcache_request request = desk->kept;
	int answered;

	desk->came.value = 0;
	request.data = data;
	answered = mapcache_ioreq_complete(desk->device.server, desk->bed.client, &request, error);
	if (answered == 1)
		rig_device_notify(&desk->device, request.vcpu);
	return answered;
}

struct reading {
	uint64_t value;
	int error;
};

static void read_register(struct xensim_vcpu *vcpu, void *data)
{
	struct reading *reading = data;

	reading->error = xensim_mmio_read(vcpu, RIG_MMIO + 4, 4, &reading->value);
}

static void balloon(struct xensim_vcpu *vcpu, void *data)
{
	uint64_t gfn = 300;

	(void)data;
	(void)xensim_decrease_reservation(vcpu, &gfn, 1, 0);
	(void)xensim_populate_physmap(vcpu, &gfn, 1, 0);
}

static void invalidate_of_other_vcpus_is_answered_while_a_request_is_deferred(void **state)
{
	struct reading reading = { 0 };
	struct desk desk;
	uint64_t epoch;

	(void)state;
	desk_open(&desk, 2);
	assert_int_equal(xensim_vcpu_start(desk.bed.domain, 0, read_register, &reading), 0);
	flag_wait(&desk.came);
	epoch = mapcache_epoch(desk.bed.cache);
	/* One thread serves both: it has come back from the handler. */
	rig_run(&desk.bed.rig, 1, balloon, NULL);
	assert_true(mapcache_epoch(desk.bed.cache) > epoch);
	assert_int_equal(complete(&desk, 0xffff0000deadbeef, 0), 1);
	assert_int_equal(xensim_vcpu_join(desk.bed.domain, 0), 0);
	assert_int_equal(reading.error, 0);
	assert_int_equal(reading.value, 0xdeadbeef);
	desk_close(&desk);
}

static void a_deferred_request_that_fails_reads_as_all_ones(void **state)
{
	struct reading reading = { 0 };
	struct desk desk;

	(void)state;
	desk_open(&desk, 1);
	assert_int_equal(xensim_vcpu_start(desk.bed.domain, 0, read_register, &reading), 0);
	flag_wait(&desk.came);
	assert_int_equal(complete(&desk, 7, -EIO), 1);
	assert_int_equal(xensim_vcpu_join(desk.bed.domain, 0), 0);
	assert_int_equal(reading.value, 0xffffffff);
	desk_close(&desk);
}

static void whoever_is_faster_than_the_handlers_return_leaves_the_answer_to_it(void **state)
{
	struct reading reading = { 0 };
	struct desk desk;

	(void)state;
	desk_open(&desk, 1);
	desk.inside = true;
	rig_run(&desk.bed.rig, 0, read_register, &reading);
	assert_int_equal(desk.from_inside, 0);
	assert_int_equal(reading.value, 0x1001);
	desk_close(&desk);
}

static void every_request_is_completed_once(void **state)
{
	struct reading reading = { 0 };
	struct mapcache_request stranger;
	struct mapcache_client *client;
	struct desk desk;

	(void)state;
	desk_open(&desk, 2);
	client = desk.bed.client;
	memset(&stranger, 0, sizeof(stranger));
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, &stranger, 0),
			 -ENOENT);
	assert_int_equal(xensim_vcpu_start(desk.bed.domain, 0, read_register, &reading), 0);
	flag_wait(&desk.came);
	stranger = desk.kept;
	stranger.id++;
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, &stranger, 0),
			 -ENOENT);
	stranger.id -= 2;
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, &stranger, 0),
			 -ENOENT);
	stranger = desk.kept;
	stranger.vcpu = 1;
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, &stranger, 0),
			 -ENOENT);
	stranger.vcpu = 128;
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, &stranger, 0),
			 -EINVAL);
	/* Not in the handler any more. */
	assert_int_equal(mapcache_ioreq_defer(desk.device.server, &desk.kept), -EINVAL);
	assert_int_equal(mapcache_ioreq_complete(NULL, client, &desk.kept, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, NULL, &desk.kept, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, NULL, 0), -EINVAL);
	assert_int_equal(mapcache_ioreq_defer(NULL, &desk.kept), -EINVAL);
	assert_int_equal(mapcache_ioreq_defer(desk.device.server, NULL), -EINVAL);
	mapcache_begin(client);
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, &desk.kept, 0),
			 -EINVAL);
	assert_int_equal(mapcache_end(client), 0);
	/* Nor is the server closed over its head. */
	assert_int_equal(mapcache_ioreq_close(desk.device.server), -EBUSY);
	stranger = desk.kept;
	assert_int_equal(complete(&desk, 5, 0), 1);
	assert_int_equal(xensim_vcpu_join(desk.bed.domain, 0), 0);
	assert_int_equal(reading.value, 5);
	assert_int_equal(mapcache_ioreq_complete(desk.device.server, client, &stranger, 0),
			 -ENOENT);
	desk_close(&desk);
}

/* ---- rep stos ------------------------------------------------------------------------------ */

struct stos {
	uint16_t id;
	uint32_t count;
	bool backwards;
	int error;
};

/* What Xen sends for it: the items up to the end of a page, one value. */
static void rep_stos(struct xensim_vcpu *vcpu, void *data)
{
	struct stos *stos = data;
	struct ioreq raw = { .addr = stos->backwards ? RIG_MMIO + 0x100 : RIG_MMIO,
			     .data = 0x11223344,
			     .count = stos->count,
			     .size = 4,
			     .type = IOREQ_TYPE_COPY,
			     .dir = IOREQ_WRITE,
			     .df = stos->backwards };
	uint64_t answer;

	stos->error = xensim_raw_request(vcpu, stos->id, &raw, &answer);
}

static void each_item_can_be_deferred(void **state)
{
	struct stos stos = { .count = 5 };
	struct desk desk;

	(void)state;
	desk_open(&desk, 1);
	stos.id = rig_device_id(&desk.device);
	assert_int_equal(xensim_vcpu_start(desk.bed.domain, 0, rep_stos, &stos), 0);
	flag_wait(&desk.came);
	for (uint64_t item = 0; item < 5; item++) {
		assert_int_equal(desk.handed, item + 1);
		assert_int_equal(desk.kept.addr, RIG_MMIO + 4 * item);
		assert_int_equal(desk.kept.data, 0x11223344);
		assert_int_equal(desk.kept.count, 1);
		/* Called for the next one here. */
		assert_int_equal(complete(&desk, 0, 0), item == 4);
	}
	assert_int_equal(xensim_vcpu_join(desk.bed.domain, 0), 0);
	assert_int_equal(stos.error, 0);
	desk_close(&desk);
}

/* No deeper for many than for one. */
static void items_that_are_completed_inside_the_handler_do_not_nest(void **state)
{
	struct stos stos = { .count = 4096 };
	struct desk desk;

	(void)state;
	desk_open(&desk, 1);
	desk.inside = true;
	stos.id = rig_device_id(&desk.device);
	rig_run(&desk.bed.rig, 0, rep_stos, &stos);
	assert_int_equal(desk.handed, 4096);
	assert_int_equal(desk.from_inside, 0);
	desk_close(&desk);
}

/* ---- races --------------------------------------------------------------------------------- */

#define RACES 3000u

/* A worker that completes as soon as it can, the handler returning or not. */
struct race {
	struct desk *desk;
	mapcache_atomic_u32 posted; /* requests handed over */
	struct mapcache_request request;
	uint64_t by_worker;
};

static int post(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct race *race = data;

	(void)client;
	if (mapcache_ioreq_defer(race->desk->device.server, request))
		return -EIO;
	race->request = *request;
	mapcache_add_release(&race->posted, 1);
	if (request->id % 3 == 0)
		sched_yield();
	return 0;
}

static int complete_all(struct peer *peer, void *data)
{
	struct race *race = data;

	for (uint32_t done = 0; done < RACES; done++) {
		struct mapcache_request request;
		int answered;

		while (mapcache_load_acquire(&race->posted) == done)
			sched_yield();
		request = race->request;
		request.data = done + 1;
		if (done % 5 == 0)
			sched_yield();
		answered = mapcache_ioreq_complete(race->desk->device.server, peer->client,
						   &request, 0);
		if (answered < 0)
			return answered;
		race->by_worker += (uint64_t)answered;
		if (answered == 1)
			rig_device_notify(&race->desk->device, 0);
	}
	return 0;
}

static void read_many(struct xensim_vcpu *vcpu, void *data)
{
	uint64_t *wrong = data, value;

	for (uint64_t i = 1; i <= RACES; i++)
		*wrong += xensim_mmio_read(vcpu, RIG_MMIO, 4, &value) != 0 || value != i;
}

static void handler_and_worker_race_and_each_request_is_answered_once(void **state)
{
	struct desk desk;
	struct race race = { .desk = &desk };
	struct peer peer;
	uint64_t wrong = 0;

	(void)state;
	memset(&desk, 0, sizeof(desk));
	bed_start(&desk.bed, NULL);
	rig_device_open(&desk.device, &desk.bed.rig,
			&(struct rig_device_options){ .handler = post, .handler_data = &race });
	rig_device_serve(&desk.device);
	peer_open(&peer, desk.bed.cache);
	peer_start(&peer, complete_all, &race);
	rig_run(&desk.bed.rig, 0, read_many, &wrong);
	assert_int_equal(peer_wait(&peer), 0);
	assert_int_equal(wrong, 0);
	print_message("%u requests, %u answered by the worker\n", RACES,
		      (unsigned int)race.by_worker);
	peer_close(&peer);
	desk_close(&desk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invalidate_of_other_vcpus_is_answered_while_a_request_is_deferred),
		cmocka_unit_test(a_deferred_request_that_fails_reads_as_all_ones),
		cmocka_unit_test(
			whoever_is_faster_than_the_handlers_return_leaves_the_answer_to_it),
		cmocka_unit_test(every_request_is_completed_once),
		cmocka_unit_test(each_item_can_be_deferred),
		cmocka_unit_test(items_that_are_completed_inside_the_handler_do_not_nest),
		cmocka_unit_test(handler_and_worker_race_and_each_request_is_answered_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
