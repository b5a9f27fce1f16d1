/* SPDX-License-Identifier: MIT */
/* What a guest's instructions become. */
#include <stdlib.h>

#include "tests/conformance/facts.h"

#define DEVICE RIG_DEVICE(1)

static struct rig rig;

static void open_device(void)
{
	rig_open(&rig, &(struct platform_options){ 0 });
	rig_enable(&rig, rig_server(&rig, 1, HVM_IOREQSRV_BUFIOREQ_OFF), true);
	rig_run(&rig);
	rig.logged = 0;
}

/* Whose address it is, without the number. */
static void say_address(uint64_t addr)
{
	if (addr >= DEVICE && addr < DEVICE + 0x2000)
		say("device+%llx", (unsigned long long)(addr - DEVICE));
	else if (addr >= GUEST_DATA && addr < GUEST_DATA + 0x10000)
		say("ram+%llx", (unsigned long long)(addr - GUEST_DATA));
	else
		say("%llx", (unsigned long long)addr);
}

/* Every request since the last time. */
static void say_requests(void)
{
	for (unsigned int i = 0; i < rig.logged; i++) {
		const struct request *request = &rig.log[i];

		say("%stype %u %s ", i ? "; " : "", request->type, request->dir ? "in" : "out");
		say_address(request->addr);
		say(" size %u", request->size);
		if (request->count != 1 || request->data_is_ptr)
			say(" count %u", request->count);
		if (request->df)
			say(" df");
		if (request->data_is_ptr) {
			say(" at ");
			say_address(request->data);
		} else if (!request->dir) {
			say(" data %llx", (unsigned long long)request->data);
		}
	}
	if (!rig.logged)
		say("none");
	rig.logged = 0;
}

void look_store(void)
{
	open_device();
	for (uint32_t size = 1; size <= 4; size *= 2)
		rig_call(&rig, 0, COMMAND_ACCESS, DEVICE + 8 * size, size, 1, 0x81828384);
	say_requests();
	rig_close(&rig);
}

void look_load(void)
{
	uint32_t value[3];

	open_device();
	for (uint32_t size = 1; size <= 4; size *= 2)
		value[size / 2] = rig_call(&rig, 0, COMMAND_ACCESS, DEVICE + 8 * size, size, 0);
	say_requests();
	say("; the guest gets %x %x %x", value[0], value[1], value[2]);
	rig_close(&rig);
}

void look_nobody(void)
{
	open_device();
	say("load %x, ", rig_call(&rig, 0, COMMAND_READ, RIG_DEVICE(3)));
	rig_call(&rig, 0, COMMAND_WRITE, RIG_DEVICE(3), 1);
	rig_enable(&rig, &rig.server[1], false);
	say("of a disabled server %x, requests ", rig_call(&rig, 0, COMMAND_READ, DEVICE));
	say_requests();
	rig_close(&rig);
}

void look_range_edge(void)
{
	open_device();
	xendevicemodel_unmap_io_range_from_ioreq_server(rig.model, rig.domid, rig.server[1].id, 1,
							DEVICE + 0x102, DEVICE + 0x103);
	say("load %x, requests ", rig_call(&rig, 0, COMMAND_READ, DEVICE + 0x100));
	say_requests();
	rig_close(&rig);
}

void look_ports(void)
{
	open_device();
	for (uint32_t size = 1; size <= 4; size *= 2)
		rig_call(&rig, 0, COMMAND_PORT, PORT_SCRATCH, size, 1, 0x81828384);
	say_requests();
	say("; the guest gets");
	for (uint32_t size = 1; size <= 4; size *= 2)
		say(" %x", rig_call(&rig, 0, COMMAND_PORT, PORT_SCRATCH, size, 0));
	rig_close(&rig);
}

void look_pci(void)
{
	open_device();
	xendevicemodel_map_pcidev_to_ioreq_server(rig.model, rig.domid, rig.server[1].id, 0, 0, 5,
						  1);
	rig_call(&rig, 0, COMMAND_PORT, 0xcf8, 4, 1, 0x80002910);
	rig_call(&rig, 0, COMMAND_PORT, 0xcfc, 4, 1, 0x1234);
	say("to server %u ", rig.logged ? rig.log[0].server : 99);
	rig_call(&rig, 0, COMMAND_PORT, 0xcfe, 2, 0);
	rig_call(&rig, 0, COMMAND_PORT, 0xcf8, 4, 1, 0x80003010);
	rig_call(&rig, 0, COMMAND_PORT, 0xcfc, 4, 0);
	say_requests();
	rig_close(&rig);
}

/* ---- string instructions ----------------------------------------------------------- */

