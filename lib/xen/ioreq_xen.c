/* SPDX-License-Identifier: MIT */
/*
 * An ioreq server as Xen's libraries know it. The only file of the server that calls
 * libxendevicemodel and libxenforeignmemory.
 */
/* Xen's headers show the names of the device model's interface to its tools only. */
#define __XEN_TOOLS__ 1

#include <errno.h>
#include <sys/mman.h>

#include "lib/ioreq/ioreq.h"

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

/*
 * An older Xen keeps the page at a frame of the guest. Asking for no buffered ring, as here
 * and at creation, needs only the one frame.
 */
static int map_by_frame(struct ioreq_xen *xen)
{
	xen_pfn_t frame;
	int error = result(xendevicemodel_get_ioreq_server_info(xen->devicemodel, xen->domid,
								xen->id, &frame, NULL, NULL));

	if (error)
		return error;
	/* No err[]: then a frame that cannot be mapped is NULL, and not a hole. */
	xen->slots = xenforeignmemory_map(xen->foreign, xen->domid, PROT_READ | PROT_WRITE, 1,
					  &frame, NULL);
	return xen->slots != NULL ? 0 : library_error();
}

static int map_slots(struct ioreq_xen *xen)
{
	void *page = NULL;

	xen->resource = xenforeignmemory_map_resource(xen->foreign, xen->domid,
						      XENMEM_resource_ioreq_server, xen->id,
						      XENMEM_resource_ioreq_server_frame_ioreq(0),
						      1, &page, PROT_READ | PROT_WRITE, 0);
	if (xen->resource != NULL) {
		xen->slots = page;
		return 0;
	}
	if (errno == EOPNOTSUPP)
		return map_by_frame(xen);
	return library_error();
}

static int unmap_slots(struct ioreq_xen *xen)
{
	if (xen->resource != NULL)
		return result(xenforeignmemory_unmap_resource(xen->foreign, xen->resource));
	return result(xenforeignmemory_unmap(xen->foreign, xen->slots, 1));
}

static int create_server(struct ioreq_xen *xen)
{
	return result(xendevicemodel_create_ioreq_server(xen->devicemodel, xen->domid,
							 HVM_IOREQSRV_BUFIOREQ_OFF, &xen->id));
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
	if (xen->foreign == NULL)
		return library_error();
	xen->devicemodel = xendevicemodel_open(NULL, 0);
	if (xen->devicemodel == NULL) {
		error = library_error();
		goto close_foreign;
	}
	error = create_server(xen);
	if (error)
		goto close_devicemodel;
	error = map_slots(xen);
	if (error)
		goto destroy;
	return 0;
destroy:
	destroy_server(xen);
close_devicemodel:
	xendevicemodel_close(xen->devicemodel);
close_foreign:
	xenforeignmemory_close(xen->foreign);
	return error;
}

int ioreq_xen_close_handles(struct ioreq_xen *xen)
{
	int devicemodel = result(xendevicemodel_close(xen->devicemodel));
	int foreign = result(xenforeignmemory_close(xen->foreign));

	return devicemodel ? devicemodel : foreign;
}

int ioreq_xen_close(struct ioreq_xen *xen)
{
	int error[4];

	/* The page goes before the server: Xen frees it with the last mapping of it. */
	error[0] = ioreq_xen_set_state(xen, false);
	error[1] = unmap_slots(xen);
	error[2] = destroy_server(xen);
	error[3] = ioreq_xen_close_handles(xen);
	for (unsigned int step = 0; step < 4; step++)
		if (error[step])
			return error[step];
	return 0;
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
