/* SPDX-License-Identifier: MIT */
/* The contestants of one measurement, open side by side so that rounds can interleave them. */
#ifndef BENCH_LINEUP_H
#define BENCH_LINEUP_H

#include "bench/contestant.h"
#include "bench/scenario.h"

#define LINEUP_MAX 8

struct lineup_entry {
	const struct contestant *contestant;
	void *instance;
	struct contestant_thread *thread; /* of the thread that opened the line-up */
};

struct lineup {
	unsigned int count;
	struct lineup_entry entries[LINEUP_MAX];
};

/* What a contestant gets when nothing else is said: room for that many buckets and more. */
struct contestant_config lineup_config(const struct bench *bench, uint64_t buckets);

/*
 * names: comma-separated; --contestants takes its place when given. Writes a message about
 * what fails. 0 or -errno.
 */
int lineup_open(struct lineup *lineup, const struct bench *bench, const char *names,
		const struct contestant_config *config);
void lineup_close(struct lineup *lineup);

/* NULL when it does not take part. */
struct lineup_entry *lineup_find(struct lineup *lineup, const char *name);

/* Map buckets [0, buckets), every page. */
int lineup_populate(struct lineup_entry *entry, const struct bench *bench, uint64_t buckets);
/* Pin or release them; pointers has room for that many. */
int lineup_hold(struct lineup_entry *entry, const struct bench *bench, uint64_t buckets,
		void **pointers);
void lineup_release(struct lineup_entry *entry, const struct bench *bench, uint64_t buckets,
		    void **pointers);

#endif
