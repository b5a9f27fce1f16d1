/* SPDX-License-Identifier: MIT */
/*
 * Memory hypercalls of a guest. Whatever one of them changed, INVALIDATE is sent once, at its
 * end, by the vCPU that made it.
 */
#include "private.h"

typedef int (*extent_change)(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
			     unsigned int order);

static int finish(struct xensim_vcpu *vcpu, int result)
{
	int ret = invalidate_after_hypercall(vcpu);

	if (!ret)
		oracle_changes_over(vcpu);
	return ret ? ret : result;
}

/* Xen has been interrupted: the guest makes the rest of the same hypercall anew. */
static bool interrupted(unsigned int done)
{
	return host.options.split ? done % host.options.split == 0 : jitter_hits(16);
}

/* Extents are done in order; the first that fails ends the call. */
static int change_extents(struct xensim_vcpu *vcpu, const uint64_t *gfn, unsigned int n,
			  unsigned int order, extent_change change)
{
	unsigned int done = 0;
	int ret = vcpu_enter(vcpu);

	if (ret)
		return ret;
	if (order > 18)
		return finish(vcpu, -EPERM);
	while (done < n && !change(vcpu->domain, vcpu, gfn[done], order)) {
		done++;
		if (done == n || !interrupted(done))
			continue;
		ret = finish(vcpu, 0);
		if (ret)
			return ret;
	}
	return finish(vcpu, (int)done);
}

int xensim_decrease_reservation(struct xensim_vcpu *vcpu, const uint64_t *gfn, unsigned int n,
				unsigned int order)
{
	return change_extents(vcpu, gfn, n, order, physmap_decrease);
}

int xensim_populate_physmap(struct xensim_vcpu *vcpu, const uint64_t *gfn, unsigned int n,
			    unsigned int order)
{
	return change_extents(vcpu, gfn, n, order, physmap_populate);
}

int xensim_remove_from_physmap(struct xensim_vcpu *vcpu, uint64_t gfn)
{
	int ret = vcpu_enter(vcpu);

	return ret ? ret : finish(vcpu, physmap_remove(vcpu->domain, vcpu, gfn));
}

int xensim_add_to_physmap(struct xensim_vcpu *vcpu, uint64_t gfn)
{
	int ret = vcpu_enter(vcpu);

	return ret ? ret : finish(vcpu, physmap_add(vcpu->domain, vcpu, gfn));
}

int xensim_exchange(struct xensim_vcpu *vcpu, uint64_t gfn)
{
	int ret = vcpu_enter(vcpu);

	return ret ? ret : finish(vcpu, physmap_exchange(vcpu->domain, vcpu, gfn));
}

int xensim_nop_hypercall(struct xensim_vcpu *vcpu)
{
	int ret = vcpu_enter(vcpu);

	return ret ? ret : finish(vcpu, 0);
}
