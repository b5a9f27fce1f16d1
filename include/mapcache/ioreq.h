/* SPDX-License-Identifier: MIT */
/*
 * One ioreq server: the request protocol of xen/include/public/hvm/ioreq.h with the right
 * barriers, INVALIDATE answered inside. Event channels stay with the caller, who owns its
 * event loop: bind mapcache_ioreq_vcpu_port() of every vCPU, and on an event call
 * mapcache_ioreq_handle(); when that returns 1, notify the channel.
 */
#ifndef MAPCACHE_IOREQ_H
#define MAPCACHE_IOREQ_H

#include <mapcache/mapcache.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mapcache_ioreq;

enum mapcache_ioreq_type {
	MAPCACHE_IOREQ_PORT = 0, /* port I/O: addr is the port */
	MAPCACHE_IOREQ_MEMORY = 1,
	MAPCACHE_IOREQ_PCI = 2, /* configuration space: addr is (sbdf << 32) | register */
};

/*
 * One request, a private copy: nothing in it changes under the handler's hands, and it was
 * checked: size is 1, 2, 4 or 8, count is at least 1, and no byte of any item wraps around,
 * neither at addr (which moves from item to item for memory only: ports and PCI registers
 * stay) nor at a data_is_ptr's data. All of it is chosen by the guest all the same. What does
 * not pass is answered without the handler: reads get all ones. `rep stos` to a register comes as
 * one request of several items with one value: the handler is called for each (count is 1).
 * With MAPCACHE_IOREQ_ALL_TYPES other types come as Xen sends them, and nothing of them was
 * checked.
 */
struct mapcache_request {
	uint64_t addr;    /* of the register: port, gpa, or PCI register; first item */
	uint64_t data;    /* the value written, or (data_is_ptr) the gpa of the first item;
				for a read without data_is_ptr the handler's answer: 0 on entry */
	uint32_t count;   /* items: more than 1 only with data_is_ptr */
	uint32_t size;    /* bytes an item: 1, 2, 4, 8 */
	uint32_t vcpu;    /* who asks; MAPCACHE_IOREQ_NO_VCPU: buffered */
	uint8_t type;     /* enum mapcache_ioreq_type, or another IOREQ_TYPE_* of Xen's */
	bool write;       /* the guest writes to the device */
	bool data_is_ptr; /* rep ins/outs/movs: use mapcache_ioreq_copy() */
	bool backwards;   /* df: items at falling addresses */
	bool buffered;    /* nobody waits for it: mapcache_ioreq_handle_buffered() */
	uint64_t id;      /* names it for mapcache_ioreq_defer() and _complete() */
};

#define MAPCACHE_IOREQ_NO_VCPU UINT32_MAX

/* mapcache_ioreq_options.flags */
#define MAPCACHE_IOREQ_DRAIN 0x1u     /* answer INVALIDATE after sections have been drained */
#define MAPCACHE_IOREQ_BUFFERED 0x2u  /* with a ring of buffered requests */
#define MAPCACHE_IOREQ_ALL_TYPES 0x4u /* the handler gets types that this header does not name */

struct mapcache_ioreq_options {
	size_t size;       /* sizeof(struct mapcache_ioreq_options) */
	uint32_t domid;    /* the cache's; another one is refused */
	uint32_t vcpus;    /* of the guest; 0 = ask Xen. More than 128 take several pages of
				slots, which Xen has to know (today's does not) */
	uint32_t flags;    /* MAPCACHE_IOREQ_* */
	uint32_t drain_ms; /* give up draining after this long and answer; default 1000 */

	/*
	 * Everything but INVALIDATE. Called by mapcache_ioreq_handle() on its thread, outside
	 * of sections and locks, with the client given there. 0, or -errno: a failed read
	 * gives the guest all ones (not with data_is_ptr: that memory is the handler's to
	 * write). Either way the request is answered, unless it was deferred. While the handler
	 * runs, its thread answers no INVALIDATE: those of other vCPUs that it serves stand still.
	 * Whatever takes long is to be deferred.
	 */
	int (*handler)(void *handler_data, struct mapcache_client *client,
		       struct mapcache_request *request);
	void *handler_data;
};

