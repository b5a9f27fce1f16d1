/* SPDX-License-Identifier: MIT */
/*
 * The guest's own small library: port and memory-mapped I/O, hypercalls, patterns. No C
 * library, no paging: an address is a guest-physical address. What is the machine's own is in
 * x86/ and arm64/.
 */
#ifndef XEN_GUEST_H
#define XEN_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/xen/protocol.h"

static inline volatile uint32_t *word_at(uint32_t address)
{
	return (volatile uint32_t *)(uintptr_t)address;
}

#ifdef __aarch64__
#include "tests/xen/guest/arm64/machine.h"
#else
#include "tests/xen/guest/x86/machine.h"
#endif

/* hypercall.c: each returns what Xen returned. */
long decrease_reservation(uint32_t gfn, uint32_t count, uint32_t order);
long populate_physmap(uint32_t gfn, uint32_t count, uint32_t order);
long remove_from_physmap(uint32_t gfn);
long share_info(uint32_t gfn);
long exchange_page(uint32_t gfn);
void yield(void);
void shut_down(void);

/* pattern.c */
void pattern_fill(uint32_t address, uint32_t length, uint32_t seed);
uint32_t pattern_verify(uint32_t address, uint32_t length, uint32_t seed);

/* dma.c: one transfer by the test device; its result. */
uint32_t dma(uint32_t vcpu, uint32_t operation, uint32_t way, uint32_t address, uint32_t length,
	     uint32_t seed);

/* x86/strings.c: rep instructions; backwards is the direction flag. Arm has none. */
uint32_t rep_outs(uint16_t port, uint32_t address, uint32_t count, uint32_t size,
		  uint32_t backwards);
uint32_t rep_ins(uint16_t port, uint32_t address, uint32_t count, uint32_t size,
		 uint32_t backwards);
uint32_t rep_movs(uint32_t to, uint32_t from, uint32_t count, uint32_t size, uint32_t backwards);
uint32_t rep_stos(uint32_t to, uint32_t count, uint32_t size, uint32_t value, uint32_t backwards);
/* Ports of any size. */
uint32_t access_port(uint16_t port, uint32_t size, uint32_t store, uint32_t value);

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
