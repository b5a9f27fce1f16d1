/* SPDX-License-Identifier: MIT */
/*
 * Which addresses of this process show foreign memory: a radix tree over page numbers whose
 * slots name the mapping. Constant time for an address, and one short lock: it is never held
 * across a system call.
 */
#include <stdlib.h>
#include <string.h>

#include "private.h"

#define RADIX_BITS 12
#define RADIX (UINT64_C(1) << RADIX_BITS)
#define PAGES_LIMIT (UINT64_C(1) << (3 * RADIX_BITS)) /* 48 address bits */

struct leaf {
	struct mapping *slot[RADIX];
};

struct middle {
	struct leaf *leaf[RADIX];
};

static struct {
	pthread_mutex_t lock;
	struct middle *middle[RADIX];
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint64_t page_number(uintptr_t address)
{
	return (uint64_t)address >> PAGE_SHIFT;
}

static uint64_t page_end(uintptr_t base, size_t len)
{
	uint64_t last;

	if (!len || base + (len - 1) < base)
		return len ? PAGES_LIMIT : page_number(base);
	last = page_number(base + (len - 1));
	return last < PAGES_LIMIT ? last + 1 : PAGES_LIMIT;
}

static struct leaf *leaf_find(uint64_t page)
{
	struct middle *middle = registry.middle[page >> (2 * RADIX_BITS)];

	return middle ? middle->leaf[(page >> RADIX_BITS) & (RADIX - 1)] : NULL;
}

static bool leaf_make(uint64_t page)
{
	struct middle **middle = &registry.middle[page >> (2 * RADIX_BITS)];
	struct leaf **leaf;

	if (!*middle)
		*middle = calloc(1, sizeof(**middle));
	if (!*middle)
		return false;
	leaf = &(*middle)->leaf[(page >> RADIX_BITS) & (RADIX - 1)];
	if (!*leaf)
		*leaf = calloc(1, sizeof(**leaf));
	return *leaf != NULL;
}

static struct mapping *find_locked(uint64_t page)
{
	struct leaf *leaf = page < PAGES_LIMIT ? leaf_find(page) : NULL;

	return leaf ? leaf->slot[page & (RADIX - 1)] : NULL;
}

/* The first mapping at or after page, below end; *page becomes where it was found. */
static struct mapping *next_locked(uint64_t *page, uint64_t end)
{
	while (*page < end) {
		struct leaf *leaf;
		struct mapping *mapping;

		if (!registry.middle[*page >> (2 * RADIX_BITS)]) {
			*page = ((*page >> (2 * RADIX_BITS)) + 1) << (2 * RADIX_BITS);
			continue;
		}
		leaf = leaf_find(*page);
		if (!leaf) {
			*page = ((*page >> RADIX_BITS) + 1) << RADIX_BITS;
			continue;
		}
		mapping = leaf->slot[*page & (RADIX - 1)];
		if (mapping)
			return mapping;
		++*page;
	}
	return NULL;
}

static void fill_locked(uint64_t first, size_t pages, struct mapping *mapping)
{
	uint64_t page;

	for (page = first; page < first + pages; page++)
		leaf_find(page)->slot[page & (RADIX - 1)] = mapping;
}

static bool reserve_locked(uint64_t first, size_t pages)
{
	uint64_t page = first;

	while (page < first + pages) {
		if (!leaf_make(page))
			return false;
		page = ((page >> RADIX_BITS) + 1) << RADIX_BITS;
	}
	return true;
}

struct mapping *mapping_new(uintptr_t base, size_t pages)
{
	struct mapping *mapping = malloc(sizeof(*mapping) + pages * sizeof(mapping->mfn[0]));

	if (!mapping)
		return NULL;
	mapping->base = base;
	mapping->pages = pages;
	mapping->next = NULL;
	return mapping;
}

static uint64_t references_of(const struct mapping *mapping)
{
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < mapping->pages; i++)
		count += mapping->mfn[i] != XENSIM_INVALID_MFN;
	return count;
}

