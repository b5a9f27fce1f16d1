/* SPDX-License-Identifier: MIT */
/* The toolstack's side: changes of a domain's p2m made from outside, and looks at it. */
#include "private.h"

int xensim_outside_decrease(struct xensim_domain *domain, const uint64_t *gfn, unsigned int n)
{
	unsigned int done = 0;

	if (!domain_get_live(domain))
		return -ESRCH;
	while (done < n && !physmap_decrease(domain, NULL, gfn[done], 0))
		done++;
	domain_put(domain);
	return (int)done;
}

int xensim_outside_populate(struct xensim_domain *domain, const uint64_t *gfn, unsigned int n,
			    unsigned int order)
{
	unsigned int done = 0;

	if (order > 18)
		return -EINVAL;
	if (!domain_get_live(domain))
		return -ESRCH;
	while (done < n && !physmap_populate(domain, NULL, gfn[done], order))
		done++;
	domain_put(domain);
	return (int)done;
}

int xensim_outside_remove(struct xensim_domain *domain, uint64_t gfn)
{
	return xensim_outside_decrease(domain, &gfn, 1);
}

enum xensim_p2m_type xensim_p2m(struct xensim_domain *domain, uint64_t gfn, uint64_t *mfn,
				int *level)
{
	enum xensim_p2m_type type = XENSIM_HOLE;
	uint64_t frame = XENSIM_INVALID_MFN;
	int found = 1;

	if (domain_get_live(domain)) {
		type = p2m_lookup(domain, gfn, &frame, &found);
		domain_put(domain);
	}
	if (mfn)
		*mfn = frame;
	if (level)
		*level = found;
	return type;
}

int xensim_p2m_set_type(struct xensim_domain *domain, uint64_t gfn, uint64_t pages,
			enum xensim_p2m_type type)
{
	uint64_t i;
	int ret = 0;

	if (type == XENSIM_HOLE)
		return -EINVAL;
	if (!domain_get_live(domain))
		return -ESRCH;
	pthread_mutex_lock(&domain->p2m_lock);
	for (i = 0; !ret && i < pages; i++)
		ret = p2m_retype(domain, gfn + i, type);
	pthread_mutex_unlock(&domain->p2m_lock);
	domain_put(domain);
	return ret;
}

void xensim_fail_shatter(struct xensim_domain *domain, uint32_t count)
{
	pthread_mutex_lock(&domain->p2m_lock);
	domain->fail_shatter = count;
	pthread_mutex_unlock(&domain->p2m_lock);
}
