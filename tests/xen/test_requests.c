/* SPDX-License-Identifier: MIT */
/* Requests of every kind, and the guest memory that string instructions name. */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <errno.h>
#include <string.h>

#define GUEST_PAGES 2048
#define SEED 77

/* Where a page ends, and where a bucket of 64 KiB does, too. */
#define PAGE_EDGE (GUEST_DATA + 0x5000u)
#define BUCKET_EDGE (GUEST_DATA + 0x10000u)

static const struct mapcache_options small_buckets = { .size = sizeof(small_buckets),
						       .bucket_shift = 16,
						       .granule_shift = 12 };

static struct emulator emulator;
static struct domain domain;

static int device_refuses(void *data, struct mapcache_client *client,
			  struct mapcache_request *request)
{
	(void)data, (void)client, (void)request;
	return -ENXIO;
}

static void start(void)
{
	struct emulator_options options = { .cache = &small_buckets };

	domain_create(&domain, 1, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, &options);
}

static uint8_t pattern_byte(uint32_t address)
{
	return (uint8_t)(pattern_word(SEED, address & ~3u) >> (address & 3) * 8);
}

static void registers_in_memory_keep_what_the_guest_writes(void)
{
	start();
	emulator_call(&emulator, 0, COMMAND_WRITE, ARGUMENTS(DEVICE_SCRATCH, 0xdeadbeef));
	CHECK_EQUAL(emulator.device.vcpu[0].scratch, 0xdeadbeef);
	emulator.device.vcpu[0].scratch = 0xcafef00d;
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_READ, ARGUMENTS(DEVICE_SCRATCH)),
		    0xcafef00d);
	emulator_finish(&emulator);
}

static void ports_keep_what_the_guest_writes(void)
{
	start();
	emulator_call(&emulator, 0, COMMAND_PORT_OUT, ARGUMENTS(PORT_SCRATCH, 0x12345678));
	CHECK_EQUAL(emulator.device.vcpu[0].scratch, 0x12345678);
	emulator.device.vcpu[0].scratch = 0x9abcdef0;
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_PORT_IN, ARGUMENTS(PORT_SCRATCH)),
		    0x9abcdef0);
	emulator_finish(&emulator);
}

static void a_request_that_nobody_serves_reads_as_all_ones(void)
{
	start();
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_READ, ARGUMENTS(GUEST_MMIO + 0x800)),
		    0xffffffff);
	emulator_finish(&emulator);
}

/* The gpa of an instruction's first item, when its items end (or with df begin) past edge. */
static uint32_t first_item(uint32_t edge, uint32_t count, uint32_t size, uint32_t backwards)
{
	return backwards ? edge + (count / 2 - 1) * size : edge - count / 2 * size;
}

/* The lowest address of them. */
static uint32_t lowest(uint32_t first, uint32_t count, uint32_t size, uint32_t backwards)
{
	return backwards ? first - (count - 1) * size : first;
}

static void fill_around(uint32_t edge)
{
	emulator_call(&emulator, 0, COMMAND_FILL, ARGUMENTS(edge - 4096, 8192, SEED));
}

static void reset_window(void)
{
	struct device_vcpu *vcpu = &emulator.device.vcpu[0];

	memset(vcpu->window, 0, sizeof(vcpu->window));
	vcpu->stream_length = 0;
	vcpu->string_requests = vcpu->backward_requests = vcpu->repeated_requests = 0;
}

static void check_string_requests(uint32_t backwards)
{
	const struct device_vcpu *vcpu = &emulator.device.vcpu[0];

	CHECK(vcpu->string_requests > 0);
	CHECK(vcpu->repeated_requests > 0);
	CHECK_EQUAL(vcpu->backward_requests, backwards ? vcpu->string_requests : 0);
}

static void check_outs(uint32_t edge, uint32_t count, uint32_t size, uint32_t backwards)
{
	uint32_t first = first_item(edge, count, size, backwards);
	uint32_t step = backwards ? -size : size;

	fill_around(edge);
	reset_window();
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_REP_OUTS,
				  ARGUMENTS(PORT_STREAM, first, count, size, backwards)),
		    0);
	CHECK_EQUAL(emulator.device.vcpu[0].stream_length, count * size);
	check_string_requests(backwards);
	for (uint32_t i = 0; i < count * size; i++)
		CHECK_EQUAL(emulator.device.vcpu[0].window[i],
			    pattern_byte(first + i / size * step + i % size));
}

