/* SPDX-License-Identifier: MIT */
/*
 * One request through a slot: what the handler gets and what the guest gets.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <lib/ioreq/ioreq.h>
#include <tests/support/rig.h>

static const uint32_t sizes[] = { 1, 2, 4, 8 };

static uint64_t low_bytes(uint64_t value, uint32_t size)
{
	return value & (~UINT64_C(0) >> (64 - 8 * size));
}

struct fixture {
	struct rig rig;
	struct rig_device device;
	struct rig_recorder recorder;
};

static void start(struct fixture *fixture, uint32_t vcpus, rig_handler handler)
{
	struct rig_options options = { .vcpus = vcpus };

	fixture->recorder = (struct rig_recorder)RIG_RECORDER;
	rig_start(&fixture->rig, &options);
	rig_device_open(&fixture->device, &fixture->rig,
			&(struct rig_device_options){ .handler = handler,
						      .handler_data = &fixture->recorder,
						      .threads = vcpus });
	rig_device_serve(&fixture->device);
}

static void stop(struct fixture *fixture)
{
	rig_device_close(&fixture->device);
	rig_stop(&fixture->rig);
}

static const struct mapcache_request *last(const struct fixture *fixture)
{
	return &fixture->recorder.request[(fixture->recorder.count - 1) % RIG_RECORDS];
}

/* One access of the guest. */
struct access {
	bool port, write;
	uint32_t size;
	uint64_t addr, value;
	int error;
};

static void access_program(struct xensim_vcpu *vcpu, void *data)
{
	struct access *a = data;

	if (a->port)
		a->error = a->write ? xensim_port_write(vcpu, (uint16_t)a->addr, a->size, a->value)
				    : xensim_port_read(vcpu, (uint16_t)a->addr, a->size, &a->value);
	else
		a->error = a->write ? xensim_mmio_write(vcpu, a->addr, a->size, a->value)
				    : xensim_mmio_read(vcpu, a->addr, a->size, &a->value);
}

static void reads_get_the_handlers_answer(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, 1, rig_record);
	fixture.recorder.answer = UINT64_C(0x8877665544332211);
	for (unsigned int i = 0; i < 8; i++) {
		struct access a = { .port = i >= 4, .size = sizes[i % 4] };

		if (a.port && a.size == 8)
			continue;
		a.addr = a.port ? RIG_PORT + 3 : RIG_MMIO + 0x40;
		rig_run(&fixture.rig, 0, access_program, &a);
		assert_int_equal(a.error, 0);
		assert_int_equal(low_bytes(a.value, a.size),
				 low_bytes(fixture.recorder.answer, a.size));
		assert_int_equal(last(&fixture)->addr, a.addr);
		assert_int_equal(last(&fixture)->size, a.size);
		assert_int_equal(last(&fixture)->count, 1);
		assert_int_equal(last(&fixture)->vcpu, 0);
		assert_int_equal(last(&fixture)->type,
				 a.port ? MAPCACHE_IOREQ_PORT : MAPCACHE_IOREQ_MEMORY);
		assert_false(last(&fixture)->write);
		assert_false(last(&fixture)->data_is_ptr);
	}
	stop(&fixture);
}

static void writes_bring_their_value(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, 1, rig_record);
	for (unsigned int i = 0; i < 8; i++) {
		struct access a = { .port = i >= 4, .write = true, .size = sizes[i % 4] };

		if (a.port && a.size == 8)
			continue;
		a.addr = a.port ? RIG_PORT : RIG_MMIO + 0xff8;
		a.value = low_bytes(UINT64_C(0xf1e2d3c4b5a69788), a.size);
		rig_run(&fixture.rig, 0, access_program, &a);
		assert_int_equal(a.error, 0);
		assert_true(last(&fixture)->write);
		assert_int_equal(last(&fixture)->data, a.value);
		assert_int_equal(last(&fixture)->addr, a.addr);
	}
	assert_int_equal(fixture.recorder.count, 7);
	stop(&fixture);
}

static void failed_reads_give_all_ones_and_failed_writes_are_answered(void **state)
{
	struct fixture fixture;
	struct access a = { .size = 4, .addr = RIG_MMIO, .value = 5 };

	(void)state;
	start(&fixture, 1, rig_record);
	fixture.recorder.error = -EIO;
	fixture.recorder.answer = 0x55;
	rig_run(&fixture.rig, 0, access_program, &a);
	assert_int_equal(a.error, 0);
	assert_int_equal((uint32_t)a.value, UINT32_MAX);
	a.write = true;
	rig_run(&fixture.rig, 0, access_program, &a);
	assert_int_equal(a.error, 0);
	assert_int_equal(fixture.recorder.count, 2);
	stop(&fixture);
}

/* ---- requests exactly as given ----------------------------------------------------------- */

struct raw {
	struct fixture *fixture;
	struct ioreq request;
	uint64_t data;
	int error;
};

static void raw_program(struct xensim_vcpu *vcpu, void *data)
{
	struct raw *raw = data;

	raw->error = xensim_raw_request(vcpu, rig_device_id(&raw->fixture->device), &raw->request,
					&raw->data);
}

