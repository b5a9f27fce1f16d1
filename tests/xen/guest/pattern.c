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
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(length) : "a"(value) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t length)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(length) : : "memory");
	return to;
}
