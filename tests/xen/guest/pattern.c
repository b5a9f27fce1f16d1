/* SPDX-License-Identifier: MIT */
/* Patterns as the guest writes and checks them, and what the compiler may call. */
#include "tests/xen/guest/guest.h"

void *memset(void *to, int value, size_t length);
void *memcpy(void *to, const void *from, size_t length);

void pattern_fill(uint32_t address, uint32_t length, uint32_t seed)
{
	for (uint32_t at = address; at < address + length; at += 4)
		*word_at(at) = pattern_word(seed, at);
}

uint32_t pattern_verify(uint32_t address, uint32_t length, uint32_t seed)
{
	uint32_t wrong = 0;

	for (uint32_t at = address; at < address + length; at += 4)
		wrong += *word_at(at) != pattern_word(seed, at);
	return wrong;
}

void *memset(void *to, int value, size_t length)
{
	volatile uint8_t *at = to;

	while (length--)
		*at++ = (uint8_t)value;
	return to;
}

void *memcpy(void *to, const void *from, size_t length)
{
	volatile uint8_t *at = to;
	const volatile uint8_t *source = from;

	while (length--)
		*at++ = *source++;
	return to;
}