void look_rep_outs(void)
{
	open_device();
	rig_call(&rig, 0, COMMAND_REP_OUTS, PORT_SCRATCH, GUEST_DATA + 0xff8, 4, 4, 0);
	say_requests();
	rig_close(&rig);
}

void look_rep_ins(void)
{
	open_device();
	rig_call(&rig, 0, COMMAND_REP_INS, PORT_SCRATCH, GUEST_DATA + 0x100, 3, 2, 0);
	say_requests();
	say("; memory %x", rig_call(&rig, 0, COMMAND_READ, GUEST_DATA + 0x100));
	rig_close(&rig);
}

void look_rep_movs(void)
{
	open_device();
	rig_call(&rig, 0, COMMAND_REP_MOVS, DEVICE + 0x40, GUEST_DATA + 0xff8, 4, 4, 0);
	rig_call(&rig, 0, COMMAND_REP_MOVS, GUEST_DATA + 0x20, DEVICE + 0x40, 4, 4, 0);
	say_requests();
	rig_close(&rig);
}

void look_rep_movs_back(void)
{
	open_device();
	rig_call(&rig, 0, COMMAND_REP_MOVS, DEVICE + 0x40, GUEST_DATA + 0x1004, 4, 4, 1);
	say_requests();
	rig_close(&rig);
}

void look_rep_crossing(void)
{
	open_device();
	for (uint32_t at = 0xff8; at <= 0x1004; at += 4)
		rig_call(&rig, 0, COMMAND_WRITE, GUEST_DATA + at, 0x11000000 + at);
	rig_call(&rig, 0, COMMAND_REP_OUTS, PORT_SCRATCH, GUEST_DATA + 0xffa, 3, 4, 0);
	rig_call(&rig, 0, COMMAND_REP_OUTS, PORT_SCRATCH, GUEST_DATA + 0x1002, 3, 4, 1);
	say_requests();
	rig_close(&rig);
}

void look_rep_stos(void)
{
	open_device();
	rig_call(&rig, 0, COMMAND_REP_STOS, DEVICE + 0xff8, 6, 4, 0x71727374, 0);
	rig_call(&rig, 0, COMMAND_REP_STOS, DEVICE + 0x20, 3, 2, 0x71727374, 1);
	say_requests();
	rig_close(&rig);
}

/* ---- the ring ---------------------------------------------------------------------- */

#define VGA 0xa0000u

/* A PC with a hole where its video memory is, and a server that has it, with a ring. */
static void open_vga(void)
{
	struct server *server;

	rig_open(&rig, &(struct platform_options){ .vga = true });
	for (uint64_t gfn = VGA / GUEST_PAGE_SIZE; gfn < 0xc0; gfn++)
		platform_take_page(&rig.platform, gfn);
	server = rig_server(&rig, 1, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
	xendevicemodel_map_io_range_to_ioreq_server(rig.model, rig.domid, server->id, 1, VGA,
						    0xbffff);
	rig_enable(&rig, server, true);
	rig_run(&rig);
	rig.logged = 0;
}

void look_buffered(void)
{
	struct buffered_iopage *ring;

	open_vga();
	ring = rig.server[1].ring;
	rig_call(&rig, 0, COMMAND_ACCESS, VGA + 4, 1, 1, 0x91);
	rig_call(&rig, 0, COMMAND_ACCESS, VGA + 8, 4, 1, 0x92939495);
	for (uint32_t i = ring->read_pointer; i != ring->write_pointer; i++)
		say("%stype %u dir %u addr %x size %u data %x", i ? "; " : "",
		    ring->buf_ioreq[i].type, ring->buf_ioreq[i].dir, ring->buf_ioreq[i].addr,
		    ring->buf_ioreq[i].size, ring->buf_ioreq[i].data);
	say("; requests ");
	say_requests();
	rig_call(&rig, 0, COMMAND_READ, VGA);
	rig_call(&rig, 0, COMMAND_REP_STOS, VGA, 3, 4, 1, 0);
	say("; a load and rep stos: ");
	say_requests();
	rig_close(&rig);
}

void look_buffered_full(void)
{
	struct buffered_iopage *ring;

	open_vga();
	ring = rig.server[1].ring;
	ring->read_pointer = 511 * 3;
	ring->write_pointer = 511 * 3 + 509;
	for (uint32_t i = 0; i < 4; i++)
		rig_call(&rig, 0, COMMAND_ACCESS, VGA + 8 * i, 4, 1, i);
	say("write %u, read %u; requests ", ring->write_pointer, ring->read_pointer);
	say_requests();
	rig_close(&rig);
}
