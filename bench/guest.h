/* SPDX-License-Identifier: MIT */
/*
 * The guest whose memory is mapped. guest_xensim.c makes one in the simulator,
 * guest_xen.c takes a running domain when the benchmark runs in a real dom0.
 */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

#include <stdint.h>

#include "bench/options.h"

struct guest {
	uint32_t domid;
	uint64_t bytes; /* of RAM, from --guest-base on */
	void *domain;
};

/* What the platform is called in reports. */
extern const char *const guest_platform;

/* What a guest of so many bytes takes of this machine's memory, and the system beside it. */
uint64_t guest_memory(uint64_t bytes);

/* 0 or -errno. */
int guest_open(struct guest *guest, uint64_t bytes, const struct options *options);
void guest_close(struct guest *guest);

#endif
