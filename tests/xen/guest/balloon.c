/* SPDX-License-Identifier: MIT */
/*
 * Ballooning with checks: pages go out and come back, and the device must see the new ones.
 */
#include "tests/xen/guest/guest.h"

/* Rounds that vCPU 0 has prepared, and those that vCPU 1 has finished with. */
struct relay {
	volatile uint32_t prepared;
	volatile uint32_t taken;
	volatile uint32_t over;
};

static struct relay relay;

/* Out and in again, and the guest's own new contents. Returns failures. */
uint32_t replace_pages(uint32_t gfn, uint32_t count, uint32_t seed)
{
	if (decrease_reservation(gfn, count, 0) != (long)count)
		return 1;
	if (populate_physmap(gfn, count, 0) != (long)count)
		return 1;
	pattern_fill(gfn * GUEST_PAGE_SIZE, count * GUEST_PAGE_SIZE, seed);
	return 0;
}

/* The device reads what the guest wrote, and the guest what the device wrote. */
static uint32_t exchange(uint32_t vcpu, uint32_t address, uint32_t length, uint32_t seed)
{
	uint32_t way = seed % DMA_WAYS;
	uint32_t wrong = dma(vcpu, DMA_VERIFY, way, address, length, seed);

	wrong += dma(vcpu, DMA_FILL, way, address, length, ~seed);
	return wrong + pattern_verify(address, length, ~seed);
}

/*
 * gfn, count, rounds, every: balloon rounds times; every so many rounds check through the
 * device. Returns the words and calls that went wrong.
 */
uint32_t balloon_rounds(uint32_t vcpu, const uint32_t *argument)
{
	uint32_t gfn = argument[0], count = argument[1], every = argument[3];
	uint32_t wrong = 0;

	for (uint32_t round = 1; round <= argument[2] && !wrong; round++) {
		wrong += replace_pages(gfn, count, round);
		if (round % every == 0)
			wrong += exchange(vcpu, gfn * GUEST_PAGE_SIZE, count * GUEST_PAGE_SIZE,
					  round);
	}
	return wrong;
}

/*
 * gfn, count, rounds: replace two sets of pages in turn, once in a domain's life. While
 * vCPU 1 has the device read and write the one (traffic), this vCPU balloons the other.
 */
uint32_t balloon_relay(uint32_t vcpu, const uint32_t *argument)
{
	uint32_t gfn = argument[0], count = argument[1];
	uint32_t wrong = 0;

	(void)vcpu;
	for (uint32_t round = 1; round <= argument[2] && !wrong; round++) {
		uint32_t set = gfn + (round & 1) * count;

		while (relay.prepared - relay.taken > 1)
			yield();
		if (round > 2)
			wrong += pattern_verify(set * GUEST_PAGE_SIZE, count * GUEST_PAGE_SIZE,
						~(round - 2));
		wrong += replace_pages(set, count, round);
		barrier();
		relay.prepared = round;
	}
	relay.over = 1;
	return wrong;
}

/* One register of the device, written and read back. */
static uint32_t register_check(uint32_t value)
{
	*word_at(DEVICE_SCRATCH) = value;
	return *word_at(DEVICE_SCRATCH) != value;
}

/*
 * gfn, count (as balloon_relay), address, length: memory-mapped I/O and transfers to and
 * from this vCPU's own memory all the time, and the check of each set of pages that the
 * other vCPU has replaced, until that one is done.
 */
uint32_t traffic(uint32_t vcpu, const uint32_t *argument)
{
	uint32_t gfn = argument[0], count = argument[1];
	uint32_t address = argument[2], length = argument[3];
	uint32_t wrong = 0, turn = 0;

	for (;;) {
		bool over = relay.over;

		barrier();
		turn++;
		wrong += register_check(turn);
		pattern_fill(address, length, turn);
		wrong += exchange(vcpu, address, length, turn);
		if (relay.prepared != relay.taken) {
			uint32_t round = relay.taken + 1;

			wrong += exchange(vcpu, (gfn + (round & 1) * count) * GUEST_PAGE_SIZE,
					  count * GUEST_PAGE_SIZE, round);
			barrier();
			relay.taken = round;
		} else if (over) {
			return wrong;
		}
	}
}
