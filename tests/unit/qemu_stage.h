/* SPDX-License-Identifier: MIT */
/*
 * What of QEMU the layer needs, as a test sees it, and a guest to map: the machine of a test of
 * examples/qemu. Asserts with cmocka.
 */
#ifndef TESTS_UNIT_QEMU_STAGE_H
#define TESTS_UNIT_QEMU_STAGE_H

#include "qemu/osdep.h"
#ifdef XEN_MAPCACHE_QEMU_7
#include "sysemu/xen-mapcache.h"
#else
#include "system/xen-mapcache.h"
#endif
#include "xen-mapcache-hooks.h"

#include <tests/support/bed.h>

/* The region of granted pages; never looked into. */
#define STAGE_GRANTS ((MemoryRegion *)&stage)

struct stage {
	struct xensim_domain *domain;
	struct mapcache *cache;  /* the layer's */
	bool incoming;           /* RUN_STATE_INMIGRATE */
	uint64_t messages;       /* of error_report */
	uint64_t added, removed; /* bytes, ram_block_notify_* */
	uint64_t failures;       /* told to the hook */
	int failure;             /* the last one */
};

/* One at a time. The first word of every page holds bed_value() of its frame. */
extern struct stage stage;
void stage_start(uint64_t ram_pages, phys_offset_to_gaddr_t translate);
/* Fails on anything leaked or split. */
void stage_stop(void);
void stage_exchange(uint64_t gfn, uint64_t value);
void stage_remove(uint64_t gfn);
uint64_t stage_guest(uint64_t gpa);
struct mapcache_stats stage_stats(void);

/* xen_map_cache() of either version. */
static inline uint8_t *stage_map(uint64_t gpa, uint64_t size, bool lock, bool dma)
{
#ifdef XEN_MAPCACHE_QEMU_7
	return xen_map_cache(gpa, size, lock, dma);
#else
	return xen_map_cache(NULL, gpa, size, 0, lock, dma, true);
#endif
}

/* The word at an unlocked pointer. */
uint64_t stage_word(const uint8_t *pointer);

#endif
