/* SPDX-License-Identifier: MIT */
/*
 * What mapcache_publish() writes: a file of one page that names its own counters, for
 * mapcache-top(1) and for programs of your own. All numbers are of the machine's byte order.
 *
 * The writer makes sequence odd, writes, and makes it even. A reader maps the file, loads
 * sequence (acquire), copies the counters, and takes the copy if sequence was even and is the
 * same afterwards.
 */
#ifndef MAPCACHE_PUBLISHED_H
#define MAPCACHE_PUBLISHED_H

#include <stdint.h>

#include <mapcache/atomic.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAPCACHE_PUBLISHED_MAGIC UINT64_C(0x316863616370616d) /* "mapcach1" */
#define MAPCACHE_PUBLISHED_BYTES 4096
#define MAPCACHE_PUBLISHED_NAME 24
#define MAPCACHE_PUBLISHED_COUNTERS 126 /* as many as fit */

struct mapcache_published_counter {
	char name[MAPCACHE_PUBLISHED_NAME]; /* ends with a zero byte */
	mapcache_atomic_u64 value;
};

struct mapcache_published {
	mapcache_atomic_u64 magic;
	char version[16]; /* of the library that writes it */
	uint32_t pid;     /* of the device model */
	uint32_t domid;
	uint32_t period_ms; /* how often it is written while its thread runs; 0: by calls only */
	uint32_t count;     /* counters that follow */
	mapcache_atomic_u64 sequence;
	mapcache_atomic_u64 time_ns; /* CLOCK_MONOTONIC at the last write */
	struct mapcache_published_counter counter[MAPCACHE_PUBLISHED_COUNTERS];
};

#ifdef __cplusplus
}
#endif

#endif
