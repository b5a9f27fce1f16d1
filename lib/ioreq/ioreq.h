/* SPDX-License-Identifier: MIT */
/*
 * The parts of an ioreq server (mapcache/ioreq.h):
 *
 *   ioreq.c        its life: open, close, enable, ranges
 *   ioreq_slot.c   the protocol of one vCPU's slot in the shared page
 *   ioreq_check.c  what a request must look like before anybody computes with it
 *   ioreq_copy.c   the data of a data_is_ptr request
 *   ioreq_xen.c    the calls into Xen's libraries, and nothing else
 */
#ifndef MAPCACHE_LIB_IOREQ_H
#define MAPCACHE_LIB_IOREQ_H

#include <stdint.h>

#include <xendevicemodel.h>
#include <xenforeignmemory.h>
#include <xen/hvm/ioreq.h>

#include <mapcache/ioreq.h>

/* What fits the shared page: one slot a vCPU. */
#define IOREQ_VCPUS_MAX (4096u / sizeof(struct ioreq))

/* Xen's side of a server: its handles, its name, its page. */
struct ioreq_xen {
	xendevicemodel_handle *devicemodel;
	xenforeignmemory_handle *foreign;
	xenforeignmemory_resource_handle *resource; /* NULL: slots were mapped by frame */
	struct ioreq *slots;
	domid_t domid;
	ioservid_t id;
};

struct mapcache_ioreq {
	struct mapcache *cache;
	struct mapcache_ioreq_options options;
	struct ioreq_xen xen;
	pid_t pid; /* who opened it: a child may only close */
	/* The page means something: Xen clears it when it enables the server, and until
	 * then the frame of an older Xen can be written by the guest. */
	mapcache_atomic_u32 enabled_once;
};

/* Open the handles, create the server, map its page. 0 or -errno with nothing left behind. */
int ioreq_xen_open(struct ioreq_xen *xen, domid_t domid);
/* The reverse. Every step is tried; returns the first error. */
int ioreq_xen_close(struct ioreq_xen *xen);
/* Its last part alone, which leaves the server as it is: for a child after fork(2). */
int ioreq_xen_close_handles(struct ioreq_xen *xen);
int ioreq_xen_set_state(struct ioreq_xen *xen, bool enable);
/* One range that ioreq_check_range() found good. */
int ioreq_xen_range(struct ioreq_xen *xen, enum mapcache_ioreq_type type, uint64_t start,
		    uint64_t end, bool add);

/*
 * Turn a private copy of a slot into a request, if it is one for the handler. 0, or -EINVAL:
 * request is then not to be used.
 */
int ioreq_check_request(const struct ioreq *raw, uint32_t vcpu, struct mapcache_request *request);
int ioreq_check_range(enum mapcache_ioreq_type type, uint64_t start, uint64_t end);
/* Whether no byte of count items from gpa on, downwards or upwards, wraps around. count >= 1. */
bool ioreq_check_items(uint64_t first, uint32_t size, uint32_t count, bool backwards);
bool ioreq_check_size(uint32_t size);

#endif
