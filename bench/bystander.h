/* SPDX-License-Identifier: MIT */
/*
 * A thread that maps and unmaps one page of its own every 100 us. An operation's time counts
 * from when it was due, so that one long wait is seen as all the operations it held up.
 */
#ifndef BENCH_BYSTANDER_H
#define BENCH_BYSTANDER_H

#include "bench/histogram.h"

struct bystander;

int bystander_start(struct bystander **bystander);

/* Ends it, and adds to the histogram what was due in [from, to]. */
void bystander_stop(struct bystander *bystander, uint64_t from, uint64_t to,
		    struct histogram *histogram);

#endif