/*
 * Create an ioreq server for the cache's guest and map its shared pages (by resource, or by
 * frame number on an older Xen). It is disabled and has no ranges. Opens its handles here:
 * restrict them afterwards.
 *   -EINVAL, -E2BIG, -ENOMEM, or from Xen (vcpus 0: -EOPNOTSUPP where it cannot say)
 */
MAPCACHE_CHECKED int mapcache_ioreq_open(struct mapcache *cache,
					 const struct mapcache_ioreq_options *options,
					 struct mapcache_ioreq **server);

/*
 * Disable, unmap, destroy, close. Unbind the event channels first, and let no other thread
 * be inside a call on this server. Before mapcache_close(). In a child after fork(2) only the
 * handles are closed, and no other call on the server is allowed.
 *   -EINVAL     server is NULL
 *   -EBUSY      a request is deferred: complete it first; nothing was done
 */
int mapcache_ioreq_close(struct mapcache_ioreq *server);

/*
 * Enabling invalidates the server's caches: a server that is not enabled is not told (A). A
 * server that was enabled before is not harmed. May block as a hypercall does.
 *   -ENOENT     the domain is dying, and Xen has destroyed its servers (gone is told)
 */
MAPCACHE_CHECKED int mapcache_ioreq_enable(struct mapcache_ioreq *server, bool enable);

/* The name that Xen knows the server by, for device-model operations that are not wrapped here;
 * for how many vCPUs it was opened. Any thread. -EINVAL: server is NULL. */
int mapcache_ioreq_id(const struct mapcache_ioreq *server);
int mapcache_ioreq_vcpus(const struct mapcache_ioreq *server);

/*
 * The remote port to bind for one vCPU; valid once the server has been enabled. A vCPU past the
 * count that was given at open (added later, say) is served like the others; that it is there is
 * logged once.
 *   -EINVAL     server is NULL, or the pages have no slot for such a vCPU
 *   -EAGAIN     not enabled yet
 *   -ENOENT     the guest has no such vCPU
 */
int mapcache_ioreq_vcpu_port(struct mapcache_ioreq *server, uint32_t vcpu);

/*
 * Another cache of the same guest (another bucket size, another thread's): every INVALIDATE is
 * told to it, too, before the answer, as if it were the server's own. 15 at most. Adding
 * invalidates it. Any thread; removing: let no other thread be inside mapcache_ioreq_handle().
 * Before the cache is closed.
 *   -EINVAL     NULL, or the cache of another domain
 *   -EEXIST     it is there already, or it is the server's own
 *   -ENOSPC     there are 15
 *   -ENOENT     it is not there
 */
MAPCACHE_CHECKED int mapcache_ioreq_add_cache(struct mapcache_ioreq *server,
					      struct mapcache *cache);
int mapcache_ioreq_remove_cache(struct mapcache_ioreq *server, struct mapcache *cache);

/*
 * Requests for [start, end] (both included) go to this server. MAPCACHE_IOREQ_PCI: one whole
 * function, (sbdf << 32) to (sbdf << 32 | 0xffffffff); any two of its registers will do.
 *   -EINVAL     NULL, start > end, a port past 0xffff, two PCI functions
 *   others      from Xen, e.g. -EEXIST, -ENOENT
 */
int mapcache_ioreq_add_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
			     uint64_t start, uint64_t end);
int mapcache_ioreq_remove_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
				uint64_t start, uint64_t end);

/*
 * Serve the request in one vCPU's slot, if there is one. One thread at a time for each
 * vCPU; different vCPUs may be served by different threads, each with its own client, not
 * inside a section. Returns 1 when a request was answered: notify the event channel. 0 when
 * there was none, or it was deferred.
 *   -EINVAL     NULL, vcpu out of range, or inside a section
 */
MAPCACHE_CHECKED int mapcache_ioreq_handle(struct mapcache_ioreq *server,
					   struct mapcache_client *client, uint32_t vcpu);

/*
 * Answer later. defer: in the handler, on its thread, for the request it was called with and
 * before anybody else can complete it; what the handler then returns does not count. Keep a copy
 * of the request. The vCPU waits on; others are served meanwhile, INVALIDATE above all.
 *   -EINVAL     NULL, or not the request that a handler is being called for; a buffered one
 */
MAPCACHE_CHECKED int mapcache_ioreq_defer(struct mapcache_ioreq *server,
					  const struct mapcache_request *request);

