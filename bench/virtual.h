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

/* What map calls take, in ns. */
struct virtual_cost {
	const char *name;
	double map_call, map_page, unmap_call, unmap_page;
};

/* PV and Arm dom0s as the simulator has them, then as measured under emulation. */
extern const struct virtual_cost virtual_costs[];
extern const unsigned int virtual_costs_count;

struct virtual_storm {
	const struct virtual_cost *cost;
	const struct workload *workload; /* addresses in turn */
	uint64_t len;                    /* bytes from each */
	uint64_t buckets;                /* of the guest, 1 MiB each */
	bool populate;                   /* all of it is mapped before the first INVALIDATE */
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

/* 0 or -errno. */
int virtual_run(const struct virtual_storm *storm, struct virtual_result *result);

#endif
