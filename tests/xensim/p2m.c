/* SPDX-License-Identifier: MIT */
/*
 * The p2m of a domain: a table of four levels as the hardware has, with leaves of 1 GiB, 2 MiB
 * and 4 KiB.
 *
 * Readers take no lock. An entry is one word, a reader takes a reference on the page it names
 * and then looks again: the same entry means that the page was this guest's while the
 * reference was taken. A table that a leaf replaces is kept for the next shatter of the same
 * entry; p2m_sequence tells readers that were inside it to start again.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* An entry: 0, or a table's address | 1, or mfn << 8 | type << 1. */
#define ENTRY_TABLE UINT64_C(1)

static uint64_t entry_leaf(uint64_t mfn, enum xensim_p2m_type type)
{
	return mfn << 8 | (uint64_t)type << 1;
}

static enum xensim_p2m_type entry_type(uint64_t entry)
{
	return (enum xensim_p2m_type)((entry >> 1) & 0x7f);
}

static uint64_t entry_mfn(uint64_t entry)
{
	return entry >> 8;
}

static struct p2m_table *entry_table(uint64_t entry)
{
	return (struct p2m_table *)(uintptr_t)(entry & ~ENTRY_TABLE);
}

static unsigned int entry_index(uint64_t gfn, int level)
{
	return (gfn >> p2m_order(level)) & (P2M_ENTRIES - 1);
}

static struct p2m_table *table_new(int level)
{
	size_t size = sizeof(struct p2m_table);

	if (level < P2M_LEAF)
		size += P2M_ENTRIES * sizeof(struct p2m_table *);
	return calloc(1, size);
}

static uint64_t walk(struct xensim_domain *domain, uint64_t gfn, uint64_t **slot, int *level)
{
	struct p2m_table *table = domain->p2m;
	int at;

	for (at = 0;; at++) {
		uint64_t *entry = &table->entry[entry_index(gfn, at)];
		/* Acquire: pairs with the release in set_entry(): a table is seen filled. */
		uint64_t value = load_acquire(entry);

		if (!(value & ENTRY_TABLE)) {
			*slot = entry;
			*level = at;
			return value;
		}
		table = entry_table(value);
	}
}

static void set_entry(uint64_t *slot, uint64_t value)
{
	store_release(slot, value);
}

static uint64_t sequence_begin(struct xensim_domain *domain)
{
	uint64_t sequence;

	/* Acquire: pairs with the release in leave_table(). */
	while ((sequence = load_acquire(&domain->p2m_sequence)) & 1)
		sched_yield();
	return sequence;
}

/* The loads of the walk are acquire, so this one comes after them. */
static bool sequence_same(struct xensim_domain *domain, uint64_t sequence)
{
	return load_relaxed(&domain->p2m_sequence) == sequence;
}

static uint64_t leaf_mfn(uint64_t value, uint64_t gfn, int level)
{
	return entry_mfn(value) + (gfn & ((UINT64_C(1) << p2m_order(level)) - 1));
}

enum xensim_p2m_type p2m_lookup(struct xensim_domain *domain, uint64_t gfn, uint64_t *mfn,
				int *level)
{
	uint64_t sequence, value;
	uint64_t *slot;

	*mfn = XENSIM_INVALID_MFN;
	*level = 1;
	if (gfn >> GFN_BITS)
		return XENSIM_HOLE;
	do {
		sequence = sequence_begin(domain);
		value = walk(domain, gfn, &slot, level);
	} while (!sequence_same(domain, sequence));
	if (p2m_has_page(entry_type(value)))
		*mfn = leaf_mfn(value, gfn, *level);
	if (*level == 0)
		*level = 1;
	return entry_type(value);
}

enum xensim_p2m_type p2m_get_page(struct xensim_domain *domain, uint64_t gfn, uint64_t *mfn)
{
	uint64_t *slot;
	int level;

	*mfn = XENSIM_INVALID_MFN;
	if (gfn >> GFN_BITS)
		return XENSIM_HOLE;
	for (;;) {
		uint64_t sequence = sequence_begin(domain);
		uint64_t value = walk(domain, gfn, &slot, &level);
		uint64_t page;

		if (!p2m_has_page(entry_type(value))) {
			if (sequence_same(domain, sequence))
				return entry_type(value);
			continue;
		}
		page = leaf_mfn(value, gfn, level);
		if (!page_try_get(page))
			continue;
		if (load_acquire(slot) == value && sequence_same(domain, sequence)) {
			*mfn = page;
			return entry_type(value);
		}
		page_put(page);
	}
}

static bool counts_as_ram(enum xensim_p2m_type type)
{
	return type == XENSIM_RAM || p2m_read_only(type) || type == XENSIM_PAGED_OUT;
}

/* Its page is still the domain's, though nobody can reach it. */
static void keep_page(struct xensim_domain *domain, uint64_t mfn)
{
	uint64_t *kept = realloc(domain->kept, (domain->kept_count + 1) * sizeof(*kept));

	if (!kept) {
		page_release(mfn);
		return;
	}
	domain->kept = kept;
	kept[domain->kept_count++] = mfn;
}

static void free_leaf(struct xensim_domain *domain, uint64_t value, int level, bool *freed_ram)
{
	uint64_t pages = UINT64_C(1) << p2m_order(level);
	uint64_t i;

	if (counts_as_ram(entry_type(value)))
		*freed_ram = true;
	for (i = 0; i < pages; i++)
		if (domain->keep && page_is_guests(entry_mfn(value) + i))
			keep_page(domain, entry_mfn(value) + i);
		else
			page_release(entry_mfn(value) + i);
}

