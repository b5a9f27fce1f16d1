/* SPDX-License-Identifier: MIT */
/* libxendevicemodel: handles and ioreq servers. What else a device model calls is in
 * devicemodel_guest.c. */
#include <stdlib.h>
/* The values of toolstack interfaces. */
#define __XEN_TOOLS__ 1
#include <xendevicemodel.h>

#include "handles.h"
#include "private.h"

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
					   unsigned int open_flags)
{
	xendevicemodel_handle *dmod = calloc(1, sizeof(*dmod));
	int ret;

	(void)logger;
	(void)open_flags;
	if (!dmod)
		return NULL;
	ret = handle_open(&dmod->handle);
	if (ret) {
		free(dmod);
		return null_errno(ret);
	}
	return dmod;
}

int xendevicemodel_close(xendevicemodel_handle *dmod)
{
	if (!dmod)
		return 0;
	handle_close(&dmod->handle);
	free(dmod);
	return 0;
}

int xendevicemodel_restrict(xendevicemodel_handle *dmod, domid_t domid)
{
	return minus_errno(handle_restrict(&dmod->handle, domid));
}

int devicemodel_begin(xendevicemodel_handle *dmod, uint32_t domid, struct xensim_domain **domain)
{
	int ret = handle_check(&dmod->handle, domid);

	if (!ret)
		ret = fault_check(XENSIM_CALL_DEVICEMODEL);
	if (ret)
		return ret;
	*domain = domain_get(domid);
	if (*domain)
		return 0;
	/* Xen still knows one that is dying; its servers are gone. */
	return domain_is_dying(domid) ? -ENOENT : -ESRCH;
}

int devicemodel_end(struct xensim_domain *domain, int ret)
{
	domain_put(domain);
	return minus_errno(ret);
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
				       int handle_bufioreq, ioservid_t *id)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret)
		return minus_errno(ret);
	if (handle_bufioreq < HVM_IOREQSRV_BUFIOREQ_OFF ||
	    handle_bufioreq > HVM_IOREQSRV_BUFIOREQ_ATOMIC)
		ret = -EINVAL;
	else
		ret = server_create(domain, handle_bufioreq, &dmod->handle, id);
	return devicemodel_end(domain, ret);
}

int xendevicemodel_get_ioreq_server_info(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
					 xen_pfn_t *ioreq_gfn, xen_pfn_t *bufioreq_gfn,
					 evtchn_port_t *bufioreq_port)
{
	uint64_t ioreq = 0, bufioreq = 0;
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret)
		return minus_errno(ret);
	ret = server_gfns(domain, id, ioreq_gfn ? &ioreq : NULL, bufioreq_gfn ? &bufioreq : NULL,
			  bufioreq_port);
	if (!ret && ioreq_gfn)
		*ioreq_gfn = ioreq;
	if (!ret && bufioreq_gfn)
		*bufioreq_gfn = bufioreq;
	return devicemodel_end(domain, ret);
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret)
		return minus_errno(ret);
	return devicemodel_end(domain, server_destroy(domain, id));
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
					  int enabled)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret)
		return minus_errno(ret);
	return devicemodel_end(domain, server_enable(domain, id, enabled != 0));
}

static int change_range(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id, bool add,
			unsigned int type, uint64_t start, uint64_t end)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret)
		return minus_errno(ret);
	ret = add ? server_add_range(domain, id, type, start, end)
		  : server_remove_range(domain, id, type, start, end);
	return devicemodel_end(domain, ret);
}

static unsigned int range_type(int is_mmio)
{
	return is_mmio ? XEN_DMOP_IO_RANGE_MEMORY : XEN_DMOP_IO_RANGE_PORT;
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						ioservid_t id, int is_mmio, uint64_t start,
						uint64_t end)
{
	return change_range(dmod, domid, id, true, range_type(is_mmio), start, end);
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						    ioservid_t id, int is_mmio, uint64_t start,
						    uint64_t end)
{
	return change_range(dmod, domid, id, false, range_type(is_mmio), start, end);
}

int xendevicemodel_map_pcidev_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
					      ioservid_t id, uint16_t segment, uint8_t bus,
					      uint8_t device, uint8_t function)
{
	uint32_t sbdf = XEN_DMOP_PCI_SBDF((uint32_t)segment, bus, device, function);

	if (device > 0x1f || function > 7)
		return minus_errno(EINVAL);
	return change_range(dmod, domid, id, true, XEN_DMOP_IO_RANGE_PCI, sbdf, sbdf);
}

int xendevicemodel_unmap_pcidev_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						  ioservid_t id, uint16_t segment, uint8_t bus,
						  uint8_t device, uint8_t function)
{
	uint32_t sbdf = XEN_DMOP_PCI_SBDF((uint32_t)segment, bus, device, function);

	if (device > 0x1f || function > 7)
		return minus_errno(EINVAL);
	return change_range(dmod, domid, id, false, XEN_DMOP_IO_RANGE_PCI, sbdf, sbdf);
}
