/* SPDX-License-Identifier: MIT */
/*
 * Storms in virtual time: the library as it is, on map calls that do nothing but count and take
 * what a model says. No clock, no other thread: the same run gives the same figures on any
 * machine, however busy. A hit takes a fixed time, the library's own slow paths none.
 *
 * One cache at a time. Link with VIRTUAL_LDFLAGS (bench.mk), which put the library's clock here.
 */
#ifndef BENCH_VIRTUAL_H
#define BENCH_VIRTUAL_H

#include <stdbool.h>

#include "bench/workload.h"

/* What a hit takes, and an access by base + gpa here: ns. */
#define VIRTUAL_HIT_NS 60

/* What map calls take, in ns. */
struct virtual_cost {
	const char *name;
	double map_call, map_page, unmap_call, unmap_page;
};

/* PV and Arm dom0s as the simulator has them, then as measured under emulation. */
extern const struct virtual_cost virtual_costs[];
extern const unsigned int virtual_costs_count;
const struct virtual_cost *virtual_cost_find(const char *name);

struct virtual_storm {
	const struct virtual_cost *cost;
	const struct workload *workload; /* addresses in turn */
	uint64_t len;                    /* bytes from each */
	uint64_t buckets;                /* of the guest, 1 MiB each */
	bool populate;                   /* all of it is mapped before the first INVALIDATE */
	bool no_batches;                 /* MAPCACHE_NO_BATCHES */
	unsigned int processors;         /* 1: reclaim's work holds the reader up */
	uint32_t reclaim_ms;
	uint32_t rate;            /* INVALIDATE per second */
	uint32_t requests;        /* per second; 0: one access follows the other */
	uint32_t burst;           /* accesses of a request */
	uint32_t warm_up, epochs; /* INVALIDATEs before what is measured, and in it */
};

/* Per INVALIDATE, but for the first and the last. */
struct virtual_result {
	double accesses_per_second;
	double calls, pages;      /* of map */
	double unmaps, unmapped;  /* calls; pages, those mapped over included */
	double reader_ns, all_ns; /* spent mapping and unmapping by the reader, by anybody */
	uint64_t stale_peak;      /* bytes, as seen before each look of reclaim */
};

/*
 * Access patterns as in storm, back to back, all of the guest mapped at first; a disk's requests
 * of 16 pages anywhere and a stream of 64 KiB after 64 KiB, so many at each request, one request
 * an INVALIDATE, nothing mapped at first.
 */
struct virtual_load {
	const char *name;
	uint32_t burst; /* 0: back to back */
	uint64_t len;   /* of an access */
	enum pattern pattern;
	bool stream; /* one after the other */
};

extern const struct virtual_load virtual_loads[];
extern const unsigned int virtual_loads_count;
const struct virtual_load *virtual_load_find(const char *name);

/* The storm's cost, buckets, processors, reclaim_ms and rate are given, epochs may be. 0 or -errno. */
int virtual_load_run(const struct virtual_load *load, uint64_t seed, struct virtual_storm *storm,
		     struct virtual_result *result);

/* 0 or -errno. */
int virtual_run(const struct virtual_storm *storm, struct virtual_result *result);

#endif
