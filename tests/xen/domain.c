/* SPDX-License-Identifier: MIT */
#include "tests/xen/domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xenforeignmemory.h>

#include "tests/xen/arch.h"
#include "tests/xen/protocol.h"
#include "tests/xen/test.h"

#define GUEST_IMAGE "/guest.bin"
/* Page tables of the guest's memory: enough for every page alone. */
#define POOL_BASE_BYTES (4u << 20)
#define SOILED_PAGES 4096u
#define SOILED_AT_ONCE 256u

void domain_require(int result, const char *what)
{
	if (result)
		test_fail(__FILE__, __LINE__, "%s: %s", what, strerror(errno));
}

static void populate(const struct domain *domain, unsigned int order)
{
	uint64_t extents = domain->pages >> order;
	xen_pfn_t *gfns = calloc(extents, sizeof(*gfns));

	CHECK(gfns && extents << order == domain->pages);
	for (uint64_t i = 0; i < extents; i++)
		gfns[i] = GUEST_RAM / GUEST_PAGE_SIZE + (i << order);
	domain_require(xc_domain_populate_physmap_exact(domain->control, domain->id, extents, order,
							0, gfns),
		       "populate");
	free(gfns);
}

/*
 * A new domain's memory need not be zero: what a live one gave back is not. So it never is here,
 * as far as tests look at it.
 */
static void soil(const struct domain *domain)
{
	xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
	xen_pfn_t gfns[SOILED_AT_ONCE];

	CHECK(memory);
	for (uint64_t done = 0; done < domain->pages && done < SOILED_PAGES;) {
		size_t count = domain->pages - done < SOILED_AT_ONCE ? domain->pages - done
								     : SOILED_AT_ONCE;
		void *pages;

		for (size_t i = 0; i < count; i++)
			gfns[i] = GUEST_RAM / GUEST_PAGE_SIZE + done + i;
		pages = xenforeignmemory_map(memory, domain->id, PROT_READ | PROT_WRITE, count,
					     gfns, NULL);
		CHECK(pages);
		memset(pages, 0xa5, count * GUEST_PAGE_SIZE);
		xenforeignmemory_unmap(memory, pages, count);
		done += count;
	}
	xenforeignmemory_close(memory);
}

/* Copy the guest's image to where the vCPUs start. */
static void load_image(const struct domain *domain)
{
	xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
	FILE *file = fopen(GUEST_IMAGE, "rb");
	xen_pfn_t gfn = GUEST_ENTRY / GUEST_PAGE_SIZE;
	size_t length;
	void *page;

	CHECK(memory && file);
	do {
		page = xenforeignmemory_map(memory, domain->id, PROT_READ | PROT_WRITE, 1, &gfn,
					    NULL);
		CHECK(page);
		length = fread(page, 1, GUEST_PAGE_SIZE, file);
		xenforeignmemory_unmap(memory, page, 1);
		gfn++;
	} while (length == GUEST_PAGE_SIZE);
	CHECK(gfn * GUEST_PAGE_SIZE <= GUEST_DATA);
	fclose(file);
	xenforeignmemory_close(memory);
}

void domain_create(struct domain *domain, uint32_t vcpus, uint64_t pages, unsigned int order)
{
	struct xen_domctl_createdomain options = {
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = vcpus,
		.max_evtchn_port = -1,
		.max_grant_frames = -1,
		.max_maptrack_frames = -1,
		.grant_opts = XEN_DOMCTL_GRANT_version(1),
	};

	arch_set_options(&options);
	*domain = (struct domain){ .vcpus = vcpus, .pages = pages };
	domain->control = xc_interface_open(NULL, NULL, 0);
	CHECK(domain->control);
	domain_require(xc_domain_create(domain->control, &domain->id, &options), "create");
	domain_require(xc_domain_max_vcpus(domain->control, domain->id, (int)vcpus), "vCPUs");
	arch_set_width(domain);
	/* In KiB; some more than it has, so that it can get a page before it gives one. */
	domain_require(xc_domain_setmaxmem(domain->control, domain->id, (pages + 256) * 4),
		       "maximum");
	domain_require(xc_set_paging_mempool_size(domain->control, domain->id,
						  POOL_BASE_BYTES + ((pages / 256) << 12)),
		       "paging pool");
	populate(domain, order);
	soil(domain);
	load_image(domain);
	arch_set_vcpus(domain);
}

