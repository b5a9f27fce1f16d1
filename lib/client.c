/* SPDX-License-Identifier: MIT */
/*
 * Clients: one thread's handle each, with its section and its pins. What grace periods ask of
 * all of them together is answered here.
 */
#include "private.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mapping.h"

static size_t client_pins_bytes(const struct mapcache *cache)
{
	return (size_t)(cache->arena.slots * sizeof(mapcache_atomic_u32));
}

int mapcache_client_open(struct mapcache *cache, struct mapcache_client **result)
{
	struct mapcache_client *client;
	int error;

	if (!cache || !result)
		return -EINVAL;
	if (posix_memalign((void **)&client, CACHE_LINE, sizeof(*client)))
		return -ENOMEM;
	memset(client, 0, sizeof(*client));
	client->error = malloc(cache->settings.bucket_pages * sizeof(*client->error));
	if (!client->error) {
		error = -ENOMEM;
		goto free_client;
	}
	client->pins = mmap(NULL, client_pins_bytes(cache), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (client->pins == MAP_FAILED) {
		error = -errno;
		goto free_error;
	}
	client->spare = arena_take_spare(&cache->arena);
	client->cache = cache;
	client->owner = pthread_self();
	client->fast.shared = &cache->shared;
	client->fast.table = cache->table.entries;
	client->fast.bucket_mask = (UINT64_C(1) << cache->settings.bucket_shift) - 1;
	client->fast.bucket_shift = cache->settings.bucket_shift;
	client->fast.granule_shift = cache->settings.granule_shift;
	if (cache->clients.fenced) {
		client->fast.section = MAPCACHE_SECTION_FENCED;
		client->fast.nested = MAPCACHE_NESTED_FENCED;
	}

	pthread_mutex_lock(&cache->clients.lock);
	client->next = cache->clients.first;
	if (client->next)
		client->next->previous = client;
	cache->clients.first = client;
	cache->clients.count++;
	pthread_mutex_unlock(&cache->clients.lock);
	*result = client;
	return 0;
free_error:
	free(client->error);
free_client:
	free(client);
	return error;
}

/*
 * Move a client's pins of one slot to the shared count. Added there before they vanish here:
 * client_pins() reads in the other order and so never sees too few (B).
 */
void client_fold(struct mapcache_client *client, uint64_t slot)
{
	uint32_t own = mapcache_load_relaxed(&client->pins[slot]);
	struct mapping *mapping = mapping_at(client->cache, slot);

	mapcache_add_release(&mapping->shared_pins, own);
	mapcache_store_release(&client->pins[slot], 0);
}

/* The spare slot goes back; to its pinners first, if there are any. */
static void client_give_spare(struct mapcache *cache, struct mapping *spare)
{
	if (!spare)
		return;
	if (client_pins(cache, spare)) {
		retired_push(cache, spare, spare->mapped);
		return;
	}
	account_retire(cache, mapcache_load_relaxed(&spare->epoch), mapping_bytes(cache, spare));
	slot_put(cache, spare);
}

int mapcache_client_close(struct mapcache_client *client)
{
	struct mapcache *cache;
	uint64_t slots;

	if (!client)
		return -EINVAL;
	if (mapcache_inside_inline(client))
		return -EBUSY;
	cache = client->cache;
	slots = arena_beyond(&cache->arena);
	pthread_mutex_lock(&cache->clients.lock);
	for (uint64_t slot = 0; slot < slots; slot++) {
		if (mapcache_load_relaxed(&client->pins[slot]))
			client_fold(client, slot);
	}
	for (int i = 0; i < COUNTERS; i++)
		cache->clients.closed[i] += mapcache_load_relaxed(&client->counters[i]);
	if (client->next)
		client->next->previous = client->previous;
	if (client->previous)
		client->previous->next = client->next;
	else
		cache->clients.first = client->next;
	cache->clients.count--;
	pthread_mutex_unlock(&cache->clients.lock);

	client_give_spare(cache, client->spare);
	munmap(client->pins, client_pins_bytes(cache));
	free(client->error);
	free(client);
	return 0;
}

void mapcache_begin_slow(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = &client->fast;

	if (!epoch_section_idle(mapcache_load_relaxed(&fast->section))) {
		fast->nested++;
		return;
	}
	/* Acquire and release: as in mapcache_begin_inline(). */
	mapcache_store_release(&fast->section, mapcache_load_acquire(&fast->shared->stamp));
	/* Pairs with the fence in client_barrier(), which is one here, too (B). */
	mapcache_fence_seq_cst();
}

int mapcache_end_slow(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = &client->fast;
	uint32_t fenced = fast->nested & MAPCACHE_NESTED_FENCED;

	if (!mapcache_inside_inline(client))
		return -EINVAL;
	if (fast->nested & ~(MAPCACHE_NESTED_FENCED | MAPCACHE_NESTED_SPARE)) {
		fast->nested--;
		return 0;
	}
	fast->nested = fenced;
	/* Release: as in mapcache_end_inline(). */
	mapcache_store_release(&fast->section, fenced ? MAPCACHE_SECTION_FENCED : 0);
	return 0;
}

void client_count(struct mapcache_client *client, enum counter counter, uint64_t n)
{
	uint64_t value = mapcache_load_relaxed(&client->counters[counter]);

	mapcache_store_relaxed(&client->counters[counter], value + n);
}

int client_barrier_register(struct mapcache *cache)
{
	long commands;

	cache->clients.fenced = true;
	if (cache->settings.flags & MAPCACHE_NO_MEMBARRIER)
		return 0;
	commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	if (commands < 0 || !(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return 0;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return 0;
	cache->clients.fenced = false;
	return 0;
}

bool client_barrier(struct mapcache *cache)
{
	if (cache->clients.fenced) {
		/* Pairs with the fence in begin: of the two, whichever comes second sees the
		 * other's store (B). */
		mapcache_fence_seq_cst();
		return true;
	}
	/* Pairs with the compiler fence in begin: makes it a full fence on every CPU that
	 * runs a thread of this process now (B). */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
		return true;
	log_message(cache, MAPCACHE_LOG_ERROR,
		    "membarrier is refused since this cache was opened: nothing can be unmapped; "
		    "allow it, or open the cache with MAPCACHE_NO_MEMBARRIER");
	return false;
}

bool client_sections_passed(struct mapcache *cache, struct epoch_condition condition)
{
	struct mapcache_client *client;
	bool passed = true;

	pthread_mutex_lock(&cache->clients.lock);
	for (client = cache->clients.first; client && passed; client = client->next) {
		/* Acquire: pairs with the release stores in begin and end. */
		uint64_t section = mapcache_load_acquire(&client->fast.section);

		passed = epoch_section_passed(section, condition);
	}
	pthread_mutex_unlock(&cache->clients.lock);
	return passed;
}

bool client_quiet(struct mapcache *cache, uint64_t epoch)
{
	struct clients *clients = &cache->clients;

	/* Acquire: pairs with the release below. Whoever relies on the scan of another thread
	 * sees the accesses of the sections that scan saw end (B). */
	if (mapcache_load_acquire(&clients->quiet_epoch) >= epoch)
		return true;
	/* One membarrier an epoch is enough: a section that begins after it cannot read an
	 * older stamp. The fence flavour orders this thread only, so it is made each time. */
	if (clients->fenced || mapcache_load_acquire(&clients->barrier_epoch) < epoch) {
		if (!client_barrier(cache))
			return false;
		mapcache_store_release(&clients->barrier_epoch, epoch);
	}
	if (!client_sections_passed(cache, (struct epoch_condition){ .epoch = epoch })) {
		mapcache_add_relaxed(&cache->grace_failures, 1);
		return false;
	}
	/* Two threads may store in either order: a smaller value costs one more scan. */
	mapcache_store_release(&clients->quiet_epoch, epoch);
	return true;
}

/*
 * Pins of a slot: every client's own and the shared count, which may be negative when one
 * thread pins and another releases. Read in this order, for a mapping that can no longer be
 * pinned anew, the sum is never less than the true count at the end: pins only go away, or
 * from a client's count to the shared one (client_fold). So 0 means 0 (B).
 */
int64_t client_pins_locked(struct mapcache *cache, struct mapping *mapping)
{
	uint64_t slot = mapping_slot(cache, mapping);
	struct mapcache_client *client;
	int64_t pins = 0;

	for (client = cache->clients.first; client; client = client->next)
		pins += mapcache_load_acquire(&client->pins[slot]);
	return pins + (int64_t)mapcache_load_acquire(&mapping->shared_pins);
}

int64_t client_pins(struct mapcache *cache, struct mapping *mapping)
{
	int64_t pins;

	pthread_mutex_lock(&cache->clients.lock);
	pins = client_pins_locked(cache, mapping);
	pthread_mutex_unlock(&cache->clients.lock);
	return pins;
}

bool client_in_section(struct mapcache *cache)
{
	struct mapcache_client *client;
	bool inside = false;

	pthread_mutex_lock(&cache->clients.lock);
	for (client = cache->clients.first; client && !inside; client = client->next)
		inside = pthread_equal(client->owner, pthread_self()) &&
			 mapcache_inside_inline(client);
	pthread_mutex_unlock(&cache->clients.lock);
	return inside;
}
