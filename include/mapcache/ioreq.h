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
 * not pass is answered without the handler: reads get all ones.
 */
struct mapcache_request {
	uint64_t addr;    /* of the register: port, gpa, or PCI register; first item */
	uint64_t data;    /* the value written, or (data_is_ptr) the gpa of the first item;
				for a read without data_is_ptr the handler's answer: 0 on entry */
	uint32_t count;   /* items: more than 1 only with data_is_ptr */
	uint32_t size;    /* bytes an item: 1, 2, 4, 8 */
	uint32_t vcpu;    /* who asks */
	uint8_t type;     /* enum mapcache_ioreq_type */
	bool write;       /* the guest writes to the device */
	bool data_is_ptr; /* rep ins/outs/movs: use mapcache_ioreq_copy() */
	bool backwards;   /* df: items at falling addresses */
};

/* mapcache_ioreq_options.flags */
#define MAPCACHE_IOREQ_DRAIN 0x1u /* answer INVALIDATE after sections have been drained */

struct mapcache_ioreq_options {
	size_t size;       /* sizeof(struct mapcache_ioreq_options) */
	uint32_t domid;    /* as the cache's */
	uint32_t vcpus;    /* of the guest, 1..128 */
	uint32_t flags;    /* MAPCACHE_IOREQ_DRAIN */
	uint32_t drain_ms; /* give up draining after this long and answer; default 1000 */

	/*
	 * Everything but INVALIDATE. Called by mapcache_ioreq_handle() on its thread, outside
	 * of sections and locks, with the client given there. 0, or -errno: a failed read
	 * gives the guest all ones (not with data_is_ptr: that memory is the handler's to
	 * write). Either way the request is answered.
	 */
	int (*handler)(void *handler_data, struct mapcache_client *client,
		       struct mapcache_request *request);
	void *handler_data;
};

/*
 * Create an ioreq server for the cache's guest and map its shared page (by resource, or by
 * frame number on an older Xen). It is disabled and has no ranges. Opens its handles here:
 * restrict them afterwards.
 *   -EINVAL, -E2BIG, -ENOMEM, or from Xen
 */
int mapcache_ioreq_open(struct mapcache *cache, const struct mapcache_ioreq_options *options,
			struct mapcache_ioreq **server);

/*
 * Disable, unmap, destroy, close. Unbind the event channels first, and let no other thread
 * be inside a call on this server. Before mapcache_close(). In a child after fork(2) only the
 * handles are closed, and no other call on the server is allowed.
 *   -EINVAL     server is NULL
 */
int mapcache_ioreq_close(struct mapcache_ioreq *server);

/*
 * Enabling invalidates the cache: a server that is not enabled is not told (A). A server
 * that was enabled before is not harmed. May block as a hypercall does.
 */
int mapcache_ioreq_enable(struct mapcache_ioreq *server, bool enable);

/* The remote port to bind for one vCPU; valid once the server has been enabled. -EINVAL,
 * -EAGAIN (not enabled yet). */
int mapcache_ioreq_vcpu_port(struct mapcache_ioreq *server, uint32_t vcpu);

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
 * there was none.
 *   -EINVAL     NULL, vcpu out of range, or inside a section
 */
int mapcache_ioreq_handle(struct mapcache_ioreq *server, struct mapcache_client *client,
			  uint32_t vcpu);

/*
 * Move the data of a data_is_ptr request: to the device, items are read from guest memory
 * into buffer; from the device, they are written from buffer to guest memory. buffer holds
 * items first .. first + count - 1 of the request, in the order the guest named them.
 * Returns the items moved (a short count: the next one's memory could not be reached), or
 * -errno as mapcache_read() when that is none, -EINVAL when first + count is past the end.
 */
int64_t mapcache_ioreq_copy(struct mapcache_client *client, const struct mapcache_request *request,
			    uint32_t first, uint32_t count, void *buffer);

#ifdef __cplusplus
}
#endif

#endif