/*
 * The answer: the copy with data set if it was a read, error as a handler returns it. Any thread,
 * with a client of its own, not inside a section. Returns 1 when the vCPU was answered: notify
 * its event channel. 0 when the handler has not returned yet, or there is another item of the
 * request (`rep stos`) which was deferred again: who handles that notifies. The handler is called
 * for other items here, on this thread and with this client.
 *   -EINVAL     NULL, or inside a section
 *   -ENOENT     it was not deferred, or has been completed
 */
MAPCACHE_CHECKED int mapcache_ioreq_complete(struct mapcache_ioreq *server,
					     struct mapcache_client *client,
					     const struct mapcache_request *request, int error);

/*
 * The ring of buffered requests (MAPCACHE_IOREQ_BUFFERED): writes that Xen lets the guest go on
 * from, to VGA memory and to the clock (IOREQ_TYPE_TIMEOFFSET, with MAPCACHE_IOREQ_ALL_TYPES).
 * Up to max of them are handed to the handler in the order in which they came; returns how many.
 * When that is max there may be more: call again, after other events had their turn. Nobody is
 * to be notified. Not inside a section. What a vCPU wrote to the ring comes before its next
 * request: mapcache_ioreq_handle() hands on what is in the ring before the handler gets that
 * (INVALIDATE does not wait for it). So one thread serves a server that has a ring, its vCPUs
 * and the ring.
 *   -EINVAL     NULL, max is not positive, or inside a section
 *   -EOPNOTSUPP the server has no ring
 */
int mapcache_ioreq_handle_buffered(struct mapcache_ioreq *server, struct mapcache_client *client,
				   int max);

/* The remote port to bind for the ring: an event says that there is something in it. -EINVAL,
 * -EOPNOTSUPP, or from Xen. */
int mapcache_ioreq_buffered_port(struct mapcache_ioreq *server);

/*
 * Move the data of a data_is_ptr request: to the device, items are read from guest memory
 * into buffer; from the device, they are written from buffer to guest memory. buffer holds
 * items first .. first + count - 1 of the request, in the order the guest named them.
 * Returns the items moved (a short count: the next one's memory could not be reached), or
 * -errno as mapcache_read() when that is none, -EINVAL when first + count is past the end.
 */
int64_t mapcache_ioreq_copy(struct mapcache_client *client, const struct mapcache_request *request,
			    uint32_t first, uint32_t count, void *buffer);

/*
 * Every counter of a server, once: name, meaning. Times in ns; _max: the longest.
 */
#define MAPCACHE_IOREQ_STATISTICS(X)                                                               \
	X(requests, "requests answered, INVALIDATE not among them")                                \
	X(items, "calls of the handler")                                                           \
	X(refused, "requests that the handler did not get, because of what is in them")            \
	X(failed, "items that were answered with an error")                                        \
	X(deferred, "items that the handler deferred")                                             \
	X(buffered, "requests that came by the ring")                                              \
	X(request_ns, "from seeing requests to answering them")                                    \
	X(request_ns_max, "the longest of these: so long a vCPU stood still")                      \
	X(handler_ns, "inside the handler")                                                        \
	X(handler_ns_max, "the longest of these: so long nothing else was served by that thread")  \
	X(invalidates, "INVALIDATE requests answered")                                             \
	X(invalidate_ns, "from seeing INVALIDATE to answering it")                                 \
	X(invalidate_ns_max, "the longest of these")

struct mapcache_ioreq_stats {
	size_t size; /* in: sizeof(struct mapcache_ioreq_stats) */
#define MAPCACHE_IOREQ_STATISTICS_FIELD(name, text) uint64_t name;
	MAPCACHE_IOREQ_STATISTICS(MAPCACHE_IOREQ_STATISTICS_FIELD)
#undef MAPCACHE_IOREQ_STATISTICS_FIELD
};

/*
 * What the server has done since it was opened. Any thread; no locks: what is being served is in
 * some of the counters and not yet in others.
 *   -EINVAL     NULL, or size too small to hold itself
 *   -E2BIG      size is larger than known and the unknown tail is not zero
 */
int mapcache_ioreq_stats(struct mapcache_ioreq *server, struct mapcache_ioreq_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
