/* SPDX-License-Identifier: MIT */
/*
 * dma DEVICE BMDMA_PORT: has the IDE controller read the first blocks of its disk into the first
 * BAR of a device, such as a display's memory, and looks at every word. DEVICE: its folder in
 * sysfs. The kernel cannot be asked for that: its driver must have been unbound from the controller.
 */
#include "guest.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pattern.h"

#define BLOCKS 8u
#define SECTORS (BLOCKS * BLOCK_BYTES / 512)
#define ATA 0x1f0 /* primary channel */
#define ATA_CONTROL 0x3f6
#define ATA_READ_DMA 0xc8
#define PRD_LAST 0x80000000u
#define PATIENCE 5.0 /* seconds */

/* The physical address of a page of this process that stays where it is. */
static uint64_t physical(const void *page)
{
	int file = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (file < 0 || pread(file, &entry, 8, (off_t)((uintptr_t)page / 4096 * 8)) != 8)
		return 0;
	close(file);
	return (entry & ((UINT64_C(1) << 55) - 1)) * 4096;
}

/* READ DMA of the first sectors by way of the table at prd. */
static bool read_dma(uint32_t prd, unsigned short port)
{
	double start = now();
	unsigned char status;

	outb(0x02, ATA_CONTROL); /* no interrupts */
	outb(0, port);
	outl(prd, (unsigned short)(port + 4));
	outb(0x06, (unsigned short)(port + 2)); /* clear error and interrupt */
	outb(0xe0, ATA + 6);
	outb(SECTORS, ATA + 2);
	outb(0, ATA + 3);
	outb(0, ATA + 4);
	outb(0, ATA + 5);
	outb(ATA_READ_DMA, ATA + 7);
	outb(0x09, port); /* to memory, start */
	do {
		status = inb((unsigned short)(port + 2));
		usleep(1000);
	} while (status & 1 && now() - start < PATIENCE);
	outb(0, port);
	return !(status & 0x03) && !(inb(ATA + 7) & 0x81);
}

int command_dma(int argc, char **argv)
{
	uint64_t target = argc == 3 ? bar_address(argv[1]) : 0;
	unsigned short port = (unsigned short)(argc == 3 ? strtoul(argv[2], NULL, 16) & ~7ul : 0);
	volatile uint32_t *words = target ? bar_map(argv[1], BLOCKS * BLOCK_BYTES) : NULL;
	uint32_t *prd = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
	uint64_t copy[BLOCK_WORDS];
	unsigned int wrong = 0;
	bool done;

	if (!words || !port || prd == MAP_FAILED || iopl(3))
		return 2;
	prd[0] = (uint32_t)target;
	prd[1] = BLOCKS * BLOCK_BYTES | PRD_LAST;
	done = read_dma((uint32_t)physical(prd), port);
	for (uint64_t block = 0; block < BLOCKS; block++) {
		for (uint32_t i = 0; i < BLOCK_WORDS; i++) {
			copy[i] = *words++;
			copy[i] |= (uint64_t)*words++ << 32;
		}
		wrong += pattern_wrong(copy, block);
	}
	printf("RESULT dma address %llx done %d wrong %u\n", (unsigned long long)target, done,
	       wrong);
	return !done || wrong;
}
