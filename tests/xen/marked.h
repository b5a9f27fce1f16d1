/* SPDX-License-Identifier: MIT */
/* A domain that does not run, whose pages say which they are, and a cache of it: no emulator. */
#ifndef XEN_MARKED_H
#define XEN_MARKED_H

#include <mapcache/mapcache.h>

#include "tests/xen/domain.h"
#include "tests/xen/protocol.h"

#define MARKED_PAGES 256u
#define MARKED_BUCKET 16u /* pages */
#define MARKED_GFN (GUEST_DATA / GUEST_PAGE_SIZE)

struct marked {
	struct domain domain;
	struct mapcache *cache;
	struct mapcache_client *client;
};

/* MARKED_PAGES pages from MARKED_GFN on begin with mark, mark + 1, ... */
void marked_start(struct marked *marked, uint32_t mark);
/* What was mapped goes without an error, and with it the domain. */
void marked_finish(struct marked *marked);

uint64_t marked_gpa(uint32_t page);
struct mapcache_stats marked_stats(const struct marked *marked);

#endif
