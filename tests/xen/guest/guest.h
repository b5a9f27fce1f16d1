/* SPDX-License-Identifier: MIT */
/*
 * The guest's own small library: port and memory-mapped I/O, hypercalls, patterns. No C
 * library, no paging: an address is a guest-physical address.
 */
#ifndef XEN_GUEST_H
#define XEN_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/xen/protocol.h"

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

static inline volatile uint32_t *word_at(uint32_t address)
{
	return (volatile uint32_t *)address;
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

/* hypercall.c: each returns what Xen returned. */
long decrease_reservation(uint32_t gfn, uint32_t count);
long populate_physmap(uint32_t gfn, uint32_t count);
long remove_from_physmap(uint32_t gfn);
void yield(void);
void shut_down(void);

/* pattern.c */
void pattern_fill(uint32_t address, uint32_t length, uint32_t seed);
uint32_t pattern_verify(uint32_t address, uint32_t length, uint32_t seed);

/* dma.c: one transfer by the test device; its result. */
uint32_t dma(uint32_t vcpu, uint32_t operation, uint32_t way, uint32_t address, uint32_t length,
	     uint32_t seed);

/* strings.c: rep instructions; backwards is the direction flag. */
uint32_t rep_outs(uint16_t port, uint32_t address, uint32_t count, uint32_t size,
		  uint32_t backwards);
uint32_t rep_ins(uint16_t port, uint32_t address, uint32_t count, uint32_t size,
		 uint32_t backwards);
uint32_t rep_movs(uint32_t to, uint32_t from, uint32_t count, uint32_t size, uint32_t backwards);

/* balloon.c, timing.c, block.c: commands that take longer; see there. */
uint32_t replace_pages(uint32_t gfn, uint32_t count, uint32_t seed);
uint32_t balloon_rounds(uint32_t vcpu, const uint32_t *argument);
uint32_t balloon_relay(uint32_t vcpu, const uint32_t *argument);
uint32_t traffic(uint32_t vcpu, const uint32_t *argument);
uint32_t time_nothing(const uint32_t *argument);
uint32_t time_decrease(const uint32_t *argument);
uint32_t block_start(const uint32_t *argument);
uint32_t block_read(const uint32_t *argument);
uint32_t block_write(const uint32_t *argument);
uint32_t block_stress(const uint32_t *argument);

#endif