/* What an entry held is not the guest's any more; the entry itself has been overwritten. */
static void free_entry(struct xensim_domain *domain, uint64_t value, int level, bool *freed_ram)
{
	unsigned int i;

	if (!value)
		return;
	if (!(value & ENTRY_TABLE)) {
		free_leaf(domain, value, level, freed_ram);
		return;
	}
	for (i = 0; i < P2M_ENTRIES; i++) {
		uint64_t *slot = &entry_table(value)->entry[i];
		uint64_t below = load_relaxed(slot);

		set_entry(slot, 0);
		free_entry(domain, below, level + 1, freed_ram);
		/* Tables below stay reachable for reuse and for the teardown. */
		if (below & ENTRY_TABLE)
			entry_table(value)->spare[i] = entry_table(below);
	}
}

/* Overwrite an entry that holds a table; readers inside of it start again. */
static void leave_table(struct xensim_domain *domain, struct p2m_table *table, unsigned int index,
			uint64_t value)
{
	uint64_t sequence = load_relaxed(&domain->p2m_sequence);

	table->spare[index] = entry_table(load_relaxed(&table->entry[index]));
	store_relaxed(&domain->p2m_sequence, sequence + 1);
	set_entry(&table->entry[index], value);
	store_release(&domain->p2m_sequence, sequence + 2);
}

static int shatter(struct xensim_domain *domain, struct p2m_table *table, unsigned int index,
		   int level)
{
	uint64_t value = load_relaxed(&table->entry[index]);
	struct p2m_table *below = table->spare[index];
	unsigned int i;

	if (value && domain->fail_shatter) {
		domain->fail_shatter--;
		return -ENOMEM;
	}
	if (!below)
		below = table_new(level + 1);
	if (!below)
		return -ENOMEM;
	table->spare[index] = NULL;
	for (i = 0; value && i < P2M_ENTRIES; i++) {
		uint64_t mfn = entry_mfn(value) + ((uint64_t)i << p2m_order(level + 1));

		set_entry(&below->entry[i], entry_leaf(mfn, entry_type(value)));
	}
	set_entry(&table->entry[index], (uint64_t)(uintptr_t)below | ENTRY_TABLE);
	return 0;
}

/* The table at a level that decides about gfn, shattering what is above. 1: there is nothing
 * there, and make is not set. */
static int descend(struct xensim_domain *domain, uint64_t gfn, int level, bool make,
		   struct p2m_table **table)
{
	int at, ret;

	*table = domain->p2m;
	for (at = 0; at < level; at++) {
		unsigned int index = entry_index(gfn, at);
		uint64_t value = load_relaxed(&(*table)->entry[index]);

		if (!value && !make)
			return 1;
		if (!(value & ENTRY_TABLE)) {
			ret = shatter(domain, *table, index, at);
			if (ret)
				return ret;
			value = load_relaxed(&(*table)->entry[index]);
		}
		*table = entry_table(value);
	}
	return 0;
}

int p2m_set(struct xensim_domain *domain, uint64_t gfn, unsigned int order, uint64_t mfn,
	    enum xensim_p2m_type type, bool *freed_ram)
{
	int level = P2M_LEAF - (int)(order / 9);
	bool remove = mfn == XENSIM_INVALID_MFN;
	uint64_t value = remove ? 0 : entry_leaf(mfn, type);
	struct p2m_table *table;
	unsigned int index;
	uint64_t old;
	int ret;

	if (gfn >> GFN_BITS)
		return -EINVAL;
	ret = descend(domain, gfn, level, !remove, &table);
	if (ret < 0 && (host.options.arch == XENSIM_ARM || remove))
		*freed_ram = true;
	if (ret)
		return ret < 0 ? ret : 0;
	if (!remove && gfn + (UINT64_C(1) << order) - 1 > load_relaxed(&domain->max_gfn))
		store_relaxed(&domain->max_gfn, gfn + (UINT64_C(1) << order) - 1);
	index = entry_index(gfn, level);
	old = load_relaxed(&table->entry[index]);
	if (old & ENTRY_TABLE)
		leave_table(domain, table, index, value);
	else
		set_entry(&table->entry[index], value);
	free_entry(domain, old, level, freed_ram);
	return 0;
}

int p2m_retype(struct xensim_domain *domain, uint64_t gfn, enum xensim_p2m_type type)
{
	struct p2m_table *table;
	uint64_t *slot;
	int ret;

	if (gfn >> GFN_BITS)
		return -EINVAL;
	ret = descend(domain, gfn, P2M_LEAF, false, &table);
	if (ret)
		return ret < 0 ? ret : -EINVAL;
	slot = &table->entry[entry_index(gfn, P2M_LEAF)];
	if (!load_relaxed(slot))
		return -EINVAL;
	set_entry(slot, entry_leaf(entry_mfn(load_relaxed(slot)), type));
	return 0;
}

static void free_tables(struct xensim_domain *domain, struct p2m_table *table, int level)
{
	unsigned int i;

	for (i = 0; i < P2M_ENTRIES; i++) {
		uint64_t value = load_relaxed(&table->entry[i]);
		bool ignored;

		if (value & ENTRY_TABLE)
			free_tables(domain, entry_table(value), level + 1);
		else
			free_entry(domain, value, level, &ignored);
		if (level < P2M_LEAF && table->spare[i])
			free_tables(domain, table->spare[i], level + 1);
	}
	free(table);
}

void p2m_teardown(struct xensim_domain *domain)
{
	domain->keep = false;
	while (domain->kept_count)
		page_release(domain->kept[--domain->kept_count]);
	free(domain->kept);
	domain->kept = NULL;
	free_tables(domain, domain->p2m, 0);
	domain->p2m = NULL;
}
