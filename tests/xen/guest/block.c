/* SPDX-License-Identifier: MIT */
/*
 * A small virtio-mmio block driver (virtio 1.x): one queue, one request at a time, polling
 * the used ring. The disk's contents are a pattern over its byte offsets.
 */
#include "tests/xen/guest/guest.h"

#define REGISTER(offset) (*word_at(BLOCK_MMIO + (offset)))
#define MAGIC_VALUE 0x000
#define VERSION 0x004
#define DEVICE_ID 0x008
#define DRIVER_FEATURES 0x020
#define DRIVER_FEATURES_SEL 0x024
#define QUEUE_SEL 0x030
#define QUEUE_NUM_MAX 0x034
#define QUEUE_NUM 0x038
#define QUEUE_READY 0x044
#define QUEUE_NOTIFY 0x050
#define STATUS 0x070
#define QUEUE_DESC 0x080
#define QUEUE_DRIVER 0x090
#define QUEUE_DEVICE 0x0a0

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_DRIVER_OK 4u
#define STATUS_FEATURES_OK 8u

#define DESCRIPTOR_NEXT 1u
#define DESCRIPTOR_WRITE 2u
#define NO_INTERRUPT 1u

#define REQUEST_READ 0u
#define REQUEST_WRITE 1u
#define SECTOR 512u
#define QUEUE_SIZE 8u

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};

struct available {
	uint16_t flags;
	uint16_t index;
	uint16_t ring[QUEUE_SIZE];
};

struct used {
	uint16_t flags;
	uint16_t index;
	struct {
		uint32_t id;
		uint32_t length;
	} ring[QUEUE_SIZE];
};

struct request {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

static volatile struct descriptor descriptors[QUEUE_SIZE] __attribute__((aligned(16)));
static volatile struct available available __attribute__((aligned(4)));
static volatile struct used used __attribute__((aligned(4)));
static volatile struct request request;
static volatile uint8_t request_status;

static void set_address(uint32_t offset, const volatile void *address)
{
	REGISTER(offset) = (uint32_t)(uintptr_t)address;
	REGISTER(offset + 4) = 0;
}

/* No arguments: bring the device up. 0, or the number of the step that failed. */
uint32_t block_start(const uint32_t *argument)
{
	(void)argument;
	if (REGISTER(MAGIC_VALUE) != 0x74726976 || REGISTER(VERSION) != 2 ||
	    REGISTER(DEVICE_ID) != 2)
		return 1;
	REGISTER(STATUS) = 0;
	while (REGISTER(STATUS))
		yield();
	REGISTER(STATUS) = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	REGISTER(DRIVER_FEATURES_SEL) = 0;
	REGISTER(DRIVER_FEATURES) = 0;
	REGISTER(DRIVER_FEATURES_SEL) = 1;
	REGISTER(DRIVER_FEATURES) = 1; /* VIRTIO_F_VERSION_1 */
	REGISTER(STATUS) = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
	if (!(REGISTER(STATUS) & STATUS_FEATURES_OK))
		return 2;
	REGISTER(QUEUE_SEL) = 0;
	if (REGISTER(QUEUE_NUM_MAX) < QUEUE_SIZE)
		return 3;
	REGISTER(QUEUE_NUM) = QUEUE_SIZE;
	set_address(QUEUE_DESC, descriptors);
	set_address(QUEUE_DRIVER, &available);
	set_address(QUEUE_DEVICE, &used);
	available.flags = NO_INTERRUPT;
	REGISTER(QUEUE_READY) = 1;
	if (REGISTER(QUEUE_READY) != 1)
		return 4;
	REGISTER(STATUS) =
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
	return 0;
}

static void set_descriptor(uint16_t index, const volatile void *address, uint32_t length,
			   uint16_t flags)
{
	descriptors[index].address = (uintptr_t)address;
	descriptors[index].length = length;
	descriptors[index].flags = flags;
	descriptors[index].next = (uint16_t)(index + 1);
}

/* One request, start to end. Returns the device's status: 0 is good. */
static uint32_t transfer(uint32_t type, uint32_t sector, uint32_t count, uint32_t address)
{
	uint16_t index = available.index;

	request.type = type;
	request.sector = sector;
	request_status = 0xff;
	set_descriptor(0, &request, sizeof(request), DESCRIPTOR_NEXT);
	set_descriptor(1, (const void *)(uintptr_t)address, count * SECTOR,
		       DESCRIPTOR_NEXT | (type == REQUEST_READ ? DESCRIPTOR_WRITE : 0));
	set_descriptor(2, &request_status, 1, DESCRIPTOR_WRITE);
	available.ring[index % QUEUE_SIZE] = 0;
	full_barrier();
	available.index = (uint16_t)(index + 1);
	full_barrier();
	REGISTER(QUEUE_NOTIFY) = 0;
	while (used.index != available.index)
		yield();
	full_barrier();
	return request_status;
}

/* The words in memory that are not the disk's pattern from that byte on. */
static uint32_t differing(uint32_t address, uint32_t offset, uint32_t length, uint32_t seed)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < length; i += 4)
		wrong += *word_at(address + i) != pattern_word(seed, offset + i);
	return wrong;
}

/* sector, count, address, seed: read and compare. Words that differ, ~0 for an error. */
uint32_t block_read(const uint32_t *argument)
{
	uint32_t length = argument[1] * SECTOR;

	for (uint32_t i = 0; i < length; i += 4)
		*word_at(argument[2] + i) = ~0u;
	if (transfer(REQUEST_READ, argument[0], argument[1], argument[2]))
		return ~0u;
	return differing(argument[2], argument[0] * SECTOR, length, argument[3]);
}

/* sector, count, address, seed: write the pattern. 0, or ~0 for an error. */
uint32_t block_write(const uint32_t *argument)
{
	uint32_t offset = argument[0] * SECTOR;

	for (uint32_t i = 0; i < argument[1] * SECTOR; i += 4)
		*word_at(argument[2] + i) = pattern_word(argument[3], offset + i);
	return transfer(REQUEST_WRITE, argument[0], argument[1], argument[2]) ? ~0u : 0;
}

/*
 * rounds, sectors, gfn, count: write, then read back through a buffer of count pages, whose
 * memory is replaced before every request. Returns what went wrong.
 */
uint32_t block_stress(const uint32_t *argument)
{
	uint32_t gfn = argument[2], count = argument[3];
	uint32_t sectors = count * GUEST_PAGE_SIZE / SECTOR;
	uint32_t wrong = 0;

	for (uint32_t round = 1; round <= argument[0] && !wrong; round++) {
		uint32_t sector = round * sectors % (argument[1] - sectors);
		uint32_t request_argument[] = { sector, sectors, gfn * GUEST_PAGE_SIZE, round };

		wrong += replace_pages(gfn, count, round);
		wrong += block_write(request_argument);
		wrong += replace_pages(gfn, count, ~round);
		wrong += block_read(request_argument);
	}
	return wrong;
}
