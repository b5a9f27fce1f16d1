/* SPDX-License-Identifier: MIT */
/* What the demo prints: progress, the table, the same figures as JSON. */
#ifndef DEMO_REPORT_H
#define DEMO_REPORT_H

#include "host.h"

struct report {
	const struct demo *demo;
	const struct host *host;
	struct mapcache_stats stats;
	struct virtio_blk_counters device;
	uint64_t invalidates;  /* sent by Xen */
	uint64_t pages_leaked; /* still held, or not given back, after everything was closed */
	char image_digest[DIGEST_TEXT];
};

/* One line, over the one before; only on a terminal. */
void report_progress(const struct demo *demo, uint64_t nanoseconds);
void report_progress_end(void);
void report_table(const struct report *report);
/* 0 or -errno. */
int report_json(const struct report *report, const char *path, const char *verdict);

#endif
