/* SPDX-License-Identifier: MIT */
/* How long this vCPU stands still, in units of 1024 cycles (time_now). */
#include "tests/xen/guest/guest.h"

/* count: round trips to the device that does nothing; the time of all of them. */
uint32_t time_nothing(const uint32_t *argument)
{
	uint32_t start = time_now();

	for (uint32_t i = 0; i < argument[0]; i++)
		port_out(PORT_NOTHING, i);
	return time_now() - start;
}

/* gfn: give the page back; the time until the guest goes on. It gets a new page after. */
uint32_t time_decrease(const uint32_t *argument)
{
	uint32_t start = time_now(), end;

	if (decrease_reservation(argument[0], 1, 0) != 1)
		return 0;
	end = time_now();
	if (populate_physmap(argument[0], 1, 0) != 1)
		return 0;
	return end - start;
}
