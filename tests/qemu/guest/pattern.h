/* SPDX-License-Identifier: MIT */
/* What every 8-byte word of the tests' disks holds: by block of 4 KiB and place in it. */
#ifndef TESTS_QEMU_GUEST_PATTERN_H
#define TESTS_QEMU_GUEST_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#define BLOCK_BYTES 4096u
#define BLOCK_WORDS (BLOCK_BYTES / sizeof(uint64_t))

static inline uint64_t pattern_word(uint64_t block, uint64_t place)
{
	uint64_t x = block * UINT64_C(0x9e3779b97f4a7c15) + place * UINT64_C(0xbf58476d1ce4e5b9);

	return x ^ x >> 29;
}

static inline void pattern_fill(uint64_t *words, uint64_t block)
{
	for (uint64_t i = 0; i < BLOCK_WORDS; i++)
		words[i] = pattern_word(block, i);
}

/* Words of a block that are not what they should be. */
static inline unsigned int pattern_wrong(const uint64_t *words, uint64_t block)
{
	unsigned int wrong = 0;

	for (uint64_t i = 0; i < BLOCK_WORDS; i++)
		wrong += words[i] != pattern_word(block, i);
	return wrong;
}

#endif
