/* SPDX-License-Identifier: MIT */
/* What the machine has: CPUs to pin threads to, memory and kernel mappings to work with. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdint.h>

struct machine {
	unsigned int cpus; /* that this process may run on */
	uint64_t memory_available;
	uint64_t mappings_limit;
	double timer_ns; /* one reading of the clock */
	char kernel[128];
	char processor[128];
};

void machine_inspect(struct machine *machine);

/* What all processors have done so far, and this process of it, in seconds. */
struct machine_load {
	double all, busy, stolen, own;
};
struct machine_load machine_load(void);

/* How often threads of this process have gone to sleep. */
uint64_t machine_sleeps(void);

/* What others took of this machine's processors since then, and other machines of its host, in per
 * cent; 0 when the kernel does not say. */
void machine_disturbed(const struct machine_load *since, double *others, double *stolen);

/* The calling thread, on the index-th allowed CPU, when there are at least two. */
void machine_pin_thread(unsigned int index);

/* Anonymous memory of this process, bytes; 0 when the kernel does not say. */
uint64_t machine_anonymous_bytes(void);

#endif