static uint64_t send_raw(struct fixture *fixture, struct ioreq request)
{
	struct raw raw = { .fixture = fixture, .request = request };

	rig_run(&fixture->rig, 0, raw_program, &raw);
	assert_int_equal(raw.error, 0);
	return raw.data;
}

static void pci_configuration_requests_are_handed_on(void **state)
{
	uint64_t address = UINT64_C(0x00010203) << 32 | 0x10;
	struct fixture fixture;

	(void)state;
	start(&fixture, 1, rig_record);
	fixture.recorder.answer = 0x10ec8139;
	assert_int_equal(send_raw(&fixture, (struct ioreq){ .type = IOREQ_TYPE_PCI_CONFIG,
							    .addr = address,
							    .size = 4,
							    .count = 1,
							    .dir = IOREQ_READ }),
			 0x10ec8139);
	assert_int_equal(last(&fixture)->type, MAPCACHE_IOREQ_PCI);
	assert_int_equal(last(&fixture)->addr, address);
	stop(&fixture);
}

static void left_over_bytes_reach_neither_side(void **state)
{
	struct ioreq request = { .type = IOREQ_TYPE_COPY,
				 .addr = RIG_MMIO,
				 .size = 2,
				 .count = 1,
				 .data = UINT64_C(0xdeadbeefcafe1234) };
	struct fixture fixture;

	(void)state;
	start(&fixture, 1, rig_record);
	request.dir = IOREQ_WRITE;
	send_raw(&fixture, request);
	assert_int_equal(last(&fixture)->data, 0x1234);
	/* rig_record() keeps what it saw, then answers. */
	fixture.recorder.answer = UINT64_C(0xffffffffffff5678);
	request.dir = IOREQ_READ;
	assert_int_equal(send_raw(&fixture, request), 0x5678);
	assert_int_equal(last(&fixture)->data, 0);
	stop(&fixture);
}

static void the_address_of_a_pointer_request_is_handed_on_and_not_written_over(void **state)
{
	struct ioreq request = { .type = IOREQ_TYPE_COPY,
				 .addr = RIG_MMIO,
				 .size = 4,
				 .count = 8,
				 .data_is_ptr = 1,
				 .df = 1,
				 .dir = IOREQ_WRITE,
				 .data = 0x2000 };
	struct fixture fixture;

	(void)state;
	start(&fixture, 1, rig_record);
	send_raw(&fixture, request);
	assert_true(last(&fixture)->data_is_ptr);
	assert_true(last(&fixture)->backwards);
	assert_true(last(&fixture)->write);
	assert_int_equal(last(&fixture)->count, 8);
	assert_int_equal(last(&fixture)->data, 0x2000);
	request.dir = IOREQ_READ;
	fixture.recorder.answer = 99;
	assert_int_equal(send_raw(&fixture, request), 0x2000);
	stop(&fixture);
}

/* ---- several vCPUs --------------------------------------------------------------------------- */

#define ROUNDS 2000u

static int echo(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	(void)data, (void)client;
	if (!request->write)
		request->data = request->addr << 8 | request->vcpu;
	return 0;
}

struct asker {
	uint64_t wrong;
};

static void asker_program(struct xensim_vcpu *vcpu, void *data)
{
	struct asker *asker = data;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint64_t address = RIG_MMIO + (i * 8 & 0xff8), value = 0;
		int error = xensim_mmio_read(vcpu, address, 8, &value);

		asker->wrong += error || value != (address << 8 | xensim_vcpu_id(vcpu));
	}
}

static void many_vcpus(uint32_t vcpus, uint32_t threads)
{
	struct rig_options options = { .vcpus = vcpus };
	struct asker askers[8] = { { 0 } };
	struct rig_device device;
	struct rig rig;

	rig_start(&rig, &options);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = echo, .threads = threads });
	rig_device_serve(&device);
	for (uint32_t i = 0; i < vcpus; i++)
		assert_int_equal(xensim_vcpu_start(rig.domain, i, asker_program, &askers[i]), 0);
	for (uint32_t i = 0; i < vcpus; i++) {
		assert_int_equal(xensim_vcpu_join(rig.domain, i), 0);
		assert_int_equal(askers[i].wrong, 0);
	}
	rig_device_close(&device);
	rig_stop(&rig);
}

static void each_vcpu_gets_its_own_answers_from_a_thread_of_its_own(void **state)
{
	(void)state;
	many_vcpus(4, 4);
}

static void each_vcpu_gets_its_own_answers_from_one_thread(void **state)
{
	(void)state;
	many_vcpus(4, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_get_the_handlers_answer),
		cmocka_unit_test(writes_bring_their_value),
		cmocka_unit_test(failed_reads_give_all_ones_and_failed_writes_are_answered),
		cmocka_unit_test(pci_configuration_requests_are_handed_on),
		cmocka_unit_test(left_over_bytes_reach_neither_side),
		cmocka_unit_test(
			the_address_of_a_pointer_request_is_handed_on_and_not_written_over),
		cmocka_unit_test(each_vcpu_gets_its_own_answers_from_a_thread_of_its_own),
		cmocka_unit_test(each_vcpu_gets_its_own_answers_from_one_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
