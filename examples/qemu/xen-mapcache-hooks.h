/* SPDX-License-Identifier: MIT */
/* What this xen-mapcache.c has more than QEMU's own. */
#ifndef XEN_MAPCACHE_HOOKS_H
#define XEN_MAPCACHE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

/* Called on the failing thread where the old cache ended the process, with a negative errno. */
typedef void (*xen_map_cache_failure)(void *data, uint64_t address, uint64_t size, int error);
void xen_map_cache_on_failure(xen_map_cache_failure hook, void *data);

bool xen_map_cache_enabled(void);

/* Release everything; -EBUSY while something is locked. */
int xen_map_cache_close(void);

/* For mapcache_stats(), mapcache_dump(). NULL: not open. */
struct mapcache;
struct mapcache *xen_map_cache_library(void);

#endif
