/* SPDX-License-Identifier: MIT */
/* A real Xen, from its dom0: libxenctrl and the guest of tests/xen. */
#include "tests/conformance/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xenforeignmemory.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

#include "tests/conformance/rig.h"
#include "tests/xen/arch.h"
#include "tests/xen/domain.h"
#include "tests/xen/test.h"

/* The first eight references are the toolstack's. */
#define FIRST_REFERENCE 8u
#define POOL (4u << 20)

void platform_start(enum host host)
{
	(void)host;
}

bool platform_is(enum host host)
{
#ifdef __aarch64__
	return host == HOST_ARM64_417;
#else
	xc_interface *control = xc_interface_open(NULL, NULL, 0);
	int version = control ? xc_version(control, XENVER_version, NULL) : 0;

	if (control)
		xc_interface_close(control);
	/* In 4.18 and 4.19 nobody has looked. */
	return host == (version >= (4 << 16 | 18) ? HOST_X86_420 : HOST_X86_417);
#endif
}

static struct domain *domain_of(const struct platform *platform)
{
	return platform->own;
}

void platform_create(struct platform *platform, const struct platform_options *options)
{
	struct domain *domain = calloc(1, sizeof(*domain));

	CHECK(domain);
	arch_whole_pc(options->vga);
	domain_create(domain, options->vcpus ? options->vcpus : 1, RIG_PAGES, options->order);
	platform->own = domain;
	platform->domid = domain->id;
}

void platform_unpause(struct platform *platform)
{
	domain_unpause(domain_of(platform));
}

void platform_destroy(struct platform *platform)
{
	xc_domain_destroy(domain_of(platform)->control, platform->domid);
}

int platform_take_page(struct platform *platform, uint64_t gfn)
{
	return domain_take_page(domain_of(platform), gfn);
}

int platform_give_page(struct platform *platform, uint64_t gfn)
{
	return domain_give_page(domain_of(platform), gfn);
}

long platform_pages(const struct platform *platform)
{
	const struct domain *domain = domain_of(platform);

	return domain_exists(domain) ? (long)domain_page_count(domain) : -1;
}

void platform_fail_shatter(struct platform *platform, bool fail)
{
	/* Refused for what is in use (EBUSY), after all that is free has gone. */
	xc_set_paging_mempool_size(domain_of(platform)->control, platform->domid, fail ? 0 : POOL);
}

int platform_log(struct platform *platform)
{
	return xc_shadow_control(domain_of(platform)->control, platform->domid,
				 XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) < 0
		       ? -errno
		       : 0;
}

int platform_logged(struct platform *platform, uint64_t gfn)
{
	xc_interface *control = domain_of(platform)->control;
	DECLARE_HYPERCALL_BUFFER(unsigned char, bitmap);
	unsigned long pages = RIG_END;
	int dirty = -ENOMEM;

	bitmap = xc_hypercall_buffer_alloc_pages(control, bitmap, pages / 8 / GUEST_PAGE_SIZE + 1);
	if (!bitmap)
		return dirty;
	dirty = xc_logdirty_control(control, platform->domid, XEN_DOMCTL_SHADOW_OP_CLEAN,
				    HYPERCALL_BUFFER(bitmap), pages, 0, NULL) < 0
			? -errno
			: bitmap[gfn / 8] >> gfn % 8 & 1;
	xc_hypercall_buffer_free_pages(control, bitmap, pages / 8 / GUEST_PAGE_SIZE + 1);
	return dirty;
}

/* dom0 writes the entry that the guest would. */
uint32_t platform_grant(struct platform *platform, uint64_t gfn, bool read_only)
{
	static uint32_t next = FIRST_REFERENCE;
	xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
	xenforeignmemory_resource_handle *resource;
	grant_entry_v1_t *table;
	void *address = NULL;

	CHECK(memory);
	resource = xenforeignmemory_map_resource(memory, (domid_t)platform->domid,
						 XENMEM_resource_grant_table,
						 XENMEM_resource_grant_table_id_shared, 0, 1,
						 &address, PROT_READ | PROT_WRITE, 0);
	CHECK(resource);
	table = address;
	table[next].domid = 0;
	table[next].frame = (uint32_t)gfn;
	__sync_synchronize();
	table[next].flags = (uint16_t)(GTF_permit_access | (read_only ? GTF_readonly : 0));
	xenforeignmemory_unmap_resource(memory, resource);
	xenforeignmemory_close(memory);
	return next++;
}

unsigned int platform_quiet_ms(void)
{
	return 60;
}
