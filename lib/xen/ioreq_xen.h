/* SPDX-License-Identifier: MIT */
/*
 * An ioreq server as Xen's libraries know it: its handles, its name, its pages. One slot for each
 * vCPU, 128 of them a page, and the ring of buffered requests, if it has one.
 */
#ifndef MAPCACHE_IOREQ_XEN_H
#define MAPCACHE_IOREQ_XEN_H

#include <stdbool.h>
#include <stdint.h>

#include <xendevicemodel.h>
#include <xenforeignmemory.h>
#include <xen/hvm/ioreq.h>

#include <mapcache/ioreq.h>

#define IOREQ_PAGE_SLOTS (4096u / sizeof(struct ioreq))

struct ioreq_xen {
	xendevicemodel_handle *devicemodel;
	xenforeignmemory_handle *foreign;
	xenforeignmemory_resource_handle *resource; /* NULL: pages were mapped by frame */
	struct ioreq *slots;
	struct buffered_iopage *ring; /* NULL: requests are not buffered */
	uint32_t pages;               /* of slots */
	domid_t domid;
	ioservid_t id;
};

/* Open the handles. 0 or -errno with nothing left behind. */
int ioreq_xen_open(struct ioreq_xen *xen, domid_t domid);
/* How many vCPUs the guest can have. */
int ioreq_xen_vcpus(struct ioreq_xen *xen, uint32_t *vcpus);
/* Create the server, map so many pages of slots. 0 or -errno with nothing left behind. */
int ioreq_xen_create(struct ioreq_xen *xen, uint32_t pages, bool buffered);
/* The reverse. Every step is tried; returns the first error. */
int ioreq_xen_destroy(struct ioreq_xen *xen);
int ioreq_xen_close(struct ioreq_xen *xen);
int ioreq_xen_set_state(struct ioreq_xen *xen, bool enable);
/* The ring's event channel. */
int ioreq_xen_ring_port(struct ioreq_xen *xen, uint32_t *port);
/* One range that ioreq_check_range() found good. */
int ioreq_xen_range(struct ioreq_xen *xen, enum mapcache_ioreq_type type, uint64_t start,
		    uint64_t end, bool add);

#endif
