/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls that change the guest's memory. A long and a pointer are what the ABI has there,
 * for 32-bit x86 as for arm64.
 */
#include "tests/xen/guest/guest.h"

#define HYPERCALL_MEMORY_OP 12
#define HYPERCALL_SCHED_OP 29

#define XENMEM_DECREASE_RESERVATION 1
#define XENMEM_POPULATE_PHYSMAP 6
#define XENMEM_EXCHANGE 11
#define XENMEM_ADD_TO_PHYSMAP 7
#define XENMEM_REMOVE_FROM_PHYSMAP 15
#define XENMAPSPACE_SHARED_INFO 0
#define SCHEDOP_YIELD 0
#define SCHEDOP_SHUTDOWN 2
#define DOMID_SELF 0x7ff0

#define EXTENTS_MAX 512u

struct memory_reservation {
	const unsigned long *gfns;
	unsigned long extents;
	uint32_t order;
	uint32_t flags;
	uint16_t domid;
};

struct memory_exchange {
	struct memory_reservation in, out;
	unsigned long exchanged;
};

struct add_to_physmap {
	uint16_t domid;
	uint16_t size;
	unsigned int space;
	unsigned long index;
	unsigned long gfn;
};

struct remove_from_physmap {
	uint16_t domid;
	unsigned long gfn;
};

static long memory_operation(uint32_t operation, uint32_t gfn, uint32_t count, uint32_t order)
{
	unsigned long gfns[EXTENTS_MAX];
	struct memory_reservation reservation = {
		.gfns = gfns,
		.extents = count,
		.order = order,
		.domid = DOMID_SELF,
	};

	if (count > EXTENTS_MAX)
		return -22;
	for (uint32_t i = 0; i < count; i++)
		gfns[i] = gfn + (i << order);
	return hypercall(HYPERCALL_MEMORY_OP, operation, &reservation);
}

long decrease_reservation(uint32_t gfn, uint32_t count, uint32_t order)
{
	return memory_operation(XENMEM_DECREASE_RESERVATION, gfn, count, order);
}

long populate_physmap(uint32_t gfn, uint32_t count, uint32_t order)
{
	return memory_operation(XENMEM_POPULATE_PHYSMAP, gfn, count, order);
}

long remove_from_physmap(uint32_t gfn)
{
	struct remove_from_physmap remove = { .domid = DOMID_SELF, .gfn = gfn };

	return hypercall(HYPERCALL_MEMORY_OP, XENMEM_REMOVE_FROM_PHYSMAP, &remove);
}

long share_info(uint32_t gfn)
{
	struct add_to_physmap add = { .domid = DOMID_SELF,
				      .space = XENMAPSPACE_SHARED_INFO,
				      .gfn = gfn };

	return hypercall(HYPERCALL_MEMORY_OP, XENMEM_ADD_TO_PHYSMAP, &add);
}

long exchange_page(uint32_t gfn)
{
	unsigned long in = gfn, out = gfn;
	struct memory_exchange exchange = {
		.in = { .gfns = &in, .extents = 1, .domid = DOMID_SELF },
		.out = { .gfns = &out, .extents = 1, .domid = DOMID_SELF },
	};

	return hypercall(HYPERCALL_MEMORY_OP, XENMEM_EXCHANGE, &exchange);
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
