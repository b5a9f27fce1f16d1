/* SPDX-License-Identifier: MIT */
/*
 * libxengnttab, the side that maps. As on Linux: wherever mmap(2) likes; all of the references or
 * none; and xengnttab_unmap() of exactly one call's pages undoes it. Pages that vanish otherwise
 * leave their references mapped until the handle is closed.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <xengnttab.h>

#include "handles.h"
#include "private.h"

struct grant_map {
	LIST_ENTRY(grant_map) link;
	void *address;
	uint32_t count;
	struct granted {
		uint32_t domid, reference;
	} granted[];
};

struct xengntdev_handle {
	struct handle handle;
	pthread_mutex_t lock; /* protects the list */
	LIST_HEAD(, grant_map) maps;
};

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	xengnttab_handle *table = calloc(1, sizeof(*table));
	int ret;

	(void)logger;
	(void)open_flags;
	if (!table)
		return NULL;
	ret = handle_open(&table->handle);
	if (ret) {
		free(table);
		return null_errno(ret);
	}
	table->handle.unrestricted = true;
	pthread_mutex_init(&table->lock, NULL);
	LIST_INIT(&table->maps);
	return table;
}

static void give_back(const struct grant_map *map, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		grants_unmap(domain_any(map->granted[i].domid), map->granted[i].reference);
}

int xengnttab_close(xengnttab_handle *table)
{
	struct grant_map *map;

	if (!table)
		return 0;
	handle_close(&table->handle);
	while ((map = LIST_FIRST(&table->maps))) {
		LIST_REMOVE(map, link);
		if (!host.inherited)
			give_back(map, map->count);
		free(map);
	}
	pthread_mutex_destroy(&table->lock);
	free(table);
	return 0;
}

int xengnttab_fd(xengnttab_handle *table)
{
	(void)table;
	return minus_errno(-ENOSYS);
}

int xengnttab_set_max_grants(xengnttab_handle *table, uint32_t count)
{
	(void)table;
	(void)count;
	return 0;
}

static int map_one(const struct granted *granted, bool write, uint64_t *mfn)
{
	struct xensim_domain *domain = domain_get(granted->domid);
	int ret = domain ? grants_map(domain, granted->reference, write, mfn) : -EINVAL;

	if (domain)
		domain_put(domain);
	return ret;
}

/* Each page that could be had is in the mapping, or none and -errno. */
static int map_all(const struct grant_map *map, bool write, struct mapping *mapping)
{
	uint32_t done = 0;
	int ret = 0;

	for (; done < map->count && !ret; done += !ret)
		ret = map_one(&map->granted[done], write, &mapping->mfn[done]);
	if (!ret)
		return 0;
	give_back(map, done);
	while (done-- > 0)
		page_put(mapping->mfn[done]);
	return ret;
}

static int map_install(struct grant_map *map, int prot)
{
	struct mapping *mapping = mapping_new(0, map->count);
	int ret;

	if (!mapping)
		return -ENOMEM;
	ret = map_all(map, prot & PROT_WRITE, mapping);
	if (ret)
		goto free_mapping;
	spend(cost_of_map(map->count));
	ret = foreign_install(mapping, NULL, prot, 0);
	if (!ret) {
		map->address = (void *)mapping->base;
		return 0;
	}
	give_back(map, map->count);
	for (uint32_t i = 0; i < map->count; i++)
		page_put(mapping->mfn[i]);
free_mapping:
	free(mapping);
	return ret;
}

/* stride 0: all of one domain. */
static void *map_references(xengnttab_handle *table, uint32_t count, const uint32_t *domids,
			    unsigned int stride, const uint32_t *references, int prot)
{
	struct grant_map *map = malloc(sizeof(*map) + count * sizeof(*map->granted));
	int ret = load_relaxed(&table->handle.dead) ? -ENOTTY : fault_check(XENSIM_CALL_GRANT_MAP);

	add_relaxed(&host.map_calls, 1);
	if (!map || !count)
		ret = map ? -EINVAL : -ENOMEM;
	if (ret)
		goto free;
	map->count = count;
	for (uint32_t i = 0; i < count; i++)
		map->granted[i] = (struct granted){ domids[i * stride], references[i] };
	jitter();
	ret = map_install(map, prot);
	if (ret)
		goto free;
	pthread_mutex_lock(&table->lock);
	LIST_INSERT_HEAD(&table->maps, map, link);
	pthread_mutex_unlock(&table->lock);
	return map->address;
free:
	free(map);
	return null_errno(ret);
}

void *xengnttab_map_grant_ref(xengnttab_handle *table, uint32_t domid, uint32_t reference, int prot)
{
	return map_references(table, 1, &domid, 1, &reference, prot);
}

void *xengnttab_map_grant_refs(xengnttab_handle *table, uint32_t count, uint32_t *domids,
			       uint32_t *references, int prot)
{
	return map_references(table, count, domids, 1, references, prot);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *table, uint32_t count, uint32_t domid,
				      uint32_t *references, int prot)
{
	return map_references(table, count, &domid, 0, references, prot);
}

static struct grant_map *take(xengnttab_handle *table, const void *address, uint32_t count)
{
	struct grant_map *map;

	pthread_mutex_lock(&table->lock);
	LIST_FOREACH(map, &table->maps, link)
	if (map->address == address)
		break;
	if (map && map->count == count)
		LIST_REMOVE(map, link);
	else
		map = NULL;
	pthread_mutex_unlock(&table->lock);
	return map;
}

int xengnttab_unmap(xengnttab_handle *table, void *address, uint32_t count)
{
	struct grant_map *map;
	int ret =
		load_relaxed(&table->handle.dead) ? -ENOTTY : fault_check(XENSIM_CALL_GRANT_UNMAP);

	if (ret)
		return minus_errno(ret);
	map = take(table, address, count);
	if (!map)
		return minus_errno(-EINVAL);
	if (munmap(address, (size_t)count << PAGE_SHIFT)) {
		ret = -errno;
		pthread_mutex_lock(&table->lock);
		LIST_INSERT_HEAD(&table->maps, map, link);
		pthread_mutex_unlock(&table->lock);
		return minus_errno(ret);
	}
	give_back(map, map->count);
	free(map);
	return 0;
}
