/* SPDX-License-Identifier: MIT */
/* See the header. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bench/bystander.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/machine.h"

#define PERIOD_NS 100000
#define SAMPLES (UINT64_C(1) << 18) /* 26 seconds' worth */

struct sample {
	uint64_t due, took;
};

struct bystander {
	pthread_t thread;
	bool stop;
	uint64_t count;
	struct sample samples[SAMPLES];
};

/* The system calls themselves: the simulator looks at what goes through the C library. */
static void map_and_unmap(void)
{
#ifdef SYS_mmap
	long address = syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
	long address = syscall(SYS_mmap2, NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#endif

	if (address != -1)
		syscall(SYS_munmap, address, 4096);
}

static void *run(void *argument)
{
	struct bystander *bystander = argument;
	uint64_t due = clock_now();

	machine_pin_thread(0);
	while (!__atomic_load_n(&bystander->stop, __ATOMIC_RELAXED) && bystander->count < SAMPLES) {
		/* Awake all the time: a timer's own lateness is not what is measured. */
		while (clock_now() < due)
			;
		map_and_unmap();
		bystander->samples[bystander->count].due = due;
		bystander->samples[bystander->count++].took = clock_now() - due;
		due += PERIOD_NS;
	}
	return NULL;
}

int bystander_start(struct bystander **bystander)
{
	struct bystander *started = malloc(sizeof(*started));
	int error;

	if (!started)
		return -ENOMEM;
	/* Every page touched now: a page fault meanwhile would wait for the same kernel lock. */
	memset(started, 1, sizeof(*started));
	started->stop = false;
	started->count = 0;
	error = -pthread_create(&started->thread, NULL, run, started);
	if (error)
		free(started);
	else
		*bystander = started;
	return error;
}

void bystander_stop(struct bystander *bystander, uint64_t from, uint64_t to,
		    struct histogram *histogram)
{
	__atomic_store_n(&bystander->stop, true, __ATOMIC_RELAXED);
	pthread_join(bystander->thread, NULL);
	for (uint64_t i = 0; i < bystander->count; i++)
		if (bystander->samples[i].due >= from && bystander->samples[i].due <= to)
			histogram_record(histogram, bystander->samples[i].took);
	free(bystander);
}
