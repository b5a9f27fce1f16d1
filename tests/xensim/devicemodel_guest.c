/* SPDX-License-Identifier: MIT */
/* libxendevicemodel: interrupts, reported writes and the rest. */
#include <xendevicemodel.h>

#include "handles.h"
#include "private.h"

#define IRQ_LINES 256u

static void raise_irq(struct xensim_domain *domain, unsigned int irq, bool level)
{
	struct xensim_interrupts *state = &domain->interrupts;
	uint64_t bit = UINT64_C(1) << (irq % 64);
	bool rises;

	pthread_mutex_lock(&domain->vcpu_lock);
	rises = level && !(state->level[irq / 64] & bit);
	if (level)
		state->level[irq / 64] |= bit;
	else
		state->level[irq / 64] &= ~bit;
	if (rises) {
		state->count++;
		state->last_irq = irq;
	}
	pthread_mutex_unlock(&domain->vcpu_lock);
	if (rises)
		vcpu_interrupt(domain);
}

static int set_irq(xendevicemodel_handle *dmod, domid_t domid, unsigned int irq, unsigned int level)
{
	struct xensim_domain *domain;
	int ret = irq < IRQ_LINES && level <= 1 ? 0 : -EINVAL;

	if (!ret)
		ret = devicemodel_begin(dmod, domid, &domain);
	if (ret)
		return minus_errno(ret);
	raise_irq(domain, irq, level);
	return devicemodel_end(domain, 0);
}

int xendevicemodel_set_irq_level(xendevicemodel_handle *dmod, domid_t domid, unsigned int irq,
				 unsigned int level)
{
	return set_irq(dmod, domid, irq, level);
}

int xendevicemodel_set_isa_irq_level(xendevicemodel_handle *dmod, domid_t domid, uint8_t irq,
				     unsigned int level)
{
	return irq > 15 ? minus_errno(EINVAL) : set_irq(dmod, domid, irq, level);
}

/* Lines 32..159: device * 4 + pin, before any routing. */
int xendevicemodel_set_pci_intx_level(xendevicemodel_handle *dmod, domid_t domid, uint16_t segment,
				      uint8_t bus, uint8_t device, uint8_t intx, unsigned int level)
{
	if (segment || bus || device > 31 || intx > 3)
		return minus_errno(EINVAL);
	return set_irq(dmod, domid, 32u + device * 4u + intx, level);
}

int xendevicemodel_set_pci_link_route(xendevicemodel_handle *dmod, domid_t domid, uint8_t link,
				      uint8_t irq)
{
	struct xensim_domain *domain;
	int ret = link > 3 || irq > 15 ? -EINVAL : devicemodel_begin(dmod, domid, &domain);

	return ret ? minus_errno(ret) : devicemodel_end(domain, 0);
}

int xendevicemodel_inject_msi(xendevicemodel_handle *dmod, domid_t domid, uint64_t msi_addr,
			      uint32_t msi_data)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret)
		return minus_errno(ret);
	pthread_mutex_lock(&domain->vcpu_lock);
	domain->interrupts.count++;
	domain->interrupts.messages++;
	domain->interrupts.msi_addr = msi_addr;
	domain->interrupts.msi_data = msi_data;
	pthread_mutex_unlock(&domain->vcpu_lock);
	vcpu_interrupt(domain);
	return devicemodel_end(domain, 0);
}

void xensim_interrupts(struct xensim_domain *domain, struct xensim_interrupts *interrupts)
{
	pthread_mutex_lock(&domain->vcpu_lock);
	*interrupts = domain->interrupts;
	pthread_mutex_unlock(&domain->vcpu_lock);
}

/* Xen marks what is memory and passes over the rest. Its bound is the highest frame, and it takes
 * that for the end: the guest's last frame can never be reported. */
static int mark_modified(struct xensim_domain *domain,
			 const struct xen_dm_op_modified_memory_extent *extent)
{
	uint64_t gfn, mfn, end = extent->first_pfn + extent->nr;
	int level, ret = 0;

	if (extent->pad || end <= extent->first_pfn || end > load_relaxed(&domain->max_gfn))
		return -EINVAL;
	for (gfn = extent->first_pfn; !ret && gfn < end; gfn++)
		if (p2m_has_page(p2m_lookup(domain, gfn, &mfn, &level)))
			ret = dirty_add(domain->dirty, gfn, 1);
	return ret;
}

int xendevicemodel_modified_memory_bulk(xendevicemodel_handle *dmod, domid_t domid,
					struct xen_dm_op_modified_memory_extent extents[],
					uint32_t nr)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	/* Dying: there is no log. */
	if (ret == -ENOENT)
		return minus_errno(host.options.arch == XENSIM_ARM ? -EOPNOTSUPP : 0);
	if (ret)
		return minus_errno(ret);
	if (host.options.strict && host.options.arch == XENSIM_ARM)
		return devicemodel_end(domain, -EOPNOTSUPP);
	if (load_relaxed(&domain->no_dirty_log))
		return devicemodel_end(domain, 0);
	/* The last one first; what is before one that is refused is not looked at. */
	while (!ret && nr--)
		ret = mark_modified(domain, &extents[nr]);
	return devicemodel_end(domain, ret);
}

int xendevicemodel_modified_memory(xendevicemodel_handle *dmod, domid_t domid, uint64_t first_pfn,
				   uint32_t nr)
{
	struct xen_dm_op_modified_memory_extent extent = { .nr = nr, .first_pfn = first_pfn };

	return xendevicemodel_modified_memory_bulk(dmod, domid, &extent, 1);
}

int xendevicemodel_set_mem_type(xendevicemodel_handle *dmod, domid_t domid, hvmmem_type_t mem_type,
				uint64_t first_pfn, uint32_t nr)
{
	static const enum xensim_p2m_type types[] = {
		[HVMMEM_ram_rw] = XENSIM_RAM,
		[HVMMEM_ram_ro] = XENSIM_RAM_RO,
		[HVMMEM_mmio_dm] = XENSIM_MMIO,
	};
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret)
		return minus_errno(ret);
	if (mem_type != HVMMEM_ram_rw && mem_type != HVMMEM_ram_ro && mem_type != HVMMEM_mmio_dm)
		ret = -EINVAL;
	else
		ret = xensim_p2m_set_type(domain, first_pfn, nr, types[mem_type]);
	return devicemodel_end(domain, ret);
}

int xendevicemodel_shutdown(xendevicemodel_handle *dmod, domid_t domid, unsigned int reason)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	(void)reason;
	if (ret)
		return minus_errno(ret);
	domain_stop(domain);
	return devicemodel_end(domain, 0);
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *dmod, domid_t domid, unsigned int *vcpus)
{
	struct xensim_domain *domain;
	int ret = devicemodel_begin(dmod, domid, &domain);

	if (ret == -ENOENT) {
		*vcpus = domain_any(domid)->vcpu_count;
		return 0;
	}
	if (ret)
		return minus_errno(ret);
	*vcpus = domain->vcpu_count;
	return devicemodel_end(domain, 0);
}

int xendevicemodel_pin_memory_cacheattr(xendevicemodel_handle *dmod, domid_t domid, uint64_t start,
					uint64_t end, uint32_t type)
{
	struct xensim_domain *domain;
	int ret = start > end ? -EINVAL : devicemodel_begin(dmod, domid, &domain);

	(void)type; /* caches of the host are coherent */
	return ret ? minus_errno(ret) : devicemodel_end(domain, 0);
}
