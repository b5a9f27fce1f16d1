/* SPDX-License-Identifier: MIT */
/*
 * When INVALIDATE is due and who sends it. A change made by the domain itself flags the vCPU
 * that made it, which sends at the end of its hypercall; one made from outside flags every
 * vCPU, and each sends at its own next VM entry.
 *
 * With flag_per_domain there is one flag, as first proposed: whoever ends a hypercall first
 * takes it, and the vCPU whose change it was may go on without waiting.
 */
#include "private.h"

void invalidate_request(struct xensim_domain *domain, struct xensim_vcpu *vcpu)
{
	uint32_t i;

	/* Who changes a domain before its first unpause is supposed to know. */
	if (!vcpu && !load_relaxed(&domain->unpaused))
		return;
	add_relaxed(&host.invalidates_changes, 1);
	if (host.options.flag_per_domain) {
		store_release(&domain->invalidate, true);
		return;
	}
	if (vcpu) {
		store_release(&vcpu->invalidate, true);
		return;
	}
	for (i = 0; i < domain->vcpu_count; i++)
		store_release(&domain->vcpus[i].invalidate, true);
}

static int send_if(struct xensim_vcpu *vcpu, bool *flag)
{
	if (!load_relaxed(flag) || !swap_acq_rel(flag, false))
		return 0;
	return ioreq_broadcast_invalidate(vcpu);
}

int invalidate_after_hypercall(struct xensim_vcpu *vcpu)
{
	if (host.options.flag_per_domain)
		return send_if(vcpu, &vcpu->domain->invalidate);
	return send_if(vcpu, &vcpu->invalidate);
}

int invalidate_at_entry(struct xensim_vcpu *vcpu)
{
	if (host.options.flag_per_domain)
		return 0;
	return send_if(vcpu, &vcpu->invalidate);
}
