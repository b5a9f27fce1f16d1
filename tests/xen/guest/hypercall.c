/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls that change the guest's memory, in the 32-bit ABI. VMMCALL: the harness
 * emulates an AMD processor.
 */
#include "tests/xen/guest/guest.h"

#define HYPERCALL_MEMORY_OP 12
#define HYPERCALL_SCHED_OP 29

#define XENMEM_DECREASE_RESERVATION 1
#define XENMEM_POPULATE_PHYSMAP 6
#define XENMEM_REMOVE_FROM_PHYSMAP 15
#define SCHEDOP_YIELD 0
#define SCHEDOP_SHUTDOWN 2
#define DOMID_SELF 0x7ff0

#define EXTENTS_MAX 256u

struct memory_reservation {
	uint32_t extent_start; /* address of an array of gfns */
	uint32_t extents;
	uint32_t order;
	uint32_t flags;
	uint16_t domid;
};

struct remove_from_physmap {
	uint16_t domid;
	uint32_t gfn;
};

static long hypercall(uint32_t number, uint32_t first, const void *second)
{
	long result;

	__asm__ volatile("vmmcall"
			 : "=a"(result)
			 : "0"(number), "b"(first), "c"(second)
			 : "memory", "cc");
	return result;
}

static long memory_operation(uint32_t operation, uint32_t gfn, uint32_t count)
{
	uint32_t gfns[EXTENTS_MAX];
	struct memory_reservation reservation = {
		.extent_start = (uint32_t)gfns,
		.extents = count,
		.domid = DOMID_SELF,
	};

	if (count > EXTENTS_MAX)
		return -22;
	for (uint32_t i = 0; i < count; i++)
		gfns[i] = gfn + i;
	return hypercall(HYPERCALL_MEMORY_OP, operation, &reservation);
}

long decrease_reservation(uint32_t gfn, uint32_t count)
{
	return memory_operation(XENMEM_DECREASE_RESERVATION, gfn, count);
}

long populate_physmap(uint32_t gfn, uint32_t count)
{
	return memory_operation(XENMEM_POPULATE_PHYSMAP, gfn, count);
}

long remove_from_physmap(uint32_t gfn)
{
	struct remove_from_physmap remove = { .domid = DOMID_SELF, .gfn = gfn };

	return hypercall(HYPERCALL_MEMORY_OP, XENMEM_REMOVE_FROM_PHYSMAP, &remove);
}

void yield(void)
{
	hypercall(HYPERCALL_SCHED_OP, SCHEDOP_YIELD, NULL);
}

void shut_down(void)
{
	uint32_t reason = 0; /* power off */

	hypercall(HYPERCALL_SCHED_OP, SCHEDOP_SHUTDOWN, &reason);
}
