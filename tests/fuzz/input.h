/* SPDX-License-Identifier: MIT */
/* An input of a fuzz target, taken from piece by piece. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct input {
	const uint8_t *bytes;
	size_t len;
};

/* A number of so many bytes; zero past the end. */
static inline uint64_t take(struct input *input, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes; i++) {
		value = value << 8 | (input->len > 0 ? *input->bytes : 0);
		input->bytes += input->len > 0;
		input->len -= input->len > 0;
	}
	return value;
}

#endif
