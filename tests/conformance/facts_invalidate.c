/* SPDX-License-Identifier: MIT */
/* Which changes of a guest's memory are told, how often, when, and in what words. */
#include "tests/conformance/facts.h"

#define VICTIM (RIG_GFN + 3)

static struct rig rig;

static void open_running(unsigned int order, uint32_t vcpus)
{
	rig_open(&rig, &(struct platform_options){ .order = order, .vcpus = vcpus });
	rig_run(&rig);
}

static void say_told(uint32_t result)
{
	say("%d, told %u", (int)result, rig_told(&rig, 0));
}

/* A hypercall of vCPU 0: what it returned, and how often it was told. */
#define say_call(...) say_told(rig_call(&rig, 0, __VA_ARGS__))

void look_contents(void)
{
	const struct request *request = &rig.log[0];

	open_running(0, 1);
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM, 1);
	say("type %u, size %u, dir %u, data %llx, addr %llx, count %u, data_is_ptr %u, df %u",
	    request->type, request->size, request->dir, (unsigned long long)request->data,
	    (unsigned long long)request->addr, request->count, request->data_is_ptr, request->df);
	rig_close(&rig);
}

void look_decrease(void)
{
	open_running(0, 2);
	say_call(COMMAND_DECREASE, VICTIM, 1);
	say(", by vCPU %u", rig.log[0].vcpu);
	rig_close(&rig);
}

void look_decrease_many(void)
{
	open_running(0, 1);
	say_call(COMMAND_DECREASE, VICTIM, 8);
	rig_close(&rig);
}

void look_decrease_hole(void)
{
	open_running(0, 1);
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM, 1);
	rig_told(&rig, 0);
	say_call(COMMAND_DECREASE, VICTIM, 1);
	rig_close(&rig);
}

void look_remove(void)
{
	long before;

	open_running(0, 1);
	before = platform_pages(&rig.platform);
	say_call(COMMAND_REMOVE, VICTIM);
	say(", pages %ld", platform_pages(&rig.platform) - before);
	rig_close(&rig);
}

void look_remove_hole(void)
{
	open_running(0, 1);
	rig_call(&rig, 0, COMMAND_REMOVE, VICTIM);
	rig_told(&rig, 0);
	say_call(COMMAND_REMOVE, VICTIM);
	rig_close(&rig);
}

void look_populate_hole(void)
{
	open_running(0, 1);
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM, 1);
	rig_told(&rig, 0);
	say_call(COMMAND_POPULATE, VICTIM, 1);
	rig_close(&rig);
}

void look_populate_over(void)
{
	long before;

	open_running(0, 1);
	before = platform_pages(&rig.platform);
	rig_set_word(&rig, VICTIM, 31);
	say_call(COMMAND_POPULATE, VICTIM, 1);
	say(", %s page, pages %+ld", rig_word(&rig, VICTIM) == 31 ? "the same" : "another",
	    platform_pages(&rig.platform) - before);
	rig_close(&rig);
}

void look_exchange(void)
{
	open_running(0, 1);
	rig_set_word(&rig, VICTIM, 41);
	say_call(COMMAND_EXCHANGE, VICTIM);
	say(", %s page", rig_word(&rig, VICTIM) == 41 ? "the same" : "another");
	rig_close(&rig);
}

void look_share_info(void)
{
	open_running(0, 1);
	say_call(COMMAND_SHARE_INFO, VICTIM);
	say("; removed: ");
	say_call(COMMAND_REMOVE, VICTIM);
	rig_close(&rig);
}

void look_superpage_part(void)
{
	open_running(9, 1);
	rig_set_word(&rig, VICTIM + 1, 51);
	say_call(COMMAND_DECREASE, VICTIM, 1);
	say(", its neighbour %s", rig_word(&rig, VICTIM + 1) == 51 ? "is the same" : "is another");
	rig_close(&rig);
}

void look_shatter_fails(void)
{
	open_running(9, 1);
	rig_set_word(&rig, VICTIM, 61);
	platform_fail_shatter(&rig.platform, true);
	say_call(COMMAND_DECREASE, VICTIM, 1);
	say(", the page %s", rig_word(&rig, VICTIM) == 61 ? "is still there" : "is gone");
	platform_fail_shatter(&rig.platform, false);
	rig_close(&rig);
}

void look_split(void)
{
	uint32_t result;
	unsigned int told;

	open_running(0, 1);
	result = rig_call(&rig, 0, COMMAND_DECREASE, VICTIM, 400);
	told = rig_told(&rig, 0);
	say("%u, told %s", result, told == 1 ? "once" : told ? "several times" : "never");
	rig_close(&rig);
}

/* ---- from outside ------------------------------------------------------------------ */

void look_outside(void)
{
	open_running(0, 2);
	say("%d, ", platform_take_page(&rig.platform, VICTIM));
	rig_settle(&rig);
	say("told %u at once; ", rig_told(&rig, 0));
	for (unsigned int vcpu = 0; vcpu < 2; vcpu++) {
		rig_call(&rig, vcpu, COMMAND_READ, GUEST_DATA);
		say("when vCPU %u goes on %u, ", vcpu, rig_told(&rig, 0));
	}
	rig_call(&rig, 0, COMMAND_READ, GUEST_DATA);
	say("after that %u", rig_told(&rig, 0));
	rig_close(&rig);
}

void look_outside_sleeping(void)
{
	open_running(0, 1);
	rig_post(&rig, 0, COMMAND_FREEZE, 0);
	rig_settle(&rig);
	say("%d, ", platform_take_page(&rig.platform, VICTIM));
	rig_settle(&rig);
	rig_settle(&rig);
	say("told %u", rig_told(&rig, 0));
	rig_close(&rig);
}

void look_outside_before(void)
{
	rig_open(&rig, &(struct platform_options){ 0 });
	say("%d, ", platform_take_page(&rig.platform, VICTIM));
	rig_run(&rig);
	rig_call(&rig, 0, COMMAND_READ, GUEST_DATA);
	say("told %u, ", rig_told(&rig, 0));
	rig_call(&rig, 0, COMMAND_DECREASE, VICTIM + 1, 1);
	say("told %u", rig_told(&rig, 0));
	rig_close(&rig);
}

void look_outside_give(void)
{
	open_running(0, 1);
	platform_take_page(&rig.platform, VICTIM);
	rig_call(&rig, 0, COMMAND_READ, GUEST_DATA);
	rig_told(&rig, 0);
	say("%d, ", platform_give_page(&rig.platform, VICTIM));
	rig_call(&rig, 0, COMMAND_READ, GUEST_DATA);
	say("told %u", rig_told(&rig, 0));
	rig_close(&rig);
}
