/* SPDX-License-Identifier: MIT */
/*
 * Which of many slots are free, so that neighbours that are free are one run, whatever order
 * they were given back in. Memory of zeroes says that all are free: only what is used is touched.
 * Not locked: whoever calls has it to himself. Every call is O(log n), and O(count / 64) beside.
 */
#ifndef RUNS_H
#define RUNS_H

#include <stdbool.h>
#include <stdint.h>

#define RUNS_NONE UINT64_MAX

struct runs_node;

struct runs {
	uint64_t *used;         /* one bit a slot */
	struct runs_node *node; /* a binary tree over the words: [1] is the root */
	uint64_t words, leaves; /* leaves: words, rounded up to a power of two */
};

/* -errno */
int runs_init(struct runs *runs, uint64_t slots);
void runs_destroy(struct runs *runs);
/* The lowest of count neighbours that are free, or RUNS_NONE. */
uint64_t runs_find(const struct runs *runs, uint64_t count);
void runs_set(struct runs *runs, uint64_t first, uint64_t count, bool used);

#endif
