/* SPDX-License-Identifier: MIT */
/* The baseline with QEMU's algorithm; see the header. */
#include "bench/qemu_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES UINT64_C(4096)
/* The guest space that the array of chains covers once before indexes fold. */
#define HEADS_SPAN (UINT64_C(32) << 30)

int qemu_cache_open(struct qemu_cache *cache, const struct mapcache_backend *backend,
		    uint32_t domid, uint32_t bucket_shift)
{
	int error;

	memset(cache, 0, sizeof(*cache));
	cache->backend = backend;
	cache->bucket_shift = bucket_shift;
	cache->heads_count = HEADS_SPAN >> bucket_shift;
	cache->heads = calloc(cache->heads_count, sizeof(*cache->heads));
	if (!cache->heads)
		return -ENOMEM;
	error = backend->open(NULL, domid, &cache->state);
	if (error) {
		free(cache->heads);
		return error;
	}
	pthread_mutex_init(&cache->mutex, NULL);
	return 0;
}

static void entry_unmap(struct qemu_cache *cache, struct qemu_entry *entry)
{
	cache->backend->unmap(cache->state, entry->base, entry->size / PAGE_BYTES, 0);
	free(entry->valid);
	entry->valid = NULL;
	entry->base = NULL;
}

static bool entry_map(struct qemu_cache *cache, struct qemu_entry *entry, uint64_t index,
		      uint64_t size)
{
	size_t pages = size / PAGE_BYTES;
	int *errors = malloc(pages * sizeof(*errors));

	if (entry->base)
		entry_unmap(cache, entry);
	entry->valid = calloc((pages + 63) / 64, sizeof(*entry->valid));
	if (errors && entry->valid)
		entry->base =
			cache->backend->map(cache->state, NULL, index << (cache->bucket_shift - 12),
					    pages, PROT_READ | PROT_WRITE, errors);
	if (!entry->base) {
		free(entry->valid);
		entry->valid = NULL;
		free(errors);
		return false;
	}
	entry->index = index;
	entry->size = size;
	for (size_t page = 0; page < pages; page++)
		if (!errors[page])
			entry->valid[page / 64] |= UINT64_C(1) << page % 64;
	free(errors);
	return true;
}

static bool pages_valid(const struct qemu_entry *entry, uint64_t offset, uint64_t size)
{
	uint64_t page = offset / PAGE_BYTES, last = (offset + (size ? size : 1) - 1) / PAGE_BYTES;

	for (; page <= last; page++)
		if (!(entry->valid[page / 64] >> page % 64 & 1))
			return false;
	return true;
}

/* The entry, mapped if need be; NULL when it cannot be. Called with the mutex held. */
static struct qemu_entry *entry_get(struct qemu_cache *cache, uint64_t index, uint64_t offset,
				    uint64_t size, uint64_t mapped_size, bool *missed)
{
	struct qemu_entry *entry = &cache->heads[index % cache->heads_count];
	struct qemu_entry *usable = NULL, *tail = entry;

	for (; entry; tail = entry, entry = entry->next) {
		if (entry->base && entry->index == index && entry->size == mapped_size &&
		    pages_valid(entry, offset, size))
			return entry;
		if (!usable && !entry->locks)
			usable = entry;
	}
	*missed = true;
	if (!usable) {
		usable = calloc(1, sizeof(*usable));
		if (!usable)
			return NULL;
		tail->next = usable;
	}
	if (cache->last == usable)
		cache->last = NULL;
	if (!entry_map(cache, usable, index, mapped_size) || !pages_valid(usable, offset, size))
		return NULL;
	return usable;
}

static bool pin_insert(struct qemu_cache *cache, struct qemu_entry *entry, char *pointer)
{
	struct qemu_pin *pin = calloc(1, sizeof(*pin));

	if (!pin)
		return false;
	pin->pointer = pointer;
	pin->index = entry->index;
	pin->size = entry->size;
	pin->next = cache->pins;
	if (pin->next)
		pin->next->previous = pin;
	cache->pins = pin;
	entry->locks++;
	return true;
}

void *qemu_cache_map_locked(struct qemu_cache *cache, uint64_t gpa, uint64_t size, bool lock,
			    bool *missed)
{
	uint64_t bucket = UINT64_C(1) << cache->bucket_shift;
	uint64_t index = gpa >> cache->bucket_shift, offset = gpa & (bucket - 1);
	uint64_t mapped_size = size ? (offset + size + bucket - 1) & ~(bucket - 1) : bucket;
	struct qemu_entry *entry = NULL;
	char *pointer;

	if (!size && !lock && cache->last && cache->last->index == index &&
	    pages_valid(cache->last, offset, size))
		entry = cache->last;
	else
		entry = entry_get(cache, index, offset, size, mapped_size, missed);
	if (!entry)
		return NULL;
	if (!size && !lock)
		cache->last = entry;
	pointer = entry->base + offset;
	return lock && !pin_insert(cache, entry, pointer) ? NULL : pointer;
}

void *qemu_cache_map(struct qemu_cache *cache, uint64_t gpa, uint64_t size, bool lock, bool *missed)
{
	void *pointer;

	pthread_mutex_lock(&cache->mutex);
	pointer = qemu_cache_map_locked(cache, gpa, size, lock, missed);
	pthread_mutex_unlock(&cache->mutex);
	return pointer;
}

/* Called with the mutex held. */
static void entry_unlock(struct qemu_cache *cache, uint64_t index, uint64_t size)
{
	struct qemu_entry *entry = &cache->heads[index % cache->heads_count], *before = NULL;

	while (entry && !(entry->base && entry->index == index && entry->size == size)) {
		before = entry;
		entry = entry->next;
	}
	if (!entry || --entry->locks)
		return;
	if (cache->last == entry)
		cache->last = NULL;
	entry_unmap(cache, entry);
	if (before) {
		before->next = entry->next;
		free(entry);
	}
}

bool qemu_cache_unlock(struct qemu_cache *cache, void *pointer)
{
	struct qemu_pin *pin;

	pthread_mutex_lock(&cache->mutex);
	for (pin = cache->pins; pin && pin->pointer != pointer; pin = pin->next)
		;
	if (pin) {
		if (pin->previous)
			pin->previous->next = pin->next;
		else
			cache->pins = pin->next;
		if (pin->next)
			pin->next->previous = pin->previous;
		entry_unlock(cache, pin->index, pin->size);
	}
	pthread_mutex_unlock(&cache->mutex);
	free(pin);
	return pin != NULL;
}

void qemu_cache_invalidate(struct qemu_cache *cache)
{
	pthread_mutex_lock(&cache->mutex);
	for (uint64_t i = 0; i < cache->heads_count; i++) {
		struct qemu_entry *entry = &cache->heads[i];

		for (; entry; entry = entry->next)
			if (entry->base && !entry->locks)
				entry_unmap(cache, entry);
	}
	cache->last = NULL;
	pthread_mutex_unlock(&cache->mutex);
}

void qemu_cache_close(struct qemu_cache *cache)
{
	while (cache->pins)
		qemu_cache_unlock(cache, cache->pins->pointer);
	qemu_cache_invalidate(cache);
	for (uint64_t i = 0; i < cache->heads_count; i++) {
		struct qemu_entry *entry = cache->heads[i].next, *next;

		for (; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	cache->backend->close(cache->state);
	pthread_mutex_destroy(&cache->mutex);
	free(cache->heads);
}
