/* SPDX-License-Identifier: MIT */
/*
 * The algorithm of QEMU's map cache, written anew from a description of it as the baseline
 * to compare with: one mutex, an array of chains, a global list of pins, an INVALIDATE that
 * walks and unmaps everything under the mutex.
 */
#ifndef BENCH_QEMU_CACHE_H
#define BENCH_QEMU_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mapcache/backend.h>

struct qemu_entry {
	uint64_t index;  /* bucket */
	char *base;      /* NULL: nothing is mapped */
	uint64_t *valid; /* a bit a page */
	uint32_t locks;
	uint64_t size; /* bytes, whole buckets */
	struct qemu_entry *next;
};

/* One for each locked look-up; they are found by pointer only. */
struct qemu_pin {
	char *pointer;
	uint64_t index, size;
	struct qemu_pin *next, *previous;
};

struct qemu_cache {
	pthread_mutex_t mutex;
	const struct mapcache_backend *backend;
	void *state;
	uint32_t bucket_shift;
	uint64_t heads_count;
	struct qemu_entry *heads;
	struct qemu_pin *pins;
	struct qemu_entry *last; /* of the last unlocked look-up without a size */
	uint64_t misses;
};

int qemu_cache_open(struct qemu_cache *cache, const struct mapcache_backend *backend,
		    uint32_t domid, uint32_t bucket_shift);
void qemu_cache_close(struct qemu_cache *cache);

/*
 * size 0: whatever the bucket holds. NULL when there is no memory. *missed: it was mapped.
 * The _locked form is called with the mutex held.
 */
void *qemu_cache_map_locked(struct qemu_cache *cache, uint64_t gpa, uint64_t size, bool lock,
			    bool *missed);
void *qemu_cache_map(struct qemu_cache *cache, uint64_t gpa, uint64_t size, bool lock,
		     bool *missed);
/* false: no pin has this pointer. */
bool qemu_cache_unlock(struct qemu_cache *cache, void *pointer);
void qemu_cache_invalidate(struct qemu_cache *cache);

#endif
