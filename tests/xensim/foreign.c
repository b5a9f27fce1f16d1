/* SPDX-License-Identifier: MIT */
/* libxenforeignmemory: mapping the frames of a domain. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenforeignmemory.h>

#include "handles.h"
#include "private.h"

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned open_flags)
{
	xenforeignmemory_handle *fmem = calloc(1, sizeof(*fmem));
	int ret;

	(void)logger;
	(void)open_flags;
	if (!fmem)
		return NULL;
	ret = handle_open(&fmem->handle);
	if (ret) {
		free(fmem);
		return null_errno(ret);
	}
	return fmem;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
	if (!fmem)
		return 0;
	handle_close(&fmem->handle);
	free(fmem);
	return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
	return minus_errno(handle_restrict(&fmem->handle, domid));
}

/* A reference on the page behind one frame. 0, or -errno as Xen puts it into err[]. */
static int get_frame(struct xensim_domain *domain, uint64_t gfn, int prot, uint64_t *mfn)
{
	/* What a PV dom0's page-table entry has room for; the rest is cut off. */
	if (host.options.arch == XENSIM_X86)
		gfn &= (UINT64_C(1) << 40) - 1;
	for (;;) {
		enum xensim_p2m_type type = p2m_get_page(domain, gfn, mfn);

		switch (type) {
		case XENSIM_RAM:
		case XENSIM_RAM_RO: /* dom0 may write what the guest may not */
			return 0;
		case XENSIM_DENIED:
			if (!(prot & PROT_WRITE))
				return 0;
			page_put(*mfn);
			*mfn = XENSIM_INVALID_MFN;
			return -EACCES;
		case XENSIM_PAGED_OUT:
			/* The library's own loop: no bound, and nothing held. */
			if (load_acquire(&domain->state) == DOMAIN_DYING)
				return -ESRCH;
			usleep(100);
			continue;
		case XENSIM_GRANT: /* not this domain's page */
			page_put(*mfn);
			*mfn = XENSIM_INVALID_MFN;
			return -EINVAL;
		default:
			return -EINVAL;
		}
	}
}

struct request {
	uint32_t domid;
	int prot;
	size_t pages;
	const xen_pfn_t *gfn;
	int *error; /* pages entries, 0 or -errno */
};

/* Returns the first error. */
static int get_frames(const struct request *request, struct mapping *mapping)
{
	struct xensim_domain *domain = domain_get(request->domid);
	unsigned int step;
	int injected, first = 0;
	int nobody = domain_is_dying(request->domid) ? -EINVAL : -ESRCH;
	size_t i;

	fault_pages(&step, &injected);
	for (i = 0; i < request->pages; i++) {
		int ret = nobody;

		mapping->mfn[i] = XENSIM_INVALID_MFN;
		if (domain && step && i % step == 0)
			ret = injected;
		else if (domain)
			ret = get_frame(domain, request->gfn[i], request->prot, &mapping->mfn[i]);
		if (request->error)
			request->error[i] = ret;
		if (ret && !first)
			first = ret;
	}
	if (domain)
		domain_put(domain);
	return first;
}

static void put_frames(const struct mapping *mapping)
{
	size_t i;

	for (i = 0; i < mapping->pages; i++)
		if (mapping->mfn[i] != XENSIM_INVALID_MFN)
			page_put(mapping->mfn[i]);
}

/* The error that the caller sees: the ioctl's, unless already the mmap before it has failed. */
static int ioctl_failed(void *address, size_t pages, int flags, int error)
{
	int ret = flags & MAP_FIXED ? foreign_fail(address, pages) : 0;

	return ret ? ret : error;
}

static int map_frames(const struct request *request, void *address, int flags, void **result)
{
	struct mapping *mapping = mapping_new(0, request->pages);
	int ret;

	if (!mapping)
		return -ENOMEM;
	jitter();
	ret = get_frames(request, mapping);
	jitter();
	if (!ret || request->error) {
		spend(cost_of_map(request->pages));
		ret = foreign_install(mapping, address, request->prot, flags);
	} else {
		ret = ioctl_failed(address, request->pages, flags, ret);
	}
	if (ret) {
		put_frames(mapping);
		free(mapping);
		return ret;
	}
	*result = (void *)mapping->base;
	return 0;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr, int prot,
			    int flags, size_t pages, const xen_pfn_t arr[], int err[])
{
	const struct request request = {
		.domid = dom,
		.prot = prot,
		.pages = pages,
		.gfn = arr,
		.error = err,
	};
	void *result = NULL;
	int ret = 0;

	if (!pages)
		return null_errno(EINVAL);
	add_relaxed(&host.map_calls, 1);
	fault_map_hook(false, arr[0], pages);
	fault_hang(dom, arr, pages);
	ret = handle_check(&fmem->handle, dom);
	if (!ret)
		ret = fault_check(XENSIM_CALL_MAP);
	if (!ret)
		ret = map_frames(&request, addr, flags, &result);
	else if (ret != -EBADF)
		ret = ioctl_failed(addr, pages, flags, ret);
	fault_map_hook(true, arr[0], pages);
	if (ret)
		return null_errno(ret);
	/* With err[] errno says nothing, and is seen to be 0. */
	if (err)
		errno = 0;
	return result;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
			   const xen_pfn_t arr[], int err[])
{
	return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
	(void)fmem;
	return munmap(addr, pages << PAGE_SHIFT);
}
