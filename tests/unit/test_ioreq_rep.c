/* SPDX-License-Identifier: MIT */
/*
 * rep ins, rep outs and rep movs from the instruction to the device's buffer and back: a
 * device with a memory of its own, as a frame buffer or a disk's data port has.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <tests/support/rig.h>

#define REGISTERS 0x1000u
#define CHUNK 7u

/* Its memory: at RIG_MMIO by address, at RIG_PORT one item after the other. */
struct memory_device {
	uint8_t bytes[REGISTERS];
	uint64_t next;
	uint64_t requests, values;
};

static uint8_t *device_byte(struct memory_device *memory, const struct mapcache_request *request,
			    uint32_t item)
{
	uint64_t distance = (uint64_t)item * request->size, offset;

	if (request->type == MAPCACHE_IOREQ_PORT)
		offset = memory->next + distance;
	else
		offset =
			(request->backwards ? request->addr - distance : request->addr + distance) -
			RIG_MMIO;
	return &memory->bytes[offset % REGISTERS];
}

/* In chunks, so that first and count are used, too. */
static int serve_chunk(struct memory_device *memory, struct mapcache_client *client,
		       struct mapcache_request *request, uint32_t first, uint32_t count)
{
	uint8_t buffer[CHUNK * 8];
	int64_t moved;

	for (uint32_t i = 0; !request->write && i < count; i++)
		memcpy(buffer + i * request->size, device_byte(memory, request, first + i),
		       request->size);
	moved = mapcache_ioreq_copy(client, request, first, count, buffer);
	for (uint32_t i = 0; request->write && i < moved; i++)
		memcpy(device_byte(memory, request, first + i), buffer + i * request->size,
		       request->size);
	return moved == count ? 0 : -EFAULT;
}

/* An item across two pages of RAM is fetched or stored by Xen. */
static void serve_value(struct memory_device *memory, struct mapcache_request *request)
{
	uint8_t *place = device_byte(memory, request, 0);

	if (request->write)
		memcpy(place, &request->data, request->size);
	else
		memcpy(&request->data, place, request->size);
	memory->values++;
}

static int serve(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct memory_device *memory = data;
	int error = 0;

	memory->requests++;
	if (!request->data_is_ptr)
		serve_value(memory, request);
	for (uint32_t first = 0; request->data_is_ptr && !error && first < request->count;
	     first += CHUNK)
		error = serve_chunk(memory, client, request, first,
				    request->count - first < CHUNK ? request->count - first
								   : CHUNK);
	if (request->type == MAPCACHE_IOREQ_PORT)
		memory->next += (uint64_t)request->count * request->size;
	return error;
}

struct rep {
	int type;
	uint64_t addr, ram;
	uint32_t size, count;
	bool write, backwards;
	int error;
};

static void rep_program(struct xensim_vcpu *vcpu, void *data)
{
	struct rep *rep = data;

	rep->error = xensim_rep(vcpu, rep->type, rep->addr, rep->ram, rep->size, rep->count,
				rep->write, rep->backwards);
}

static void fill(uint8_t *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((i + seed) * 2654435761u >> 13);
}

/* Move items, then compare both sides item by item. */
static void move_and_check(struct rig *rig, struct memory_device *memory, struct rep rep)
{
	uint8_t ram[4 * 4096];
	struct mapcache_request whole = { .type = (uint8_t)rep.type,
					  .addr = rep.addr,
					  .size = rep.size,
					  .backwards = rep.backwards };

	fill(ram, sizeof(ram), 1);
	fill(memory->bytes, sizeof(memory->bytes), 2);
	memory->next = 0;
	assert_int_equal(xensim_guest_write(rig->domain, 0x4000, ram, sizeof(ram)), 0);
	rig_run(rig, 0, rep_program, &rep);
	assert_int_equal(rep.error, 0);
	memory->next = 0;
	assert_int_equal(xensim_guest_read(rig->domain, 0x4000, ram, sizeof(ram)), 0);
	for (uint32_t i = 0; i < rep.count; i++) {
		uint64_t gpa = rep.backwards ? rep.ram - (uint64_t)i * rep.size
					     : rep.ram + (uint64_t)i * rep.size;

		assert_memory_equal(ram + (gpa - 0x4000), device_byte(memory, &whole, i), rep.size);
	}
}

static void rep_instructions_move_data_both_ways_and_in_both_directions(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 4, 8 };
	struct memory_device memory = { .next = 0 };
	struct rig_device device;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = serve, .handler_data = &memory });
	rig_device_serve(&device);
	for (unsigned int i = 0; i < 4 * 2 * 2 * 2; i++) {
		struct rep rep = { .size = sizes[i % 4],
				   .write = i / 4 % 2,
				   .backwards = i / 8 % 2,
				   .type = i / 16 % 2 };

		if (rep.type == MAPCACHE_IOREQ_PORT && rep.size == 8)
			continue;
		rep.count = 300;
		/* Across a page boundary in RAM, and once with an item across it. */
		rep.ram = 0x4000 + 0x2000 + (rep.backwards ? 64 : -64) + (i & 1);
		rep.addr = rep.type == MAPCACHE_IOREQ_PORT ? RIG_PORT
			   : rep.backwards                 ? RIG_MMIO + 0xfe0
							   : RIG_MMIO + 0x20;
		move_and_check(&rig, &memory, rep);
	}
	assert_true(memory.requests > 28);
	rig_device_close(&device);
	rig_stop(&rig);
}

static void stos_program(struct xensim_vcpu *vcpu, void *data)
{
	struct rep *rep = data;

	rep->error = xensim_rep_stos(vcpu, rep->addr, rep->size, rep->count,
				     UINT64_C(0x8877665544332211), rep->backwards);
}

static void rep_stos_stores_each_item(void **state)
{
	static const uint8_t value[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	struct memory_device memory = { .next = 0 };
	struct rig_device device;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = serve, .handler_data = &memory });
	rig_device_serve(&device);
	for (unsigned int i = 0; i < 8; i++) {
		uint32_t size = 1u << i % 4, count = 100;
		struct rep rep = { .size = size, .count = count, .backwards = i / 4 };
		uint64_t low = RIG_MMIO + 0x1000 - size * count, first = 0x1000 - size * count;

		rep.addr = rep.backwards ? RIG_MMIO + 0x1000 - size : low;
		memset(memory.bytes, 0xee, sizeof(memory.bytes));
		memory.values = 0;
		rig_run(&rig, 0, stos_program, &rep);
		assert_int_equal(rep.error, 0);
		assert_int_equal(memory.values, count);
		for (uint64_t at = 0; at < REGISTERS; at++)
			assert_int_equal(memory.bytes[at],
					 at < first ? 0xee : value[(at - first) % size]);
	}
	rig_device_close(&device);
	rig_stop(&rig);
}

static void a_rep_into_a_hole_is_answered(void **state)
{
	struct rep rep = { .type = MAPCACHE_IOREQ_MEMORY,
			   .addr = RIG_MMIO,
			   .ram = 0x800000,
			   .size = 4,
			   .count = 16,
			   .write = true };
	struct memory_device memory = { .next = 0 };
	struct rig_device device;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig,
			&(struct rig_device_options){ .handler = serve, .handler_data = &memory });
	rig_device_serve(&device);
	rig_run(&rig, 0, rep_program, &rep);
	assert_int_equal(memory.requests, 1);
	assert_int_equal(memory.bytes[0], 0);
	rig_device_close(&device);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rep_instructions_move_data_both_ways_and_in_both_directions),
		cmocka_unit_test(rep_stos_stores_each_item),
		cmocka_unit_test(a_rep_into_a_hole_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
