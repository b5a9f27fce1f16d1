/* SPDX-License-Identifier: MIT */
/*
 * What device models report as modified (live migration): a bit for each frame, in tables that
 * come when first used.
 */
#include <stdlib.h>

#include "private.h"

#define LEAF_FRAMES 32768u
#define BUCKETS 4096u

struct dirty_leaf {
	struct dirty_leaf *next;
	uint64_t index; /* gfn / LEAF_FRAMES */
	uint64_t bits[LEAF_FRAMES / 64];
};

struct dirty_log {
	pthread_mutex_t lock;
	uint64_t count;
	struct dirty_leaf *bucket[BUCKETS];
};

struct dirty_log *dirty_new(void)
{
	struct dirty_log *log = calloc(1, sizeof(*log));

	if (log)
		pthread_mutex_init(&log->lock, NULL);
	return log;
}

void dirty_free(struct dirty_log *log)
{
	unsigned int i;

	for (i = 0; log && i < BUCKETS; i++)
		while (log->bucket[i]) {
			struct dirty_leaf *next = log->bucket[i]->next;

			free(log->bucket[i]);
			log->bucket[i] = next;
		}
	if (log)
		pthread_mutex_destroy(&log->lock);
	free(log);
}

static struct dirty_leaf *find_locked(struct dirty_log *log, uint64_t gfn, bool make)
{
	uint64_t index = gfn / LEAF_FRAMES;
	struct dirty_leaf **bucket = &log->bucket[index % BUCKETS];
	struct dirty_leaf *leaf = *bucket;

	while (leaf && leaf->index != index)
		leaf = leaf->next;
	if (leaf || !make)
		return leaf;
	leaf = calloc(1, sizeof(*leaf));
	if (!leaf)
		return NULL;
	leaf->index = index;
	leaf->next = *bucket;
	*bucket = leaf;
	return leaf;
}

static uint64_t *word_of(struct dirty_leaf *leaf, uint64_t gfn)
{
	return &leaf->bits[gfn % LEAF_FRAMES / 64];
}

int dirty_add(struct dirty_log *log, uint64_t gfn, uint64_t pages)
{
	int ret = 0;

	pthread_mutex_lock(&log->lock);
	for (; pages; pages--, gfn++) {
		struct dirty_leaf *leaf = find_locked(log, gfn, true);
		uint64_t bit = UINT64_C(1) << (gfn % 64);

		if (!leaf) {
			ret = -ENOMEM;
			break;
		}
		log->count += !(*word_of(leaf, gfn) & bit);
		*word_of(leaf, gfn) |= bit;
	}
	pthread_mutex_unlock(&log->lock);
	return ret;
}

void xensim_dirty_log(struct xensim_domain *domain, bool on)
{
	store_relaxed(&domain->no_dirty_log, !on);
}

bool xensim_dirty(struct xensim_domain *domain, uint64_t gfn)
{
	struct dirty_log *log = domain->dirty;
	struct dirty_leaf *leaf;
	bool dirty;

	pthread_mutex_lock(&log->lock);
	leaf = find_locked(log, gfn, false);
	dirty = leaf && (*word_of(leaf, gfn) >> (gfn % 64)) & 1;
	pthread_mutex_unlock(&log->lock);
	return dirty;
}

uint64_t xensim_dirty_pages(struct xensim_domain *domain)
{
	uint64_t count;

	pthread_mutex_lock(&domain->dirty->lock);
	count = domain->dirty->count;
	pthread_mutex_unlock(&domain->dirty->lock);
	return count;
}

void xensim_dirty_clear(struct xensim_domain *domain)
{
	struct dirty_log *log = domain->dirty;
	unsigned int i;

	pthread_mutex_lock(&log->lock);
	for (i = 0; i < BUCKETS; i++)
		while (log->bucket[i]) {
			struct dirty_leaf *next = log->bucket[i]->next;

			free(log->bucket[i]);
			log->bucket[i] = next;
		}
	log->count = 0;
	pthread_mutex_unlock(&log->lock);
}
