/* SPDX-License-Identifier: MIT */
/* What a device model's address must show, by the guest's own page tables. */
#include "private.h"

int xensim_is_mapping_of(struct xensim_domain *domain, const void *address, uint64_t gpa)
{
	uint64_t shown, wanted;
	int level;

	if (!mapping_lookup((uintptr_t)address, &shown))
		return -ENOENT;
	if (!domain_get_live(domain))
		return -EFAULT;
	p2m_lookup(domain, gpa >> PAGE_SHIFT, &wanted, &level);
	domain_put(domain);
	if (wanted == XENSIM_INVALID_MFN)
		return -EFAULT;
	return shown == wanted;
}