static void check_ins(uint32_t edge, uint32_t count, uint32_t size, uint32_t backwards)
{
	uint32_t first = first_item(edge, count, size, backwards);
	uint32_t step = backwards ? -size : size;
	uint8_t *window = emulator.device.vcpu[0].window;

	emulator_call(&emulator, 0, COMMAND_FILL, ARGUMENTS(edge - 4096, 8192, ~SEED));
	reset_window();
	for (uint32_t i = 0; i < count * size; i++)
		window[i] = pattern_byte(first + i / size * step + i % size);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_REP_INS,
				  ARGUMENTS(PORT_STREAM, first, count, size, backwards)),
		    0);
	check_string_requests(backwards);
	/* The guest finds the pattern where the items went, and only there. */
	first = lowest(first, count, size, backwards);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_VERIFY,
				  ARGUMENTS(first, count * size, SEED)),
		    0);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_VERIFY,
				  ARGUMENTS(edge - 4096, first - (edge - 4096), ~SEED)),
		    0);
	first += count * size;
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_VERIFY,
				  ARGUMENTS(first, edge + 4096 - first, ~SEED)),
		    0);
}

static void check_movs(uint32_t edge, uint32_t count, uint32_t size, uint32_t backwards)
{
	uint32_t first = first_item(edge, count, size, backwards);
	uint32_t low = lowest(first, count, size, backwards);
	uint32_t device = DEVICE_WINDOW + 0x400 + (first - low);
	uint8_t *window = emulator.device.vcpu[0].window;

	fill_around(edge);
	reset_window();
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_REP_MOVS,
				  ARGUMENTS(device, first, count, size, backwards)),
		    0);
	check_string_requests(backwards);
	for (uint32_t i = 0; i < count * size; i++)
		CHECK_EQUAL(window[0x400 + i], pattern_byte(low + i));
	emulator_call(&emulator, 0, COMMAND_FILL, ARGUMENTS(edge - 4096, 8192, ~SEED));
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_REP_MOVS,
				  ARGUMENTS(first, device, count, size, backwards)),
		    0);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_VERIFY, ARGUMENTS(low, count * size, SEED)),
		    0);
	CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_VERIFY,
				  ARGUMENTS(edge - 4096, low - (edge - 4096), ~SEED)),
		    0);
}

static uint32_t stored(uint32_t offset)
{
	uint32_t word;

	memcpy(&word, emulator.device.vcpu[0].window + offset, sizeof(word));
	return word;
}

/* To a register: Xen makes one request of it up to the end of the page, and no pointer. */
static void rep_stos_stores_each_item_in_device_memory(void)
{
	const uint32_t value = 0x11223344, count = 24, first = 0x1000 - 16 * 4;

	start();
	for (uint32_t backwards = 0; backwards < 2; backwards++) {
		uint32_t to = DEVICE_WINDOW + (backwards ? first + (count - 1) * 4 : first);

		reset_window();
		CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_REP_STOS,
					  ARGUMENTS(to, count, 4, value, backwards)),
			    0);
		CHECK_EQUAL(stored(first - 4), 0);
		for (uint32_t i = 0; i < count; i++)
			CHECK_EQUAL(stored(first + 4 * i), value);
		CHECK_EQUAL(stored(first + 4 * count), 0);
	}
	for (uint32_t size = 1; size <= 2; size++) {
		reset_window();
		CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_REP_STOS,
					  ARGUMENTS(DEVICE_WINDOW + 4, 4 / size, size, value)),
			    0);
		CHECK_EQUAL(stored(4), size == 1 ? 0x44444444 : 0x33443344);
		CHECK_EQUAL(stored(8), 0);
	}
	emulator_finish(&emulator);
}

static void xen_says_how_many_vcpus_there_are(void)
{
	struct mapcache_ioreq_options options = { .size = sizeof(options),
						  .handler = device_refuses };
	struct mapcache_ioreq *server;

	domain_create(&domain, 2, GUEST_PAGES, 0);
	emulator_open(&emulator, &domain, NULL);
	options.domid = domain.id;
	CHECK_EQUAL(mapcache_ioreq_open(emulator.cache, &options, &server), 0);
	CHECK_EQUAL(mapcache_ioreq_vcpus(server), 2);
	CHECK_EQUAL(mapcache_ioreq_enable(server, true), 0);
	CHECK(mapcache_ioreq_vcpu_port(server, 1) > 0);
	CHECK_EQUAL(mapcache_ioreq_vcpu_port(server, 2), -ENOENT);
	CHECK(mapcache_ioreq_id(server) != mapcache_ioreq_id(emulator.server));
	CHECK_EQUAL(mapcache_ioreq_close(server), 0);
	/* More than one page of slots: not yet. */
	options.vcpus = 129;
	CHECK(mapcache_ioreq_open(emulator.cache, &options, &server) < 0);
	emulator_finish(&emulator);
}

/* ---- answered later --------------------------------------------------------------------------- */

