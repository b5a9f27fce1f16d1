/* SPDX-License-Identifier: MIT */
/* What instructions become: MMIO, ports, PCI configuration, string I/O, interrupts. */
#include <errno.h>

#include "test_xensim.h"

#define PORT 0x600u

struct io {
	uint64_t addr, value, ram;
	uint32_t size, count;
	int type;
	bool write, backwards;
};

static int run_mmio(struct xensim_vcpu *vcpu, void *argument)
{
	struct io *io = argument;

	return io->write ? xensim_mmio_write(vcpu, io->addr, io->size, io->value)
			 : xensim_mmio_read(vcpu, io->addr, io->size, &io->value);
}

static int run_port(struct xensim_vcpu *vcpu, void *argument)
{
	struct io *io = argument;

	return io->write ? xensim_port_write(vcpu, (uint16_t)io->addr, io->size, io->value)
			 : xensim_port_read(vcpu, (uint16_t)io->addr, io->size, &io->value);
}

static int run_rep(struct xensim_vcpu *vcpu, void *argument)
{
	struct io *io = argument;

	return xensim_rep(vcpu, io->type, io->addr, io->ram, io->size, io->count, io->write,
			  io->backwards);
}

static void open_with_ranges(struct model *model)
{
	model_open(model);
	assert_int_equal(xendevicemodel_map_io_range_to_ioreq_server(
				 model->dmod, (domid_t)guest_id, model->id, 1, MMIO, MMIO + 0xfff),
			 0);
	assert_int_equal(xendevicemodel_map_io_range_to_ioreq_server(model->dmod, (domid_t)guest_id,
								     model->id, 0, PORT, PORT + 7),
			 0);
}

static void expect(struct model *model, struct ioreq *request, uint64_t answer)
{
	assert_int_equal(model_take(model, 20000, request), 0);
	model_answer(model, 0, answer);
}

/* One instruction of vCPU 0, of whose value nobody cares, becomes so many requests. */
static void run_with_requests(int (*run)(struct xensim_vcpu *, void *), struct io *io,
			      struct ioreq *requests, unsigned int count)
{
	struct call call = { .run = run, .argument = io };
	struct model model;

	open_with_ranges(&model);
	call_start(&call, 0);
	for (unsigned int i = 0; i < count; i++)
		expect(&model, &requests[i], 0);
	assert_int_equal(call_finish(&call), 0);
	model_close(&model);
}

static void an_mmio_write_carries_its_data(void **state)
{
	struct io io = { .addr = MMIO + 8, .size = 4, .write = true, .value = 0xdeadbeef };
	struct ioreq request;

	(void)state;
	run_with_requests(run_mmio, &io, &request, 1);
	assert_int_equal(request.type, IOREQ_TYPE_COPY);
	assert_int_equal(request.dir, IOREQ_WRITE);
	assert_int_equal(request.addr, MMIO + 8);
	assert_int_equal(request.data, 0xdeadbeef);
	assert_int_equal(request.size, 4);
	assert_int_equal(request.count, 1);
	assert_int_equal(request.data_is_ptr, 0);
}

static void a_read_shows_left_over_bytes(void **state)
{
	struct io io = { .addr = MMIO, .size = 2 };
	struct call call = { .run = run_mmio, .argument = &io };
	struct ioreq request;
	struct model model;

	(void)state;
	open_with_ranges(&model);
	call_start(&call, 0);
	expect(&model, &request, 0x1122334455667788);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(io.value, 0x7788);
	call_start(&call, 0);
	expect(&model, &request, 0);
	assert_int_equal(request.dir, IOREQ_READ);
	assert_true(request.data == 0x1122334455667788);
	call_finish(&call);
	model_close(&model);
}

static void nobody_s_addresses_read_all_ones(void **state)
{
	struct io io = { .addr = MMIO + 0x1000, .size = 4 };
	struct io port = { .addr = PORT + 6, .size = 4 }; /* reaches over the end of a range */
	struct call call = { .run = run_mmio, .argument = &io };
	struct model model;

	(void)state;
	open_with_ranges(&model);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(io.value, 0xffffffff);
	call = (struct call){ .run = run_port, .argument = &port };
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(port.value, 0xffffffff);
	model_close(&model);
}

static void a_disabled_server_is_not_asked(void **state)
{
	struct io io = { .addr = MMIO, .size = 8 };
	struct call call = { .run = run_mmio, .argument = &io };
	struct model model;

	(void)state;
	open_with_ranges(&model);
	xendevicemodel_set_ioreq_server_state(model.dmod, (domid_t)guest_id, model.id, 0);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_true(io.value == ~UINT64_C(0));
	model_close(&model);
}

