/* SPDX-License-Identifier: MIT */
/*
 * display DEVICE: reads a display's memory, then writes it and reads that back, a word in every
 * page of the first MiB. DEVICE: its folder in sysfs. Only the primary display's memory is in the
 * guest's p2m: every access to another one's is a request to the device model.
 */
#include "guest.h"

#include <stdio.h>

#define WORDS (1048576u / 4)
#define STEP (4096u / 4)

int command_display(int argc, char **argv)
{
	volatile uint32_t *words = argc == 2 ? bar_map(argv[1], WORDS * 4) : NULL;
	uint32_t before = 0, wrong = 0;

	if (!words)
		return 2;
	for (uint32_t at = 0; at < WORDS; at += STEP)
		before += words[at] != 0;
	for (uint32_t at = 0; at < WORDS; at += STEP)
		words[at] = at ^ 0x5a5a5a5au;
	for (uint32_t at = 0; at < WORDS; at += STEP)
		wrong += words[at] != (at ^ 0x5a5a5a5au);
	printf("RESULT display address %llx nonzero_before %u wrong %u\n",
	       (unsigned long long)bar_address(argv[1]), before, wrong);
	return wrong != 0;
}
