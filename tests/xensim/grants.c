/* SPDX-License-Identifier: MIT */
/* A domain's grant table: which frames others may map, and how often they have. */
#include <stdlib.h>

#include "private.h"

#define GRANTS 65536u
#define GRANTS_RESERVED 8u /* the first ones are the toolstack's */

struct grant {
	bool used, read_only;
	uint64_t gfn;
	uint32_t mapped;
};

struct grants {
	pthread_mutex_t lock;
	uint32_t last; /* the reference given out last */
	struct grant grant[GRANTS];
};

struct grants *grants_new(void)
{
	struct grants *grants = calloc(1, sizeof(*grants));

	if (!grants)
		return NULL;
	pthread_mutex_init(&grants->lock, NULL);
	grants->last = GRANTS - 1;
	return grants;
}

void grants_free(struct grants *grants)
{
	if (grants)
		pthread_mutex_destroy(&grants->lock);
	free(grants);
}

static uint32_t next_locked(const struct grants *grants)
{
	uint32_t reference = grants->last;

	for (uint32_t i = 0; i < GRANTS; i++) {
		reference = reference + 1 < GRANTS ? reference + 1 : GRANTS_RESERVED;
		if (!grants->grant[reference].used)
			return reference;
	}
	return 0;
}

uint32_t xensim_grant(struct xensim_domain *domain, uint64_t gfn, bool read_only)
{
	struct grants *grants = domain->grants;
	uint32_t reference;
	uint64_t mfn;
	int level;

	if (p2m_lookup(domain, gfn, &mfn, &level) != XENSIM_RAM)
		return 0;
	pthread_mutex_lock(&grants->lock);
	reference = next_locked(grants);
	if (reference) {
		grants->last = reference;
		grants->grant[reference] =
			(struct grant){ .used = true, .read_only = read_only, .gfn = gfn };
	}
	pthread_mutex_unlock(&grants->lock);
	return reference;
}

int xensim_grant_end(struct xensim_domain *domain, uint32_t reference)
{
	struct grants *grants = domain->grants;
	int ret = -EINVAL;

	if (reference >= GRANTS)
		return ret;
	pthread_mutex_lock(&grants->lock);
	if (grants->grant[reference].used)
		ret = grants->grant[reference].mapped ? -EBUSY : 0;
	if (!ret)
		grants->grant[reference].used = false;
	pthread_mutex_unlock(&grants->lock);
	return ret;
}

int grants_map(struct xensim_domain *domain, uint32_t reference, bool write, uint64_t *mfn)
{
	struct grants *grants = domain->grants;
	struct grant *grant;
	int ret = -EINVAL;

	if (reference >= GRANTS)
		return ret;
	pthread_mutex_lock(&grants->lock);
	grant = &grants->grant[reference];
	if (grant->used && !(write && grant->read_only)) {
		enum xensim_p2m_type type = p2m_get_page(domain, grant->gfn, mfn);

		if (type == XENSIM_RAM)
			ret = 0;
		else if (p2m_has_page(type))
			page_put(*mfn);
	}
	grant->mapped += !ret;
	pthread_mutex_unlock(&grants->lock);
	return ret;
}

void grants_unmap(struct xensim_domain *domain, uint32_t reference)
{
	pthread_mutex_lock(&domain->grants->lock);
	domain->grants->grant[reference].mapped--;
	pthread_mutex_unlock(&domain->grants->lock);
}
