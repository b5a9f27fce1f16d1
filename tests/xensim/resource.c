/* SPDX-License-Identifier: MIT */
/* libxenforeignmemory: mapping the pages of an ioreq server as a resource. */
#define _GNU_SOURCE
#define __XEN_TOOLS__ 1 /* the values of toolstack interfaces */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xenforeignmemory.h>
#include <xen/memory.h>

#include "handles.h"
#include "private.h"

#define RESOURCE_FRAMES 2u /* bufioreq, ioreq */

struct xenforeignmemory_resource_handle {
	void *address;
	size_t pages;
};

static void put_frames(struct mapping *mapping, size_t count)
{
	while (count--)
		page_put(mapping->mfn[count]);
}

static int map_frames(struct ioreq_server *server, unsigned long frame, unsigned long count,
		      void **address, int prot, int flags)
{
	struct mapping *mapping;
	unsigned long i;
	int ret = 0;

	if (!count || frame >= RESOURCE_FRAMES || count > RESOURCE_FRAMES - frame)
		return -EINVAL;
	mapping = mapping_new(0, count);
	if (!mapping)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		ret = server_frame(server, frame + i, &mapping->mfn[i]);
		if (ret)
			goto fail;
	}
	ret = foreign_install(mapping, *address, prot, flags);
	if (ret)
		goto fail;
	*address = (void *)mapping->base;
	return 0;
fail:
	put_frames(mapping, i);
	free(mapping);
	return ret;
}

static int check(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type)
{
	int ret = handle_check(&fmem->handle, domid);

	if (!ret && host.options.no_map_resource)
		ret = -EOPNOTSUPP;
	if (!ret && type != XENMEM_resource_ioreq_server)
		ret = -EOPNOTSUPP;
	return ret;
}

static int with_server(domid_t domid, unsigned int id, struct ioreq_server **server)
{
	struct xensim_domain *domain = domain_get(domid);

	if (!domain)
		return -ESRCH;
	*server = id < MAX_SERVERS ? server_get(domain, (uint16_t)id) : NULL;
	domain_put(domain);
	return *server ? 0 : -ENOENT;
}

xenforeignmemory_resource_handle *
xenforeignmemory_map_resource(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type,
			      unsigned int id, unsigned long frame, unsigned long nr_frames,
			      void **paddr, int prot, int flags)
{
	xenforeignmemory_resource_handle *resource;
	struct ioreq_server *server;
	int ret = check(fmem, domid, type);

	if (!ret)
		ret = fault_check(XENSIM_CALL_MAP_RESOURCE);
	if (!ret)
		ret = with_server(domid, id, &server);
	if (ret)
		return null_errno(ret);
	resource = calloc(1, sizeof(*resource));
	ret = resource ? map_frames(server, frame, nr_frames, paddr, prot, flags) : -ENOMEM;
	server_put(server);
	if (ret) {
		free(resource);
		return null_errno(ret);
	}
	resource->address = *paddr;
	resource->pages = nr_frames;
	return resource;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fmem,
				    xenforeignmemory_resource_handle *fres)
{
	int ret = munmap(fres->address, fres->pages << PAGE_SHIFT);

	(void)fmem;
	if (!ret)
		free(fres);
	return ret;
}

int xenforeignmemory_resource_size(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type,
				   unsigned int id, size_t *size)
{
	struct ioreq_server *server;
	int ret = check(fmem, domid, type);

	if (!ret)
		ret = with_server(domid, id, &server);
	if (ret)
		return minus_errno(ret);
	server_put(server);
	*size = RESOURCE_FRAMES * XENSIM_PAGE;
	return 0;
}
