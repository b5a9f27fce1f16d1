/* SPDX-License-Identifier: MIT */
/* Several ioreq servers of one domain: who is told, who waits; their ranges and pages. */
#include <errno.h>

#include "tests/conformance/facts.h"

#define VICTIM (RIG_GFN + 3)

static struct rig rig;

static void say_result(int result)
{
	say("%d", result ? -errno : 0);
}

/* Server 1 enabled, without anything of its own; server 2 not enabled. */
static void open_three(uint32_t vcpus)
{
	rig_open(&rig, &(struct platform_options){ .vcpus = vcpus });
	rig_enable(&rig, rig_server(&rig, 1, HVM_IOREQSRV_BUFIOREQ_OFF), true);
	rig_server(&rig, 2, HVM_IOREQSRV_BUFIOREQ_OFF);
	rig_run(&rig);
}

void look_everybody_told(void)
{
	open_three(1);
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM, 1);
	say("enabled %u, enabled without a request of its own %u, not enabled %u",
	    rig_told(&rig, 0), rig_told(&rig, 1), rig_told(&rig, 2));
	rig_close(&rig);
}

/* The vCPU has filled one slot before the other: with a deaf server nothing else happens. */
void look_order(void)
{
	open_three(1);
	rig_enable(&rig, &rig.server[2], true);
	rig_call(&rig, 0, COMMAND_READ, GUEST_DATA);
	say("ids %u %u %u", rig.server[0].id, rig.server[1].id, rig.server[2].id);
	rig_close(&rig);
}

void look_who_waits(void)
{
	open_three(2);
	rig.server[1].deaf = true;
	rig_post(&rig, 0, COMMAND_DECREASE, VICTIM, 1);
	say("vCPU 0 %s, ", rig_wait(&rig, 0, 5 * platform_quiet_ms()) ? "goes on" : "waits");
	rig_call(&rig, 1, COMMAND_WRITE, GUEST_DATA, 71);
	rig_call(&rig, 1, COMMAND_WRITE, RIG_DEVICE(0) + PORT_SCRATCH, 1);
	say("vCPU 1 stores %u", rig_word(&rig, RIG_GFN));
	rig_hear(&rig, &rig.server[1]);
	say(", then vCPU 0 %s", rig_wait(&rig, 0, 20000) ? "goes on" : "waits");
	rig_close(&rig);
}

void look_all_awaited(void)
{
	open_three(1);
	rig.server[1].deaf = true;
	rig_post(&rig, 0, COMMAND_DECREASE, VICTIM, 1);
	say("one of two has answered: %s, ",
	    rig_wait(&rig, 0, 5 * platform_quiet_ms()) ? "goes on" : "waits");
	say("told %u and %u; ", rig_told(&rig, 0), rig_told(&rig, 1));
	rig_hear(&rig, &rig.server[1]);
	say("both: %s", rig_wait(&rig, 0, 20000) ? "goes on" : "waits");
	rig_close(&rig);
}

void look_enabled_late(void)
{
	open_three(1);
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM, 1);
	rig_enable(&rig, &rig.server[2], true);
	rig_settle(&rig);
	say("of what was before %u, ", rig_told(&rig, 2));
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM + 1, 1);
	say("of what comes %u; ", rig_told(&rig, 2));
	rig_enable(&rig, &rig.server[2], false);
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM + 2, 1);
	rig_enable(&rig, &rig.server[2], true);
	rig_settle(&rig);
	say("disabled meanwhile %u", rig_told(&rig, 2));
	rig_close(&rig);
}

void look_unknown_server(void)
{
	rig_open(&rig, &(struct platform_options){ 0 });
	say("enable ");
	say_result(xendevicemodel_set_ioreq_server_state(rig.model, rig.domid, 7, 1));
	say(", destroy ");
	say_result(xendevicemodel_destroy_ioreq_server(rig.model, rig.domid, 7));
	say(", range ");
	say_result(xendevicemodel_map_io_range_to_ioreq_server(rig.model, rig.domid, 7, 1, 0, 1));
	rig_close(&rig);
}

void look_ranges(void)
{
	uint64_t at = RIG_DEVICE(2);
	ioservid_t id;

	open_three(1);
	id = rig.server[1].id;
	say("twice ");
	say_result(xendevicemodel_map_io_range_to_ioreq_server(rig.model, rig.domid, id, 1,
							       RIG_DEVICE(1), RIG_DEVICE(1) + 7));
	say(", another's ");
	say_result(xendevicemodel_map_io_range_to_ioreq_server(rig.model, rig.domid, id, 1, at,
							       at + 7));
	say(", backwards ");
	say_result(xendevicemodel_map_io_range_to_ioreq_server(rig.model, rig.domid, id, 1,
							       at + 0x8007, at + 0x8000));
	say(", remove a part ");
	say_result(xendevicemodel_unmap_io_range_from_ioreq_server(
		rig.model, rig.domid, id, 1, RIG_DEVICE(1) + 8, RIG_DEVICE(1) + 15));
	say(", again ");
	say_result(xendevicemodel_unmap_io_range_from_ioreq_server(
		rig.model, rig.domid, id, 1, RIG_DEVICE(1) + 8, RIG_DEVICE(1) + 15));
	rig_close(&rig);
}

void look_resource(void)
{
	void *address = NULL;
	size_t size = 0;

	rig_open(&rig, &(struct platform_options){ 0 });
	say_result(xenforeignmemory_resource_size(
		rig.memory, rig.domid, XENMEM_resource_ioreq_server, rig.server[0].id, &size));
	say(", %zu bytes; the ring of a server without one ", size);
	errno = 0;
	if (!xenforeignmemory_map_resource(
		    rig.memory, rig.domid, XENMEM_resource_ioreq_server, rig.server[0].id,
		    XENMEM_resource_ioreq_server_frame_bufioreq, 1, &address, 3, 0))
		say("%d", -errno);
	else
		say("is there");
	rig_close(&rig);
}

void look_servers_max(void)
{
	unsigned int count = 0;
	ioservid_t id;

	rig_open(&rig, &(struct platform_options){ 0 });
	while (count < 20 && !xendevicemodel_create_ioreq_server(rig.model, rig.domid,
								 HVM_IOREQSRV_BUFIOREQ_OFF, &id))
		count++;
	say("%u more, then %d", count, -errno);
	rig_close(&rig);
}
