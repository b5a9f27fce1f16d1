/* SPDX-License-Identifier: MIT */
/*
 * An ioreq server as Xen's libraries know it. The only file of the server that calls
 * libxendevicemodel and libxenforeignmemory.
 */
/* Xen's headers show the names of the device model's interface to its tools only. */
#define __XEN_TOOLS__ 1

#include <errno.h>
#include <sys/mman.h>

#include "lib/xen/ioreq_xen.h"

#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>

/* The libraries return -1 and leave the reason in errno; none is still an error. */
static int library_error(void)
{
	return errno != 0 ? -errno : -EIO;
}

static int result(int returned)
{
	return returned < 0 ? library_error() : 0;
}

/* The page of a frame, mapped. No err[]: then one that cannot be mapped is NULL, and not a hole. */
static void *map_frame(struct ioreq_xen *xen, xen_pfn_t frame)
{
	return xenforeignmemory_map(xen->foreign, xen->domid, PROT_READ | PROT_WRITE, 1, &frame,
				    NULL);
}

/* An older Xen keeps the pages at frames of the guest, and has one for slots. It makes those
 * that are asked for. */
static int map_by_frame(struct ioreq_xen *xen, bool buffered)
{
	xen_pfn_t frame, ring = 0;
	int error;

	if (xen->pages > 1)
		return -EOPNOTSUPP;
	error = result(xendevicemodel_get_ioreq_server_info(xen->devicemodel, xen->domid, xen->id,
							    &frame, buffered ? &ring : NULL, NULL));
	if (error)
		return error;
	xen->slots = map_frame(xen, frame);
	if (xen->slots != NULL && buffered)
		xen->ring = map_frame(xen, ring);
	if ((buffered ? (void *)xen->ring : xen->slots) != NULL)
		return 0;
	error = library_error();
	if (xen->slots != NULL)
		xenforeignmemory_unmap(xen->foreign, xen->slots, 1);
	return error;
}

/* The ring's frame comes before those of the slots. */
static int map_pages(struct ioreq_xen *xen, bool buffered)
{
	unsigned int first = buffered ? XENMEM_resource_ioreq_server_frame_bufioreq
				      : XENMEM_resource_ioreq_server_frame_ioreq(0);
	void *pages = NULL;

	xen->resource = xenforeignmemory_map_resource(xen->foreign, xen->domid,
						      XENMEM_resource_ioreq_server, xen->id, first,
						      xen->pages + buffered, &pages,
						      PROT_READ | PROT_WRITE, 0);
	if (xen->resource == NULL)
		return errno == EOPNOTSUPP ? map_by_frame(xen, buffered) : library_error();
	if (buffered)
		xen->ring = pages;
	xen->slots = (struct ioreq *)((char *)pages + (buffered ? 4096 : 0));
	return 0;
}

static int unmap_pages(struct ioreq_xen *xen)
{
	int slots, ring = 0;

	if (xen->resource != NULL)
		return result(xenforeignmemory_unmap_resource(xen->foreign, xen->resource));
	slots = result(xenforeignmemory_unmap(xen->foreign, xen->slots, 1));
	if (xen->ring != NULL)
		ring = result(xenforeignmemory_unmap(xen->foreign, xen->ring, 1));
	return slots ? slots : ring;
}

static int destroy_server(struct ioreq_xen *xen)
{
	return result(xendevicemodel_destroy_ioreq_server(xen->devicemodel, xen->domid, xen->id));
}

int ioreq_xen_open(struct ioreq_xen *xen, domid_t domid)
{
	int error;

	*xen = (struct ioreq_xen){ .domid = domid };
	xen->foreign = xenforeignmemory_open(NULL, 0);
	if (xen->foreign != NULL)
		xen->devicemodel = xendevicemodel_open(NULL, 0);
	if (xen->devicemodel != NULL)
		return 0;
	error = library_error();
	xenforeignmemory_close(xen->foreign);
	return error;
}

int ioreq_xen_close(struct ioreq_xen *xen)
{
	int devicemodel = result(xendevicemodel_close(xen->devicemodel));
	int foreign = result(xenforeignmemory_close(xen->foreign));

	return devicemodel ? devicemodel : foreign;
}

int ioreq_xen_vcpus(struct ioreq_xen *xen, uint32_t *vcpus)
{
	unsigned int count = 0;
	int error = result(xendevicemodel_nr_vcpus(xen->devicemodel, xen->domid, &count));

	*vcpus = count;
	return error;
}

int ioreq_xen_create(struct ioreq_xen *xen, uint32_t pages, bool buffered)
{
	int handling = buffered ? HVM_IOREQSRV_BUFIOREQ_ATOMIC : HVM_IOREQSRV_BUFIOREQ_OFF;
	int error = result(xendevicemodel_create_ioreq_server(xen->devicemodel, xen->domid,
							      handling, &xen->id));

	if (error)
		return error;
	xen->pages = pages;
	error = map_pages(xen, buffered);
	if (error)
		destroy_server(xen);
	return error;
}

int ioreq_xen_destroy(struct ioreq_xen *xen)
{
	int disabled = ioreq_xen_set_state(xen, false);
	/* The pages go before the server: Xen frees them with the last mapping. */
	int unmapped = unmap_pages(xen);
	int destroyed = destroy_server(xen);

	unmapped = disabled ? disabled : unmapped;
	return unmapped ? unmapped : destroyed;
}

int ioreq_xen_ring_port(struct ioreq_xen *xen, uint32_t *port)
{
	evtchn_port_t channel = 0;
	int error = result(xendevicemodel_get_ioreq_server_info(xen->devicemodel, xen->domid,
								xen->id, NULL, NULL, &channel));

	*port = channel;
	return error;
}

int ioreq_xen_set_state(struct ioreq_xen *xen, bool enable)
{
	return result(xendevicemodel_set_ioreq_server_state(xen->devicemodel, xen->domid, xen->id,
							    enable));
}

static int pci_function(struct ioreq_xen *xen, uint64_t address, bool add)
{
	uint16_t segment = (uint16_t)(address >> 48);
	uint8_t bus = (uint8_t)(address >> 40);
	uint8_t device = (uint8_t)(address >> 35 & 0x1f);
	uint8_t function = (uint8_t)(address >> 32 & 0x7);

	if (add)
		return result(xendevicemodel_map_pcidev_to_ioreq_server(
			xen->devicemodel, xen->domid, xen->id, segment, bus, device, function));
	return result(xendevicemodel_unmap_pcidev_from_ioreq_server(
		xen->devicemodel, xen->domid, xen->id, segment, bus, device, function));
}

int ioreq_xen_range(struct ioreq_xen *xen, enum mapcache_ioreq_type type, uint64_t start,
		    uint64_t end, bool add)
{
	int memory = type == MAPCACHE_IOREQ_MEMORY;

	if (type == MAPCACHE_IOREQ_PCI)
		return pci_function(xen, start, add);
	if (add)
		return result(xendevicemodel_map_io_range_to_ioreq_server(
			xen->devicemodel, xen->domid, xen->id, memory, start, end));
	return result(xendevicemodel_unmap_io_range_from_ioreq_server(xen->devicemodel, xen->domid,
								      xen->id, memory, start, end));
}
