/* SPDX-License-Identifier: MIT */
/*
 * Random sequences: guest hypercalls and accesses, device-model calls and server events, all of
 * them given by the seed and a step's number alone. So any steps can be left out, and the rest is
 * the same.
 */
#ifndef CONFORMANCE_SEQUENCE_H
#define CONFORMANCE_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SEQUENCE_STEPS 200u
#define SEQUENCE_TRACE (SEQUENCE_STEPS * 800u) /* bytes, at most */

struct sequence {
	uint64_t seed;
	unsigned int steps;
	bool skip[SEQUENCE_STEPS];
};

/* Run it, in a process that has nothing else of Xen; a line a step: its number, what it did, what
 * came of it. */
void sequence_run(const struct sequence *sequence, FILE *trace);
/* Of a trace. */
uint64_t sequence_hash(const char *trace);

#endif
