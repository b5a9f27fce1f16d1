/* SPDX-License-Identifier: MIT */
/* The guest's machine: arm64 at EL1, MMU off, included by guest.h. */
#ifndef XEN_GUEST_MACHINE_H
#define XEN_GUEST_MACHINE_H

/* One plain load or store each: Xen hands on no other kind. */
static inline void port_out(uint16_t port, uint32_t value)
{
	__asm__ volatile("str %w0, [%1]"
			 :
			 : "r"(value), "r"((uintptr_t)PORT_BASE + port)
			 : "memory");
}

static inline uint32_t port_in(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("ldr %w0, [%1]"
			 : "=r"(value)
			 : "r"((uintptr_t)PORT_BASE + port)
			 : "memory");
	return value;
}

/* Orders memory accesses and I/O, for the device model's processor, too. */
static inline void barrier(void)
{
	__asm__ volatile("dmb ish" : : : "memory");
}

static inline void full_barrier(void)
{
	__asm__ volatile("dmb ish" : : : "memory");
}

static inline void pause(void)
{
	__asm__ volatile("yield" : : : "memory");
}

/* The counter, in units of 64. */
static inline uint32_t time_now(void)
{
	uint64_t count;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(count) : : "memory");
	return (uint32_t)(count >> 6);
}

static inline long hypercall(unsigned long number, unsigned long first, const void *second)
{
	register unsigned long x16 __asm__("x16") = number;
	register unsigned long x0 __asm__("x0") = first;
	register unsigned long x1 __asm__("x1") = (unsigned long)second;

	__asm__ volatile("hvc #0xea1"
			 : "+r"(x16), "+r"(x0), "+r"(x1)
			 :
			 : "x2", "x3", "x4", "memory", "cc");
	return (long)x0;
}

/* By set and way: Xen traps it. */
static inline void flush_caches(void)
{
	__asm__ volatile("dc cisw, xzr\n\tdsb sy" : : : "memory");
}

/* Never again: everything is masked, but a pending interrupt would end a wfi. */
static inline void sleep_for_ever(void)
{
	__asm__ volatile("msr daifset, #15");
	for (;;)
		__asm__ volatile("wfi");
}

#endif
