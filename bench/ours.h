/* SPDX-License-Identifier: MIT */
/* The library as a contestant: what the plain and the eager form share. */
#ifndef BENCH_OURS_H
#define BENCH_OURS_H

#include <mapcache/mapcache.h>

#include "bench/contestant.h"

struct ours_thread {
	struct contestant_thread head;
	struct mapcache_client *client;
};

int ours_open(const struct contestant_config *config, void **instance);
void ours_close(void *instance);
int ours_thread_open(void *instance, struct contestant_thread **thread);
void ours_thread_close(struct contestant_thread *thread);
int ours_touch(struct contestant_thread *thread, uint64_t gpa, size_t len);
void *ours_hold(struct contestant_thread *thread, uint64_t gpa, size_t len);
void ours_release(struct contestant_thread *thread, uint64_t gpa, void *pointer);
struct mapcache *ours_cache(void *instance);

#endif