static void ranges_do_not_overlap_and_can_be_cut(void **state)
{
	struct io io = { .addr = MMIO + 0x100, .size = 4, .value = 0 };
	struct call call = { .run = run_mmio, .argument = &io };
	struct model model;
	domid_t id = (domid_t)guest_id;

	(void)state;
	open_with_ranges(&model);
	assert_int_equal(xendevicemodel_map_io_range_to_ioreq_server(model.dmod, id, model.id, 1,
								     MMIO + 0xfff, MMIO + 0x1fff),
			 -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(xendevicemodel_unmap_io_range_from_ioreq_server(
				 model.dmod, id, model.id, 1, MMIO + 0x100, MMIO + 0x1ff),
			 0);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(io.value, 0xffffffff);
	io.addr = MMIO + 0x200;
	call_start(&call, 0);
	model_serve(&model, IOREQ_TYPE_COPY, 7);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(io.value, 7);
	assert_int_equal(xendevicemodel_unmap_io_range_from_ioreq_server(model.dmod, id, model.id,
									 1, MMIO, MMIO + 0xfff),
			 -1);
	assert_int_equal(errno, ENOENT);
	model_close(&model);
}

static void pci_configuration_goes_to_the_owner_of_the_device(void **state)
{
	struct io select = { .addr = 0xcf8, .size = 4, .write = true, .value = 0x80001844 };
	struct io read = { .addr = 0xcfe, .size = 2 };
	struct call call = { .run = run_port, .argument = &select };
	struct ioreq request;
	struct model model;

	(void)state;
	open_with_ranges(&model);
	assert_int_equal(xendevicemodel_map_pcidev_to_ioreq_server(model.dmod, (domid_t)guest_id,
								   model.id, 0, 0, 3, 0),
			 0);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	call.argument = &read;
	call_start(&call, 0);
	expect(&model, &request, 0x1234);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(read.value, 0x1234);
	assert_int_equal(request.type, IOREQ_TYPE_PCI_CONFIG);
	assert_true(request.addr == (UINT64_C(0x18) << 32 | 0x46));
	model_close(&model);
}

static void rep_outs_is_split_at_the_page(void **state)
{
	struct io io = { .type = IOREQ_TYPE_PIO,
			 .addr = PORT,
			 .ram = 2 * XENSIM_PAGE - 8,
			 .size = 4,
			 .count = 4,
			 .write = true };
	struct ioreq request[2];

	(void)state;
	run_with_requests(run_rep, &io, request, 2);
	assert_int_equal(request[0].data_is_ptr, 1);
	assert_int_equal(request[0].count, 2);
	assert_int_equal(request[0].data, 2 * XENSIM_PAGE - 8);
	assert_int_equal(request[1].count, 2);
	assert_int_equal(request[1].data, 2 * XENSIM_PAGE);
	assert_int_equal(request[1].addr, PORT);
}

static void rep_movs_from_a_device_is_one_request(void **state)
{
	struct io io = {
		.type = IOREQ_TYPE_COPY, .addr = MMIO + 0x10, .ram = 0x3000, .size = 4, .count = 4
	};
	struct ioreq request;

	(void)state;
	run_with_requests(run_rep, &io, &request, 1);
	assert_int_equal(request.dir, IOREQ_READ);
	assert_int_equal(request.count, 4);
	assert_int_equal(request.data, 0x3000);
	assert_int_equal(request.addr, MMIO + 0x10);
}

static void backwards_pieces_fall_in_both_addresses(void **state)
{
	struct io io = { .type = IOREQ_TYPE_COPY,
			 .addr = MMIO + 0x10,
			 .ram = 0x3004,
			 .size = 4,
			 .count = 4,
			 .backwards = true,
			 .write = true };
	struct ioreq request[3];

	(void)state;
	run_with_requests(run_rep, &io, request, 3);
	assert_int_equal(request[0].df, 1);
	assert_int_equal(request[0].count, 1);
	assert_int_equal(request[0].data, 0x3004);
	/* What begins a page goes alone. */
	assert_int_equal(request[1].count, 1);
	assert_int_equal(request[1].data, 0x3000);
	assert_int_equal(request[2].count, 2);
	assert_int_equal(request[2].data, 0x2ffc);
	assert_int_equal(request[2].addr, MMIO + 8);
}

static void an_item_across_pages_is_a_request_of_its_own(void **state)
{
	struct io io = { .type = IOREQ_TYPE_PIO,
			 .addr = PORT,
			 .ram = 0x2ffe,
			 .size = 4,
			 .count = 3,
			 .write = true };
	struct ioreq request[2];

	(void)state;
	run_with_requests(run_rep, &io, request, 2);
	assert_int_equal(request[0].data_is_ptr, 1);
	assert_int_equal(request[0].count, 1);
	assert_int_equal(request[0].data, 0x2ffe);
	assert_int_equal(request[1].count, 2);
	assert_int_equal(request[1].data, 0x3002);
}

struct raw {
	uint16_t server;
	struct ioreq request;
	uint64_t data;
};

static int run_raw(struct xensim_vcpu *vcpu, void *argument)
{
	struct raw *raw = argument;

	return xensim_raw_request(vcpu, raw->server, &raw->request, &raw->data);
}

static void a_raw_request_arrives_as_it_is(void **state)
{
	struct raw raw = { .request = { .addr = ~UINT64_C(0),
					.data = 1,
					.count = 0xffffffff,
					.size = 3,
					.data_is_ptr = 1,
					.df = 1,
					.dir = 1,
					.type = 77 } };
	struct call call = { .run = run_raw, .argument = &raw };
	struct ioreq request;
	struct model model;

	(void)state;
	open_with_ranges(&model);
	raw.server = model.id;
	call_start(&call, 0);
	expect(&model, &request, 42);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(raw.data, 42);
	assert_int_equal(request.count, 0xffffffff);
	assert_int_equal(request.size, 3);
	assert_int_equal(request.type, 77);
	assert_int_equal(request.df, 1);
	raw.server = 7;
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_true(raw.data == ~UINT64_C(0));
	model_close(&model);
}

static int run_stos(struct xensim_vcpu *vcpu, void *argument)
{
	struct io *io = argument;

	return xensim_rep_stos(vcpu, io->addr, io->size, io->count, io->value, io->backwards);
}

static void rep_stos_is_one_request_a_page_without_a_pointer(void **state)
{
	struct io io = { .addr = MMIO + 0xff8, .size = 4, .count = 6, .value = 0x1234567890 };
	struct ioreq requests[2];
	struct model model;
	struct call call = { .run = run_stos, .argument = &io };

	(void)state;
	model_open(&model);
	assert_int_equal(xendevicemodel_map_io_range_to_ioreq_server(
				 model.dmod, (domid_t)guest_id, model.id, 1, MMIO, MMIO + 0x1fff),
			 0);
	call_start(&call, 0);
	expect(&model, &requests[0], 0);
	expect(&model, &requests[1], 0);
	assert_int_equal(call_finish(&call), 0);
	model_close(&model);
	assert_int_equal(requests[0].type, IOREQ_TYPE_COPY);
	assert_int_equal(requests[0].dir, IOREQ_WRITE);
	assert_int_equal(requests[0].data_is_ptr, 0);
	assert_int_equal(requests[0].count, 2);
	assert_int_equal(requests[0].data, 0x34567890);
	assert_int_equal(requests[1].count, 4);
	assert_int_equal(requests[1].addr, MMIO + 0x1000);
}

static void rep_stos_to_memory_asks_nobody(void **state)
{
	struct io io = { .addr = 17 * XENSIM_PAGE - 2, .size = 4, .count = 2, .value = 0x11223344 };
	struct call call = { .run = run_stos, .argument = &io };
	uint32_t words[2];

	(void)state;
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(xensim_guest_read(guest, io.addr, words, 8), 0);
	assert_int_equal(words[0], 0x11223344);
	assert_int_equal(words[1], 0x11223344);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest io_tests[] = {
	TEST(an_mmio_write_carries_its_data),
	TEST(a_read_shows_left_over_bytes),
	TEST(nobody_s_addresses_read_all_ones),
	TEST(a_disabled_server_is_not_asked),
	TEST(ranges_do_not_overlap_and_can_be_cut),
	TEST(pci_configuration_goes_to_the_owner_of_the_device),
	TEST(rep_outs_is_split_at_the_page),
	TEST(rep_movs_from_a_device_is_one_request),
	TEST(backwards_pieces_fall_in_both_addresses),
	TEST(an_item_across_pages_is_a_request_of_its_own),
	TEST(rep_stos_is_one_request_a_page_without_a_pointer),
	TEST(rep_stos_to_memory_asks_nobody),
	TEST(a_raw_request_arrives_as_it_is),
};
const size_t io_count = sizeof(io_tests) / sizeof(io_tests[0]);
