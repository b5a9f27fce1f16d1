/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the demo share: the guest's programs, the device model's side, the
 * conductor in main.c and the report. The guest knows what every byte of the disk must be.
 */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tests/xensim/xensim.h>

#include "bench/histogram.h"
#include "digest.h"
#include "driver.h"
#include "pool.h"
#include "options.h"

#define DEMO_VCPUS 3u
#define DEMO_QUEUES DRIVER_QUEUES_MAX
#define DEMO_RAM_PAGES 2048u
/* The guest's allocator has these; with 1 MiB buckets rings and buffers share all of them. */
#define DEMO_FIRST_GFN 64u
#define DEMO_FREE_PAGES 1536u
#define DEMO_BLOCK_BASE UINT64_C(0xe0000000)
#define DEMO_SCRATCH_BASE UINT64_C(0xe0001000)
#define DEMO_SCRATCH_BYTES 512u

enum demo_phase {
	DEMO_QUIET,    /* reading, no ballooning */
	DEMO_READING,  /* reading all of it while the guest balloons */
	DEMO_WRITING,  /* writing, rewriting, reading back */
	DEMO_CHECKING, /* reading all of it once more */
	DEMO_PHASES,
};

/* One phase's traffic, counted by the guest. */
struct demo_traffic {
	uint64_t requests, bytes, nanoseconds;
};

struct demo {
	struct options options;

	/* The disk as it must be, mapped from the image that was given. */
	const uint8_t *image;
	uint64_t image_bytes;
	int work; /* file descriptor of the copy that is served */

	struct xensim_domain *domain;
	struct pool pool;
	int interrupt; /* eventfd: the device's line has risen */

	uint32_t phase;    /* atomic, enum demo_phase */
	bool done;         /* atomic: the other vCPUs may stop */
	uint64_t stale;    /* atomic: sectors or copies that did not hold what they must */
	uint64_t progress; /* atomic: requests done, of all phases */
	struct demo_traffic traffic[DEMO_PHASES]; /* atomic fields; written by the disk's vCPU */

	/* Written by one vCPU each, read when it has stopped. */
	struct histogram stood_still;  /* of the ballooning vCPU, for INVALIDATE */
	struct histogram registers[2]; /* MMIO latency: without, with ballooning */
	uint64_t ballooned, balloon_retries, disk_interrupts;
	char read_digest[3][DIGEST_TEXT]; /* of each whole pass over the disk */

	pthread_mutex_t lock;
	char reason[256]; /* why it failed; the first one stays */
};

void demo_fail(struct demo *demo, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool demo_failed(struct demo *demo);

static inline uint32_t demo_phase(const struct demo *demo)
{
	return __atomic_load_n(&demo->phase, __ATOMIC_RELAXED);
}

static inline bool demo_done(const struct demo *demo)
{
	return __atomic_load_n(&demo->done, __ATOMIC_ACQUIRE);
}

/* Guest programs; data is the demo. */
void disk_program(struct xensim_vcpu *vcpu, void *data);
void balloon_program(struct xensim_vcpu *vcpu, void *data);
void registers_program(struct xensim_vcpu *vcpu, void *data);

#endif
