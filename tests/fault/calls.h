/* SPDX-License-Identifier: MIT */
/*
 * Between the library and the system: counts the calls that can fail, makes one of them fail,
 * and keeps books of what the library has taken and not given back. Any thread.
 */
#ifndef TESTS_FAULT_CALLS_H
#define TESTS_FAULT_CALLS_H

#include <stdbool.h>
#include <stdint.h>

/* Start to count; the nth call (1 = the first) fails, 0: none. */
void calls_start(uint64_t nth);
/* Calls since then. */
uint64_t calls_counted(void);
/* Whether the nth has come, and so has failed, and which function it was. */
bool calls_failed(void);
const char *calls_failed_name(void);

/* Time goes on by a step at each reading of the clock. Not with threads that sleep. */
void calls_step_time(bool steps);

/* How many different places in the library have made such calls since the program began. */
unsigned int calls_sites(void);

struct calls_books {
	int64_t memory; /* blocks */
	int64_t bytes;  /* of address space from mmap */
	int64_t locks;  /* mutexes and conditions */
};
struct calls_books calls_books(void);

#endif
