/* SPDX-License-Identifier: MIT */
/* A device model's published counters (mapcache/published.h), as this process sees them. */
#ifndef TOP_PAGE_H
#define TOP_PAGE_H

#include <stdint.h>

#include <mapcache/published.h>

/* One look at all of them. */
struct sample {
	uint64_t time_ns; /* CLOCK_MONOTONIC, when they were written */
	uint32_t count;
	uint64_t value[MAPCACHE_PUBLISHED_COUNTERS];
};

/* 0, or -errno; -EINVAL: not such a file, or of another version's layout. */
int page_open(const char *path, const struct mapcache_published **page);
void page_close(const struct mapcache_published *page);

/* -EAGAIN: it is being written, again and again. */
int page_read(const struct mapcache_published *page, struct sample *sample);

/* A counter by its name; 0 when the library that writes has no such counter. */
uint64_t page_value(const struct mapcache_published *page, const struct sample *sample,
		    const char *name);

#endif