/* Where nothing else can stand for a foreign page, the kernel gives one of its own for each. */
static bool take_from_dom0(uint64_t pages)
{
	uint64_t used, peak;

	if (!host.options.dom0_pages)
		return true;
	used = add_relaxed(&host.dom0_pages_used, pages) + pages;
	if (used > host.options.dom0_pages) {
		sub_relaxed(&host.dom0_pages_used, pages);
		add_relaxed(&host.dom0_out_of_memory, UINT64_C(1));
		return false;
	}
	peak = load_relaxed(&host.dom0_pages_peak);
	while (used > peak && !__atomic_compare_exchange_n(&host.dom0_pages_peak, &peak, used, true,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return true;
}

static void give_to_dom0(uint64_t pages)
{
	if (host.options.dom0_pages)
		sub_relaxed(&host.dom0_pages_used, pages);
}

int mapping_insert(struct mapping *mapping)
{
	uint64_t first = page_number(mapping->base);
	bool fits;

	if (!take_from_dom0(mapping->pages))
		return -ENOMEM;
	pthread_mutex_lock(&registry.lock);
	fits = reserve_locked(first, mapping->pages);
	if (fits)
		fill_locked(first, mapping->pages, mapping);
	pthread_mutex_unlock(&registry.lock);
	if (!fits) {
		give_to_dom0(mapping->pages);
		return -ENOMEM;
	}
	add_relaxed(&host.foreign_mappings, 1);
	add_relaxed(&host.foreign_pages, references_of(mapping));
	return 0;
}

static bool inside(const struct mapping *mapping, uint64_t first, uint64_t end)
{
	uint64_t start = page_number(mapping->base);

	return start >= first && start + mapping->pages <= end;
}

/* Would taking [first, end) out split a mapping? */
static bool splits_locked(uint64_t first, uint64_t end)
{
	struct mapping *mapping;
	uint64_t page = first;

	while ((mapping = next_locked(&page, end))) {
		if (!inside(mapping, first, end))
			return true;
		page += mapping->pages;
	}
	return false;
}

/* A record of its own for the pages [first, end) of a mapping; it takes over the references. */
static struct mapping *cut(const struct mapping *mapping, uint64_t first, uint64_t end)
{
	size_t offset = first - page_number(mapping->base);
	struct mapping *piece = mapping_new(mapping->base + (offset << PAGE_SHIFT), end - first);

	/* The kernel has no way back here either. */
	if (!piece)
		abort();
	memcpy(piece->mfn, mapping->mfn + offset, piece->pages * sizeof(piece->mfn[0]));
	fill_locked(first, piece->pages, piece);
	add_relaxed(&host.foreign_mappings, 1);
	return piece;
}

static struct mapping *split_locked(struct mapping *mapping, uint64_t first, uint64_t end)
{
	uint64_t start = page_number(mapping->base);
	uint64_t stop = start + mapping->pages;
	uint64_t from = start > first ? start : first;
	uint64_t to = stop < end ? stop : end;
	struct mapping *middle = cut(mapping, from, to);

	if (start < from)
		cut(mapping, start, from);
	if (to < stop)
		cut(mapping, to, stop);
	free(mapping);
	sub_relaxed(&host.foreign_mappings, 1);
	return middle;
}

int mapping_detach(uintptr_t base, size_t len, struct mapping **list)
{
	uint64_t first = page_number(base);
	uint64_t end = page_end(base, len);
	uint64_t page = first;
	struct mapping *mapping;

	*list = NULL;
	/* Nothing foreign anywhere: what mmap calls of everybody else see. */
	if (!load_acquire(&host.foreign_mappings))
		return 0;
	pthread_mutex_lock(&registry.lock);
	if (!host.options.allow_split && splits_locked(first, end)) {
		pthread_mutex_unlock(&registry.lock);
		add_relaxed(&host.splits_refused, 1);
		return -EINVAL;
	}
	while ((mapping = next_locked(&page, end))) {
		if (!inside(mapping, first, end))
			mapping = split_locked(mapping, first, end);
		fill_locked(page_number(mapping->base), mapping->pages, NULL);
		page = page_number(mapping->base) + mapping->pages;
		mapping->next = *list;
		*list = mapping;
	}
	pthread_mutex_unlock(&registry.lock);
	return 0;
}

void mapping_reattach(struct mapping *list)
{
	struct mapping *next;

	pthread_mutex_lock(&registry.lock);
	for (; list; list = next) {
		next = list->next;
		list->next = NULL;
		fill_locked(page_number(list->base), list->pages, list);
	}
	pthread_mutex_unlock(&registry.lock);
}

static void drop_one(struct mapping *mapping)
{
	uint64_t references = references_of(mapping);
	size_t i;

	for (i = 0; i < mapping->pages; i++)
		if (mapping->mfn[i] != XENSIM_INVALID_MFN)
			page_put(mapping->mfn[i]);
	sub_relaxed(&host.foreign_mappings, 1);
	sub_relaxed(&host.foreign_pages, references);
	give_to_dom0(mapping->pages);
	free(mapping);
}

unsigned int mapping_drop(struct mapping *list)
{
	struct mapping *next;
	unsigned int count = 0;

	for (; list; list = next, count++) {
		next = list->next;
		drop_one(list);
	}
	return count;
}

bool mapping_lookup(uintptr_t address, uint64_t *mfn)
{
	struct mapping *mapping;

	pthread_mutex_lock(&registry.lock);
	mapping = find_locked(page_number(address));
	if (mapping)
		*mfn = mapping->mfn[page_number(address) - page_number(mapping->base)];
	pthread_mutex_unlock(&registry.lock);
	return mapping != NULL;
}

bool mapping_overlaps(uintptr_t base, size_t len)
{
	uint64_t page = page_number(base);
	struct mapping *mapping;

	if (!load_acquire(&host.foreign_mappings))
		return false;
	pthread_mutex_lock(&registry.lock);
	mapping = next_locked(&page, page_end(base, len));
	pthread_mutex_unlock(&registry.lock);
	return mapping != NULL;
}

bool mapping_covered(uintptr_t base, size_t len)
{
	bool split;

	pthread_mutex_lock(&registry.lock);
	split = splits_locked(page_number(base), page_end(base, len));
	pthread_mutex_unlock(&registry.lock);
	return !split;
}

static void free_middle(struct middle *middle)
{
	uint64_t i;

	for (i = 0; i < RADIX; i++)
		free(middle->leaf[i]);
	free(middle);
}

/* The kernel does not copy foreign mappings. */
void registry_before_fork(void)
{
	pthread_mutex_lock(&registry.lock);
}

void registry_after_fork(bool child)
{
	uint64_t page = 0;
	struct mapping *mapping;

	while (child && (mapping = next_locked(&page, PAGES_LIMIT))) {
		__real_munmap((void *)mapping->base, mapping->pages << PAGE_SHIFT);
		page += mapping->pages;
	}
	pthread_mutex_unlock(&registry.lock);
}

void registry_exit(void)
{
	uint64_t i;

	pthread_mutex_lock(&registry.lock);
	for (i = 0; i < RADIX; i++) {
		if (registry.middle[i])
			free_middle(registry.middle[i]);
		registry.middle[i] = NULL;
	}
	pthread_mutex_unlock(&registry.lock);
}
