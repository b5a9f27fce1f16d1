/* SPDX-License-Identifier: MIT */
/*
 * What the guest and the programs in dom0 agree on: the guest's memory map, the ports of
 * its command loop, the test device, and the contents of a test pattern.
 *
 * The guest does what it is told: each vCPU fetches a command with its arguments from the
 * ports below, runs it and writes back the result, so that a test reads from top to bottom
 * in dom0.
 */
#ifndef XEN_PROTOCOL_H
#define XEN_PROTOCOL_H

#include <stdint.h>

#define GUEST_VCPUS 2
#define GUEST_PAGE_SIZE 4096u

/* Where Xen lets a guest's memory and its devices be. Arm has no ports: there a "port" is a word
 * of device memory at PORT_BASE + port. */
#ifdef __aarch64__
#define GUEST_RAM 0x40000000u
#define GUEST_MMIO 0x02000000u
#define PORT_BASE 0x02080000u
#else
#define GUEST_RAM 0u
#define GUEST_MMIO 0xe0000000u
#endif
#define GUEST_ENTRY (GUEST_RAM + 0x00100000u) /* image, its data and stacks: up to GUEST_DATA */
#define GUEST_DATA (GUEST_RAM + 0x00200000u)  /* from here on memory belongs to the test */
#define GUEST_MMIO_SIZE 0x3000u
#define GUEST_PORT 0x600u
#define GUEST_PORT_COUNT 0x40u

/* 32-bit ports. */
#define PORT_COMMAND                                                                               \
	0x600u               /* in: the next command, COMMAND_NONE if there is none yet; the
			       number of its arguments << 16 (the others are 0) */
#define PORT_RESULT 0x604u   /* out: its result; the command is finished */
#define PORT_ARGUMENT 0x608u /* in: arguments, one port each */
#define COMMAND_ARGUMENTS 6
#define PORT_SCRATCH 0x620u /* keeps what is written */
#define PORT_STREAM 0x624u  /* rep outs fills the device's window, rep ins reads it */
#define PORT_NOTHING 0x628u /* answered, nothing else: what a round trip costs */

/* The device in memory space. Every vCPU has its own registers at the same addresses. */
#define DEVICE_SCRATCH (GUEST_MMIO + 0x0u)
#define DEVICE_DMA (GUEST_MMIO + 0x8u)       /* write: gpa of a struct dma_descriptor */
#define DEVICE_WINDOW (GUEST_MMIO + 0x1000u) /* device memory, for rep movs */
#define DEVICE_WINDOW_SIZE 0x2000u

/* The block device of examples/virtio-blk, where a test has one. */
#define BLOCK_MMIO (GUEST_MMIO + 0x10000u)
#define BLOCK_MMIO_SIZE 0x1000u

/* What the device does with [address, address + length). */
#define DMA_FILL 1u   /* write the pattern */
#define DMA_VERIFY 2u /* count the words that differ from the pattern */

/* Through which call of the library it does so. */
#define DMA_BY_COPY 0u
#define DMA_BY_POINTER 1u
#define DMA_BY_PIN 2u
#define DMA_BY_SEGMENTS 3u
#define DMA_WAYS 4u

#define DMA_FAILED 0xffffffffu
#define DMA_PENDING 0xfffffffeu

struct dma_descriptor {
	uint32_t operation;
	uint32_t way;
	uint32_t address; /* multiple of 4 */
	uint32_t length;  /* multiple of 4 */
	uint32_t seed;
	uint32_t result; /* from the device: words that differ, or DMA_FAILED */
};

/* Commands; what each argument means is told where the guest implements it. */
enum command {
	COMMAND_NONE,
	COMMAND_SHUTDOWN,
	COMMAND_FREEZE,
	COMMAND_READ,
	COMMAND_WRITE,
	COMMAND_FILL,
	COMMAND_VERIFY,
	COMMAND_DMA,
	COMMAND_DECREASE,
	COMMAND_POPULATE,
	COMMAND_REMOVE,
	COMMAND_SHARE_INFO,
	COMMAND_FLUSH_CACHES,
	COMMAND_PORT_OUT,
	COMMAND_PORT_IN,
	COMMAND_REP_OUTS,
	COMMAND_REP_INS,
	COMMAND_REP_MOVS,
	COMMAND_REP_STOS,
	COMMAND_ACCESS,
	COMMAND_PORT,
	COMMAND_EXCHANGE,
	COMMAND_BALLOON_ROUNDS,
	COMMAND_BALLOON_RELAY,
	COMMAND_TRAFFIC,
	COMMAND_TIME_NOTHING,
	COMMAND_TIME_DECREASE,
	COMMAND_BLOCK_START,
	COMMAND_BLOCK_READ,
	COMMAND_BLOCK_WRITE,
	COMMAND_BLOCK_STRESS,
};

/* The word that a pattern has at address. */
static inline uint32_t pattern_word(uint32_t seed, uint32_t address)
{
	uint32_t word = (address >> 2) + seed * 0x9e3779b9u;

	word = (word ^ (word >> 16)) * 0x85ebca6bu;
	return word ^ (word >> 13);
}

#endif
