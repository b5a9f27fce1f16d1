/* SPDX-License-Identifier: MIT */
/* The command loop that every vCPU runs. */
#include "tests/xen/guest/guest.h"

/* guest.ld */
extern uint32_t bss_start[], bss_end[];

/* Let others have the processor before asking again for a command. */
static void wait_a_little(void)
{
	uint32_t start = time_now();

	while (time_now() - start < 4096)
		yield();
}

static uint32_t access_memory(uintptr_t address, uint32_t size, uint32_t store, uint32_t value)
{
	if (size == 1 && store)
		*(volatile uint8_t *)address = (uint8_t)value;
	else if (size == 1)
		return *(volatile uint8_t *)address;
	else if (size == 2 && store)
		*(volatile uint16_t *)address = (uint16_t)value;
	else if (size == 2)
		return *(volatile uint16_t *)address;
	else if (store)
		*(volatile uint32_t *)address = value;
	else
		return *(volatile uint32_t *)address;
	return 0;
}

static uint32_t run(uint32_t vcpu, uint32_t command, const uint32_t *a)
{
	switch (command) {
	case COMMAND_SHUTDOWN:
		shut_down();
		return 0;
	case COMMAND_READ: /* address */
		return *word_at(a[0]);
	case COMMAND_WRITE: /* address, value */
		*word_at(a[0]) = a[1];
		return 0;
	case COMMAND_FILL: /* address, length, seed */
		pattern_fill(a[0], a[1], a[2]);
		return 0;
	case COMMAND_VERIFY: /* address, length, seed */
		return pattern_verify(a[0], a[1], a[2]);
	case COMMAND_DMA: /* operation, way, address, length, seed */
		return dma(vcpu, a[0], a[1], a[2], a[3], a[4]);
	case COMMAND_DECREASE: /* gfn, count, order of each */
		return (uint32_t)decrease_reservation(a[0], a[1], a[2]);
	case COMMAND_POPULATE: /* gfn, count, order of each */
		return (uint32_t)populate_physmap(a[0], a[1], a[2]);
	case COMMAND_REMOVE: /* gfn */
		return (uint32_t)remove_from_physmap(a[0]);
	case COMMAND_SHARE_INFO: /* gfn: Xen's shared information there */
		return (uint32_t)share_info(a[0]);
	case COMMAND_PORT_OUT: /* port, value */
		port_out((uint16_t)a[0], a[1]);
		return 0;
	case COMMAND_PORT_IN: /* port */
		return port_in((uint16_t)a[0]);
	case COMMAND_ACCESS: /* address, size, is it a store, value */
		return access_memory(a[0], a[1], a[2], a[3]);
	case COMMAND_EXCHANGE: /* gfn: for another page */
		return (uint32_t)exchange_page(a[0]);
#ifdef __aarch64__
	case COMMAND_FLUSH_CACHES:
		flush_caches();
		return 0;
#else
	case COMMAND_REP_OUTS: /* port, address, count, size, backwards */
		return rep_outs((uint16_t)a[0], a[1], a[2], a[3], a[4]);
	case COMMAND_REP_INS: /* port, address, count, size, backwards */
		return rep_ins((uint16_t)a[0], a[1], a[2], a[3], a[4]);
	case COMMAND_REP_MOVS: /* to, from, count, size, backwards */
		return rep_movs(a[0], a[1], a[2], a[3], a[4]);
	case COMMAND_REP_STOS: /* address, count, size, value, backwards */
		return rep_stos(a[0], a[1], a[2], a[3], a[4]);
	case COMMAND_PORT: /* port, size, is it a store, value */
		return access_port((uint16_t)a[0], a[1], a[2], a[3]);
#endif
	case COMMAND_BALLOON_ROUNDS:
		return balloon_rounds(vcpu, a);
	case COMMAND_BALLOON_RELAY:
		return balloon_relay(vcpu, a);
	case COMMAND_TRAFFIC:
		return traffic(vcpu, a);
	case COMMAND_TIME_NOTHING:
		return time_nothing(a);
	case COMMAND_TIME_DECREASE:
		return time_decrease(a);
	case COMMAND_BLOCK_START:
		return block_start(a);
	case COMMAND_BLOCK_READ:
		return block_read(a);
	case COMMAND_BLOCK_WRITE:
		return block_write(a);
	case COMMAND_BLOCK_STRESS:
		return block_stress(a);
	}
	return 0xffffffffu;
}

/* A new domain's memory need not be zero. The stacks are not part of .bss. */
static void clear_bss(uint32_t vcpu)
{
	static volatile uint32_t dirty = 1;

	if (vcpu == 0) {
		for (volatile uint32_t *word = bss_start; word < bss_end; word++)
			*word = 0;
		full_barrier();
		dirty = 0;
	}
	while (dirty)
		yield();
	full_barrier();
}

void guest_main(uint32_t vcpu)
{
	uint32_t argument[COMMAND_ARGUMENTS];
	uint32_t command, count;

	clear_bss(vcpu);
	for (;;) {
		command = port_in(PORT_COMMAND);
		if (command == COMMAND_NONE) {
			wait_a_little();
			continue;
		}
		count = command >> 16;
		command &= 0xffff;
		for (uint32_t i = 0; i < COMMAND_ARGUMENTS; i++)
			argument[i] = i < count ? port_in((uint16_t)(PORT_ARGUMENT + 4 * i)) : 0;
		if (command == COMMAND_FREEZE) {
			port_out(PORT_RESULT, 0);
			sleep_for_ever();
		}
		port_out(PORT_RESULT, run(vcpu, command, argument));
	}
}
