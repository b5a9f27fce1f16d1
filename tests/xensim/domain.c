/* SPDX-License-Identifier: MIT */
/*
 * Domains: from their creation to the day when nothing holds a page of theirs any more. The
 * struct itself stays until the host ends, so that a pointer or a domid never dangles.
 */
#include <stdlib.h>

#include "private.h"

struct xensim_domain *domain_get(uint32_t domid)
{
	struct xensim_domain *domain;

	if (domid >= DOMID_LIMIT)
		return NULL;
	/* Acquire: pairs with the release in publish(). */
	domain = load_acquire(&host.domains[domid]);
	if (!domain || !domain_get_live(domain))
		return NULL;
	if (load_acquire(&domain->state) != DOMAIN_DYING)
		return domain;
	domain_put(domain);
	return NULL;
}

bool domain_is_dying(uint32_t domid)
{
	struct xensim_domain *domain = domain_any(domid);

	return host.options.strict && domain && load_acquire(&domain->state) == DOMAIN_DYING;
}

bool domain_get_live(struct xensim_domain *domain)
{
	uint64_t users = load_relaxed(&domain->users);

	do {
		if (!users)
			return false;
	} while (!__atomic_compare_exchange_n(&domain->users, &users, users + 1, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return true;
}

static void live_page_put(struct xensim_domain *domain)
{
	if (!__atomic_sub_fetch(&domain->pages_live, 1, __ATOMIC_ACQ_REL))
		store_release(&domain->state, DOMAIN_GONE);
}

void domain_page_freed(struct xensim_domain *domain)
{
	live_page_put(domain);
}

void domain_put(struct xensim_domain *domain)
{
	if (__atomic_sub_fetch(&domain->users, 1, __ATOMIC_ACQ_REL))
		return;
	server_destroy_all(domain);
	p2m_teardown(domain);
	live_page_put(domain);
}

static int populate(struct xensim_domain *domain, uint64_t gfn, uint64_t pages)
{
	while (pages) {
		unsigned int order;
		int ret = -ENOMEM;

		for (order = 18; ret; order -= 9) {
			uint64_t size = UINT64_C(1) << order;

			if (!(gfn & (size - 1)) && pages >= size)
				ret = physmap_populate(domain, NULL, gfn, order);
			if (!ret || !order)
				break;
		}
		if (ret)
			return ret;
		gfn += UINT64_C(1) << order;
		pages -= UINT64_C(1) << order;
	}
	return 0;
}

/* Give the domain an id. -ENOSPC when all are taken. */
static int publish(struct xensim_domain *domain)
{
	int ret = -ENOSPC;

	pthread_mutex_lock(&host.domains_lock);
	if (host.next_domid < DOMID_LIMIT) {
		domain->domid = host.next_domid++;
		store_release(&host.domains[domain->domid], domain);
		ret = 0;
	}
	pthread_mutex_unlock(&host.domains_lock);
	return ret;
}

static struct xensim_domain *domain_new(uint32_t vcpus)
{
	struct xensim_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return NULL;
	domain->vcpu_count = vcpus;
	domain->state = DOMAIN_ALIVE;
	domain->users = 1;
	domain->pages_live = 1;
	pthread_mutex_init(&domain->p2m_lock, NULL);
	pthread_mutex_init(&domain->ioreq_lock, NULL);
	pthread_mutex_init(&domain->vcpu_lock, NULL);
	domain->p2m =
		calloc(1, sizeof(struct p2m_table) + P2M_ENTRIES * sizeof(struct p2m_table *));
	domain->dirty = dirty_new();
	domain->grants = grants_new();
	if (!domain->p2m || !domain->dirty || !domain->grants || vcpu_init(domain)) {
		domain_free(domain);
		return NULL;
	}
	return domain;
}

struct xensim_domain *domain_any(uint32_t domid)
{
	return domid < DOMID_LIMIT ? load_acquire(&host.domains[domid]) : NULL;
}

void domain_free(struct xensim_domain *domain)
{
	vcpu_exit(domain);
	grants_free(domain->grants);
	dirty_free(domain->dirty);
	free(domain->p2m);
	pthread_mutex_destroy(&domain->vcpu_lock);
	pthread_mutex_destroy(&domain->ioreq_lock);
	pthread_mutex_destroy(&domain->p2m_lock);
	free(domain);
}

int xensim_domain_create(uint32_t vcpus, uint64_t first_gfn, uint64_t ram_pages,
			 struct xensim_domain **result)
{
	struct xensim_domain *domain;
	int ret;

	if (!host.running || !vcpus || vcpus > MAX_VCPUS || first_gfn >> GFN_BITS)
		return -EINVAL;
	if (ram_pages > memory_pages())
		return -ENOMEM;
	domain = domain_new(vcpus);
	if (!domain)
		return -ENOMEM;
	ret = publish(domain);
	if (ret) {
		p2m_teardown(domain);
		domain_free(domain);
		return ret;
	}
	ret = populate(domain, first_gfn, ram_pages);
	if (ret) {
		xensim_domain_destroy(domain);
		return ret;
	}
	domain->created = true;
	*result = domain;
	return 0;
}

uint32_t xensim_domid(const struct xensim_domain *domain)
{
	return domain->domid;
}

/* Move on to a later state; false when it had been reached before. */
static bool advance(struct xensim_domain *domain, int state)
{
	int now = load_relaxed(&domain->state);

	do {
		if (now == DOMAIN_GONE || now >= state)
			return false;
	} while (!__atomic_compare_exchange_n(&domain->state, &now, state, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	return true;
}

void domain_stop(struct xensim_domain *domain)
{
	advance(domain, DOMAIN_SHUTDOWN);
	vcpu_kick_all(domain);
}

void domain_crash(struct xensim_domain *domain)
{
	add_relaxed(&host.protocol_errors, 1);
	domain_stop(domain);
}

int xensim_domain_shutdown(struct xensim_domain *domain)
{
	domain_stop(domain);
	vcpu_join_all(domain);
	return 0;
}

int xensim_domain_destroy(struct xensim_domain *domain)
{
	if (!advance(domain, DOMAIN_DYING))
		return -ESRCH;
	vcpu_kick_all(domain);
	vcpu_join_all(domain);
	domain_put(domain);
	return 0;
}

int xensim_domain_state(uint32_t domid, uint64_t *pages)
{
	struct xensim_domain *domain = NULL;
	uint64_t live;

	if (domid < DOMID_LIMIT)
		domain = load_acquire(&host.domains[domid]);
	live = domain ? load_relaxed(&domain->pages_live) : 0;
	if (domain && live && load_acquire(&domain->users))
		live--;
	if (domain)
		live -= load_relaxed(&domain->pages_xen);
	if (pages)
		*pages = live;
	return domain ? load_acquire(&domain->state) : DOMAIN_GONE;
}

uint64_t xensim_domain_pages(struct xensim_domain *domain)
{
	return load_relaxed(&domain->pages_owned);
}