static struct mapcache_request kept;

/* A read of the scratch register takes until somebody completes it. */
static int keep(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	(void)data, (void)client;
	if (request->write || request->type != MAPCACHE_IOREQ_MEMORY ||
	    request->addr != DEVICE_SCRATCH)
		return -ENXIO;
	kept = *request;
	CHECK_EQUAL(mapcache_ioreq_defer(emulator.server, request), 0);
	return 0;
}

static void a_deferred_request_does_not_hold_up_invalidate_of_another_vcpu(void)
{
	struct emulator_options options = { .cache = &small_buckets, .handler = keep };
	uint64_t epoch;

	domain_create(&domain, 2, GUEST_PAGES, 0);
	emulator_start(&emulator, &domain, &options);
	emulator_post(&emulator, 0, COMMAND_READ, ARGUMENTS(DEVICE_SCRATCH));
	while (!kept.id)
		emulator_serve(&emulator, 5);
	/* One thread serves both: it is not inside the handler. */
	epoch = mapcache_epoch(emulator.cache);
	CHECK_EQUAL(emulator_call(&emulator, 1, COMMAND_DECREASE,
				  ARGUMENTS(GUEST_DATA / GUEST_PAGE_SIZE + 8, 4)),
		    4);
	CHECK(mapcache_epoch(emulator.cache) > epoch);
	CHECK(!emulator.vcpu[0].finished);
	kept.data = 0xfeedf00d;
	emulator_complete(&emulator, &kept);
	CHECK_EQUAL(emulator_wait(&emulator, 0), 0xfeedf00d);
	emulator_finish(&emulator);
}

static void for_all_shapes(void (*check)(uint32_t, uint32_t, uint32_t, uint32_t))
{
	static const uint32_t edges[] = { PAGE_EDGE, BUCKET_EDGE };

	start();
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t size = 1; size <= 4; size *= 2)
			for (uint32_t backwards = 0; backwards < 2; backwards++)
				check(edges[i], 32 / size, size, backwards);
	emulator_finish(&emulator);
}

static void rep_outs_reads_memory_across_pages_and_buckets(void)
{
	for_all_shapes(check_outs);
}

static void rep_ins_writes_memory_across_pages_and_buckets(void)
{
	for_all_shapes(check_ins);
}

static void rep_movs_goes_both_ways_across_pages_and_buckets(void)
{
	for_all_shapes(check_movs);
}

/* Every way to reach memory, at odd places and lengths. */
static void transfers_across_pages_and_buckets_are_whole(void)
{
	static const struct {
		uint32_t address, length;
	} places[] = {
		{ GUEST_DATA, 4 },
		{ PAGE_EDGE - 4, 8 },
		{ BUCKET_EDGE - 8, 16 },
		{ BUCKET_EDGE - 0x1004, 0x3008 },
		{ BUCKET_EDGE - 0x10004, 0x20008 },
	};

	start();
	for (uint32_t way = 0; way < DMA_WAYS; way++) {
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			uint32_t address = places[i].address, length = places[i].length;

			emulator_call(&emulator, 0, COMMAND_FILL,
				      ARGUMENTS(address, length, SEED + way));
			CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DMA,
						  ARGUMENTS(DMA_VERIFY, way, address, length,
							    SEED + way)),
				    0);
			CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_DMA,
						  ARGUMENTS(DMA_FILL, way, address, length,
							    SEED - 1 - way)),
				    0);
			CHECK_EQUAL(emulator_call(&emulator, 0, COMMAND_VERIFY,
						  ARGUMENTS(address, length, SEED - 1 - way)),
				    0);
		}
	}
	emulator_finish(&emulator);
}

#define NO_STRINGS "Arm has no string instructions"

const struct test requests_tests[] = {
	TEST(registers_in_memory_keep_what_the_guest_writes),
	TEST(ports_keep_what_the_guest_writes),
	TEST(a_request_that_nobody_serves_reads_as_all_ones),
	TEST_X86(rep_outs_reads_memory_across_pages_and_buckets, NO_STRINGS),
	TEST_X86(rep_ins_writes_memory_across_pages_and_buckets, NO_STRINGS),
	TEST_X86(rep_movs_goes_both_ways_across_pages_and_buckets, NO_STRINGS),
	TEST_X86(rep_stos_stores_each_item_in_device_memory, NO_STRINGS),
	TEST(xen_says_how_many_vcpus_there_are),
	TEST(a_deferred_request_does_not_hold_up_invalidate_of_another_vcpu),
	TEST(transfers_across_pages_and_buckets_are_whole),
};
const size_t requests_tests_count = sizeof(requests_tests) / sizeof(requests_tests[0]);
