/* SPDX-License-Identifier: MIT */
/* The guest's machine: 32-bit x86, included by guest.h. */
#ifndef XEN_GUEST_MACHINE_H
#define XEN_GUEST_MACHINE_H

static inline void port_out(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t port_in(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Orders memory accesses and I/O as the compiler sees them; x86 does the rest. */
static inline void barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline void full_barrier(void)
{
	__asm__ volatile("lock; addl $0, (%%esp)" : : : "memory", "cc");
}

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Time-stamp counter in units of 1024: 32 bits of it last for half an hour. */
static inline uint32_t time_now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return high << 22 | low >> 10;
}

/* VMMCALL: the harness emulates an AMD processor. */
static inline long hypercall(unsigned long number, unsigned long first, const void *second)
{
	long result;

	__asm__ volatile("vmmcall"
			 : "=a"(result)
			 : "0"(number), "b"(first), "c"(second)
			 : "memory", "cc");
	return result;
}

/* Never again. */
static inline void sleep_for_ever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

#endif