void domain_unpause(const struct domain *domain)
{
	domain_require(xc_domain_unpause(domain->control, domain->id), "unpause");
}

void domain_destroy(struct domain *domain)
{
	domain_require(xc_domain_destroy(domain->control, domain->id), "destroy");
}

static bool information(const struct domain *domain, xc_domaininfo_t *info)
{
	int count = xc_domain_getinfolist(domain->control, domain->id, 1, info);

	return count == 1 && info->domain == domain->id;
}

uint64_t domain_page_count(const struct domain *domain)
{
	xc_domaininfo_t info;

	return information(domain, &info) ? info.tot_pages : 0;
}

bool domain_exists(const struct domain *domain)
{
	xc_domaininfo_t info;

	return information(domain, &info);
}

bool domain_wait_gone(const struct domain *domain, unsigned int timeout_ms)
{
	for (unsigned int waited = 0; domain_exists(domain); waited += 5) {
		if (waited >= timeout_ms)
			return false;
		test_sleep_ms(5);
	}
	return true;
}

bool domain_has_shut_down(const struct domain *domain)
{
	xc_domaininfo_t info;

	return information(domain, &info) && (info.flags & XEN_DOMINF_shutdown);
}

bool domain_vcpu_stands_still(const struct domain *domain, uint32_t vcpu)
{
	xc_vcpuinfo_t before, after;

	domain_require(xc_vcpu_getinfo(domain->control, domain->id, vcpu, &before), "vCPU");
	test_sleep_ms(100);
	domain_require(xc_vcpu_getinfo(domain->control, domain->id, vcpu, &after), "vCPU");
	/* One that waits for a device model is paused inside Xen and gets no time. */
	return !after.running && after.cpu_time == before.cpu_time;
}

int domain_take_page(const struct domain *domain, uint64_t gfn)
{
	xen_pfn_t frame = gfn;

	return xc_domain_decrease_reservation_exact(domain->control, domain->id, 1, 0, &frame)
		       ? -errno
		       : 0;
}

int domain_give_page(const struct domain *domain, uint64_t gfn)
{
	xen_pfn_t frame = gfn;

	return xc_domain_populate_physmap_exact(domain->control, domain->id, 1, 0, 0, &frame)
		       ? -errno
		       : 0;
}

void domain_write_marks(const struct domain *domain, uint64_t gfn, uint32_t count, uint32_t mark)
{
	xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
	xen_pfn_t *gfns = calloc(count, sizeof(*gfns));
	uint8_t *pages;

	CHECK(memory && gfns);
	for (uint32_t i = 0; i < count; i++)
		gfns[i] = gfn + i;
	pages = xenforeignmemory_map(memory, domain->id, PROT_READ | PROT_WRITE, count, gfns, NULL);
	CHECK(pages);
	for (uint32_t i = 0; i < count; i++)
		*(uint32_t *)(pages + (size_t)i * GUEST_PAGE_SIZE) = mark + i;
	xenforeignmemory_unmap(memory, pages, count);
	xenforeignmemory_close(memory);
	free(gfns);
}

unsigned int domain_destroy_all(void)
{
	xc_interface *control = xc_interface_open(NULL, NULL, 0);
	xc_domaininfo_t info[16];
	unsigned int left = 0;
	int count = control ? xc_domain_getinfolist(control, 1, 16, info) : 0;

	for (int i = 0; i < count; i++) {
		if (info[i].flags & XEN_DOMINF_dying)
			continue;
		left++;
		xc_domain_destroy(control, info[i].domain);
	}
	if (control)
		xc_interface_close(control);
	return left;
}
