/* SPDX-License-Identifier: MIT */
/*
 * ioreq: the request protocol of one server (mapcache/ioreq.h). It promises to its callers:
 * every request that Xen sends is answered, once, whatever is in it (H); no guest number reaches
 * a handler unchecked (I); when INVALIDATE has been answered no cache of the server shows what was
 * mapped before (A).
 *
 * Locks: none. One thread at a time serves a vCPU; the word of struct ioreq_vcpu says which.
 * Guarantees: A, D, H, I.
 */
#ifndef MAPCACHE_LIB_IOREQ_H
#define MAPCACHE_LIB_IOREQ_H

#include <stdint.h>
#include <sys/types.h>

#include <mapcache/ioreq.h>

#include "lib/api/api.h"
#include "lib/cache.h"
#include "lib/ioreq/handoff.h"
#include "lib/xen/ioreq_xen.h"

/* Several pages of slots are being discussed for Xen; today's refuses more than one. */
#define IOREQ_PAGES_MAX 32u
#define IOREQ_VCPUS_MAX (IOREQ_PAGES_MAX * IOREQ_PAGE_SLOTS)
/* The caches that one server can tell of INVALIDATE, its own included (D: a bounded answer). */
#define IOREQ_CACHES 16u
/* Items of one request: what one page of a device has at most, of one byte each. */
#define IOREQ_ITEMS_MAX 4096u

/*
 * One vCPU's request on its way. Whoever serves it has it alone: the thread that called
 * mapcache_ioreq_handle(), or the one whose mapcache_ioreq_complete() went on with it. They take
 * turns by word, or by Xen, who sends the next request when this one has been answered.
 */
struct ioreq_vcpu {
	mapcache_atomic_u64 word;   /* handoff.h */
	mapcache_atomic_u64 data;   /* what a read gets: of the last item that was answered, */
	mapcache_atomic_u32 failed; /* or that it was answered with an error */

	struct mapcache_request request; /* checked, or refused */
	int items, item;                 /* how often the handler gets it, and how often it has */
	uint64_t since;                  /* ns: when it was seen */

	/* Written by who serves the vCPU only. */
#define IOREQ_COUNTER(name, text) mapcache_atomic_u64 name;
	struct {
		MAPCACHE_IOREQ_STATISTICS(IOREQ_COUNTER)
	} count;
#undef IOREQ_COUNTER
} __attribute__((aligned(CACHE_LINE)));

struct mapcache_ioreq {
	struct mapcache *cache;
	struct mapcache *caches[IOREQ_CACHES]; /* atomic: its own, and others; NULL: none */
	struct mapcache_ioreq_options options;
	struct ioreq_xen link;
	uint32_t slots;          /* vCPUs that the pages have room for */
	struct ioreq_vcpu *vcpu; /* so many, and one for the ring */
	struct publish_server published;
	pid_t pid; /* who opened it: a child may only close */
	/* The pages mean something: Xen clears them when it enables the server, and until
	 * then the frames of an older Xen can be written by the guest. */
	mapcache_atomic_u32 enabled_once;
	mapcache_atomic_u32 past_told; /* that there is a vCPU past the count */
};

/* Acquire: pairs with the release in mapcache_ioreq_enable(), after Xen has cleared the page. */
static inline bool ioreq_enabled(const struct mapcache_ioreq *server)
{
	return mapcache_load_acquire(&server->enabled_once);
}

/* A counter of who serves the vCPU. */
static inline void ioreq_count(mapcache_atomic_u64 *counter, uint64_t n)
{
	mapcache_store_relaxed(counter, mapcache_load_relaxed(counter) + n);
}

/* ioreq_pages.c */
/* Whether there is a request; then *copy is all of it and the slot is ours. */
bool ioreq_take(struct ioreq *slot, struct ioreq *copy);
/* The answer to vcpu->request. */
void ioreq_answer(const struct ioreq_vcpu *vcpu, struct ioreq *slot);
/* The next one in the ring, which then is not there any more. */
bool ioreq_take_buffered(struct mapcache_ioreq *server, struct ioreq *request);
/* With a request of this vCPU: whether one past the count is served by nobody. */
void ioreq_look_past(struct mapcache_ioreq *server, uint32_t vcpu);

/* ioreq.c: every cache of the server is told; sections of older epochs are waited for. */
void ioreq_invalidate(struct mapcache_ioreq *server);

/* ioreq_check.c */
/*
 * Turn a private copy of a slot into a request; flags: of the server's options. Returns how often
 * the handler gets it, item by item if that is more than once, or -EINVAL: not at all, and request
 * is nothing but what the slot said.
 */
int ioreq_check_request(const struct ioreq *raw, uint32_t vcpu, uint32_t flags,
			struct mapcache_request *request);
/* The register's address of an item. */
uint64_t ioreq_check_item(const struct mapcache_request *request, int item);
bool ioreq_check_range(enum mapcache_ioreq_type type, uint64_t start, uint64_t end);
/* The bytes of a value that an access of this size has; all of it for sizes that are none. */
uint64_t ioreq_check_low_bytes(uint64_t value, uint32_t size);

#endif
