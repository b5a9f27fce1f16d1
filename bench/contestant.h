/* SPDX-License-Identifier: MIT */
/*
 * A design that is measured. Everything that is timed in nanoseconds is a whole loop here,
 * compiled with the design's look-up inlined (loops.h): a call through a pointer costs as
 * much as the fastest look-up.
 */
#ifndef BENCH_CONTESTANT_H
#define BENCH_CONTESTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mapcache/backend.h>

#include "bench/histogram.h"

struct mapcache;

/* What timed loops consist of: left to itself a compiler inlines it for one design and calls it for
 * another. */
#define CONTESTANT_INLINE static inline __attribute__((always_inline))

struct contestant_config {
	uint32_t domid;
	uint64_t guest_bytes; /* RAM that will be used, from 0 */
	uint32_t bucket_shift;
	uint32_t granule_shift; /* 0: default, and so for all below */
	uint64_t max_bytes;
	uint32_t reclaim_ms;
	bool no_batches;
	bool no_reclaim_thread;
	const struct mapcache_backend *backend;
};

/* Addresses to use in turn; a power of two of them, with these flags. */
#define WORKLOAD_WRITE UINT64_C(1)
#define WORKLOAD_PIN UINT64_C(2) /* storms only */
#define WORKLOAD_FLAGS UINT64_C(3)

struct workload {
	uint64_t *gpa;
	uint64_t mask;
};

/* Requests in flight, each with a pin, of a reader in a storm that pins. */
#define STORM_PINS 16

struct storm_pin {
	uint64_t gpa;
	void *pointer;
};

/* What a reader sees while somebody else invalidates. */
struct storm_reader {
	const struct workload *workload;
	const bool *stop;
	struct histogram hits, misses; /* ns each */
	uint64_t accesses;
	struct storm_pin pins[STORM_PINS];
	unsigned int next_pin;
};

/* The head of each design's thread state. */
struct contestant_thread {
	uint64_t misses;   /* look-ups that had to map */
	uint64_t failures; /* look-ups that got nothing; must stay 0 */
};

struct contestant {
	const char *name, *text;
	bool keeps_no_pins; /* hold and pin are missing */

	/* 0 or -errno. */
	int (*open)(const struct contestant_config *config, void **instance);
	void (*close)(void *instance);
	int (*thread_open)(void *instance, struct contestant_thread **thread);
	void (*thread_close)(struct contestant_thread *thread);

	/* Loops. They return a sum that depends on everything they read. */
	uint64_t (*hit)(struct contestant_thread *thread, const struct workload *workload,
			uint64_t count);
	uint64_t (*mixed)(struct contestant_thread *thread, const struct workload *workload,
			  uint64_t count);
	uint64_t (*pin)(struct contestant_thread *thread, const struct workload *workload,
			uint64_t count);
	void (*storm)(struct contestant_thread *thread, struct storm_reader *reader);

	/* One look-up of [gpa, gpa + len). 0 or -errno. */
	int (*touch)(struct contestant_thread *thread, uint64_t gpa, size_t len);
	/* Pin it, and release that. */
	void *(*hold)(struct contestant_thread *thread, uint64_t gpa, size_t len);
	void (*release)(struct contestant_thread *thread, uint64_t gpa, void *pointer);

	/* INVALIDATE, until it can be answered. */
	void (*invalidate)(void *instance);
	/* The library's cache behind it, for its statistics; NULL for another design. */
	struct mapcache *(*cache)(void *instance);
};

extern const struct contestant contestant_ours, contestant_eager, contestant_limit, contestant_qemu,
	contestant_demu, contestant_striped, contestant_raw;

/* NULL when there is none of that name. */
const struct contestant *contestant_find(const char *name);
extern const struct contestant *const contestants[];
extern const unsigned int contestants_count;

#endif
