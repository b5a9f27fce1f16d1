/* SPDX-License-Identifier: MIT */
/*
 * What of QEMU the layer needs, as a test sees it, and a guest to map: the machine of a test of
 * examples/qemu. Asserts with cmocka.
 */
#ifndef TESTS_UNIT_QEMU_STAGE_H
#define TESTS_UNIT_QEMU_STAGE_H

#include "qemu/osdep.h"
#include "system/xen-mapcache.h"
#include "xen-mapcache-hooks.h"

#include <tests/support/bed.h>

/* The region of granted pages; never looked into. */
#define STAGE_GRANTS ((MemoryRegion *)&stage)

#define STAGE_BLOCKS 8

/* A RAM block of QEMU's list; the first is the guest's main memory. */
struct RAMBlock {
	void *host;
	uint64_t offset, size;
};

struct stage {
	struct xensim_domain *domain;
	struct mapcache *cache; /* the layer's */
	struct RAMBlock blocks[STAGE_BLOCKS];
	bool incoming;     /* RUN_STATE_INMIGRATE */
	bool scheduled;    /* the bottom half */
	uint64_t messages; /* of error_report */
	uint64_t notified; /* calls of ram_block_notify_*: there must be none */
	uint64_t failures; /* told to the hook */
	int failure;       /* the last one */
};

/* One at a time. The first word of every page holds bed_value() of its frame. */
extern struct stage stage;
void stage_start(uint64_t ram_pages, phys_offset_to_gaddr_t translate);
/* Fails on anything leaked or split. */
void stage_stop(void);
void stage_exchange(uint64_t gfn, uint64_t value);
void stage_remove(uint64_t gfn);
uint64_t stage_guest(uint64_t gpa);
/* Memory for the guest where there is none, with words as main memory has them. */
void stage_populate(uint64_t gpa, uint64_t len);

/* QEMU's list of blocks: with, without one that is mapped at host. */
void stage_block_add(uint64_t offset, uint64_t size);
void stage_block_mapped(uint64_t offset, void *host);
void stage_block_remove(uint64_t offset);

/* The main loop comes round; every RCU read section has ended; the guest runs, or stops. */
void stage_main_loop(void);
void stage_grace_period(void);
void stage_runs(bool running);
struct mapcache_stats stage_stats(void);

/* xen_map_cache() of either version. */
static inline uint8_t *stage_map(uint64_t gpa, uint64_t size, bool lock, bool dma)
{
#if QEMU_VERSION_MAJOR < 9
	return xen_map_cache(gpa, size, lock, dma);
#else
	return xen_map_cache(NULL, gpa, size, 0, lock, dma, true);
#endif
}

/* All of a RAM block, as QEMU asks for it: at its first use, which may be a read, or DMA. */
static inline uint8_t *stage_map_block(uint64_t offset, uint64_t size, bool dma, bool write)
{
#if QEMU_VERSION_MAJOR < 9
	(void)write;
	return xen_map_cache(offset, size, 1, dma);
#else
	return xen_map_cache(NULL, offset, size, offset, 1, dma, write);
#endif
}

/* The word at an unlocked pointer. */
uint64_t stage_word(const uint8_t *pointer);

#endif
