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
	mapcache_atomic_u64 word;         /* handoff.h */
	mapcache_atomic_u64 answer;       /* of a deferred item, until who goes on takes it */
	mapcache_atomic_u32 answer_error; /* positive */

	struct mapcache_request request; /* checked, or refused */
	uint32_t item;                   /* the next one */
	uint64_t data;                   /* what a read gets */
	bool failed;
	uint64_t since; /* ns: when it was seen */

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
	mapcache_atomic_u32 past_next, past_told; /* ioreq_slot.c: vCPUs past the count */
};

/* A counter of who serves the vCPU. */
static inline void ioreq_count(mapcache_atomic_u64 *counter, uint64_t n)
{
	mapcache_store_relaxed(counter, mapcache_load_relaxed(counter) + n);
}

/* ioreq_stats.c */
/* One more, how long all have taken, and the longest. Returns how long this one has, in ns. */
uint64_t ioreq_count_time(uint64_t since, mapcache_atomic_u64 *count, mapcache_atomic_u64 *all,
			  mapcache_atomic_u64 *longest);
void ioreq_count_answer(struct mapcache_ioreq *server, uint32_t vcpu);

/* ioreq_serve.c */
/* A request of a vCPU, a private copy of its slot. True: answer it; false: it was deferred. */
bool ioreq_serve(struct mapcache_ioreq *server, struct mapcache_client *client, uint32_t vcpu,
		 const struct ioreq *raw);
/* One that came by the ring: nobody waits for an answer. */
void ioreq_serve_buffered(struct mapcache_ioreq *server, struct mapcache_client *client,
			  const struct ioreq *raw);
/* ioreq_buffered.c: all that is in the ring now. */
void ioreq_empty_ring(struct mapcache_ioreq *server, struct mapcache_client *client);
/* Whether any request is deferred. */
bool ioreq_pending(struct mapcache_ioreq *server);

/* ioreq_slot.c: the answer to vcpu->request. */
void ioreq_answer(struct mapcache_ioreq *server, uint32_t vcpu);

/* ioreq.c: every cache of the server. Returns the epoch of the first (D). */
void ioreq_invalidate(struct mapcache_ioreq *server);

/*
 * Turn a private copy of a slot into a request, if it is one for the handler; flags: of the
 * server's options. 0, or -EINVAL: request is then nothing but what the slot said.
 */
int ioreq_check_request(const struct ioreq *raw, uint32_t vcpu, uint32_t flags,
			struct mapcache_request *request);
/* Whether the handler gets it item by item: the register's address of one. */
bool ioreq_check_itemised(const struct mapcache_request *request);
uint64_t ioreq_check_item(const struct mapcache_request *request, uint32_t item);
int ioreq_check_range(enum mapcache_ioreq_type type, uint64_t start, uint64_t end);
/* Whether no byte of count items from gpa on, downwards or upwards, wraps around. count >= 1. */
bool ioreq_check_items(uint64_t first, uint32_t size, uint32_t count, bool backwards);
bool ioreq_check_size(uint32_t size);
/* The bytes of a value that an access of this size has; all of it for sizes that are none. */
uint64_t ioreq_check_low_bytes(uint64_t value, uint32_t size);

#endif
