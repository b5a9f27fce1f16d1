/* SPDX-License-Identifier: MIT */
/* The Xen backend with a note of when it was first and last asked to release something. */
#ifndef BENCH_BACKEND_TIMED_H
#define BENCH_BACKEND_TIMED_H

#include <mapcache/backend.h>

struct backend_times {
	uint64_t first_begin, last_end; /* ns; 0: not yet */
	uint64_t calls, pages;
};

extern const struct mapcache_backend backend_timed;

void backend_timed_reset(void);
struct backend_times backend_timed_read(void);

#endif
