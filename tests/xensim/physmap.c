/* SPDX-License-Identifier: MIT */
/*
 * What the memory hypercalls do to the p2m, and which of it INVALIDATE has to report:
 *
 *                                   x86                 Arm
 *   a RAM page goes                 yes                 yes
 *   another page in its place
 *     populate_physmap              no (as seen)        yes: another base
 *     add_to_physmap, exchange      yes                 yes
 *   a page comes into a hole        no                  no
 *   a hole goes                     no (an error)       no
 *   a superpage cannot be shattered
 *     for a page that should go     yes, spuriously     yes, spuriously
 *     for one that should come      no                  yes, spuriously
 */
#include "private.h"

static void note(struct xensim_domain *domain, struct xensim_vcpu *vcpu, bool due)
{
	if (!due)
		return;
	/* Arm looks whether anybody listens before it sets the flag. */
	if (host.options.arch == XENSIM_ARM && !server_any(domain))
		return;
	invalidate_request(domain, vcpu);
}

static int remove_page(struct xensim_domain *domain, uint64_t gfn, bool keep, bool *freed)
{
	enum xensim_p2m_type type;
	uint64_t mfn;
	int level, ret;

	pthread_mutex_lock(&domain->p2m_lock);
	type = p2m_lookup(domain, gfn, &mfn, &level);
	domain->keep = keep && host.options.strict;
	if (type == XENSIM_HOLE || type == XENSIM_MMIO)
		ret = -EINVAL;
	else
		ret = p2m_set(domain, gfn, 0, XENSIM_INVALID_MFN, XENSIM_HOLE, freed);
	domain->keep = false;
	pthread_mutex_unlock(&domain->p2m_lock);
	return ret;
}

static int remove_pages(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
			unsigned int order, bool keep)
{
	uint64_t i;
	bool freed = false;
	int ret = 0;

	for (i = 0; !ret && i < UINT64_C(1) << order; i++) {
		oracle_will_change(domain, vcpu, gfn + i, true);
		ret = remove_page(domain, gfn + i, keep, &freed);
	}
	note(domain, vcpu, freed);
	return ret;
}

int physmap_decrease(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
		     unsigned int order)
{
	return remove_pages(domain, vcpu, gfn, order, false);
}

int physmap_remove(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn)
{
	int ret = remove_pages(domain, vcpu, gfn, 0, true);

	return ret == -EINVAL ? -ENOENT : ret;
}

/* The largest leaf that fits at both frames into what is left. */
static unsigned int leaf_order(uint64_t gfn, uint64_t mfn, uint64_t pages)
{
	unsigned int order;

	for (order = 18; order; order -= 9)
		if (!((gfn | mfn) & ((UINT64_C(1) << order) - 1)) && pages >> order)
			return order;
	return 0;
}

/* A page that continues what the neighbour has: buckets stay contiguous. */
static uint64_t neighbour_hint(struct xensim_domain *domain, uint64_t gfn, unsigned int order)
{
	uint64_t mfn;
	int level;

	if (gfn && p2m_has_page(p2m_lookup(domain, gfn - 1, &mfn, &level)))
		return mfn + 1;
	if (p2m_has_page(p2m_lookup(domain, gfn + (UINT64_C(1) << order), &mfn, &level)))
		return mfn - (UINT64_C(1) << order);
	return XENSIM_INVALID_MFN;
}

static int map_pages(struct xensim_domain *domain, uint64_t gfn, uint64_t mfn, uint64_t pages,
		     bool *freed)
{
	while (pages) {
		unsigned int order = leaf_order(gfn, mfn, pages);
		uint64_t done = UINT64_C(1) << order;
		int ret = p2m_set(domain, gfn, order, mfn, XENSIM_RAM, freed);

		if (ret) {
			while (pages--)
				page_release(mfn++);
			return ret;
		}
		gfn += done;
		mfn += done;
		pages -= done;
	}
	return 0;
}

/* keep: what was there stays the domain's, as Xen has it. */
static int put_new_pages(struct xensim_domain *domain, uint64_t gfn, unsigned int order, bool keep,
			 enum page_kind kind, bool *freed)
{
	uint64_t pages = UINT64_C(1) << order;
	uint64_t mfn;
	int ret = -ENOMEM;

	if (gfn >> GFN_BITS || (gfn + pages - 1) >> GFN_BITS)
		return -EINVAL;
	pthread_mutex_lock(&domain->p2m_lock);
	mfn = page_alloc(domain, order, neighbour_hint(domain, gfn, order), kind);
	domain->keep = keep && host.options.strict;
	if (mfn != XENSIM_INVALID_MFN)
		ret = map_pages(domain, gfn, mfn, pages, freed);
	domain->keep = false;
	pthread_mutex_unlock(&domain->p2m_lock);
	return ret;
}

/* Over memory it is silent on x86; into a hole there is nothing to be told. */
static void announce_populate(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
			      unsigned int order)
{
	uint64_t end = gfn + (UINT64_C(1) << order);
	uint64_t mfn;
	int level;

	for (; gfn < end; gfn++)
		oracle_will_change(domain, vcpu, gfn,
				   host.options.arch == XENSIM_ARM ||
					   !p2m_has_page(p2m_lookup(domain, gfn, &mfn, &level)));
}

int physmap_populate(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
		     unsigned int order)
{
	bool freed = false;
	int ret;

	if (oracle_used())
		announce_populate(domain, vcpu, gfn, order);
	ret = put_new_pages(domain, gfn, order, true, PAGE_GUEST, &freed);
	note(domain, vcpu, freed && host.options.arch == XENSIM_ARM);
	return ret;
}

int physmap_add(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn)
{
	bool freed = false;
	int ret;

	oracle_will_change(domain, vcpu, gfn, true);
	ret = put_new_pages(domain, gfn, 0, host.options.arch == XENSIM_ARM, PAGE_XEN, &freed);
	note(domain, vcpu, freed);
	return ret;
}

int physmap_exchange(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn)
{
	uint64_t old, new;
	bool freed = false;
	int level;
	int ret = -EINVAL;

	if (host.options.strict)
		return p2m_has_page(p2m_lookup(domain, gfn, &old, &level)) ? -EOPNOTSUPP : -EINVAL;
	oracle_will_change(domain, vcpu, gfn, true);
	pthread_mutex_lock(&domain->p2m_lock);
	if (p2m_lookup(domain, gfn, &old, &level) != XENSIM_RAM)
		goto out;
	ret = -ENOMEM;
	new = page_alloc(domain, 0, XENSIM_INVALID_MFN, PAGE_GUEST);
	if (new == XENSIM_INVALID_MFN)
		goto out;
	ret = map_pages(domain, gfn, new, 1, &freed);
out:
	pthread_mutex_unlock(&domain->p2m_lock);
	note(domain, vcpu, freed);
	return ret;
}
