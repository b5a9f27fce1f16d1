/* SPDX-License-Identifier: MIT */
/* What membarrier(2) takes while other threads of the process run. */
#ifndef BENCH_BARRIER_H
#define BENCH_BARRIER_H

/* *ns: of one call, mean; others: threads that run meanwhile. 0 or -errno. */
int barrier_measure(unsigned int others, double *ns);

#endif
