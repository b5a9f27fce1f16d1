/* SPDX-License-Identifier: MIT */
/*
 * Pins. A client counts its own pins of every slot in an array that only its thread writes, so
 * that a pin costs no atomic operation; whoever releases through another thread changes the
 * slot's shared count instead. Their sum is what keeps the slot mapped.
 */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/fill/fill.h"
#include "lib/pins/pins.h"
#include "lib/protocol/grace.h"
#include "lib/protocol/protocol.h"
#include "lib/protocol/entry.h"

/* A client's own count goes to the shared one before it could overflow; that one has room for a
 * century of pins. */
#define PIN_FOLD (UINT32_C(1) << 31)

void pin_take(struct mapcache_client *client, uint64_t slot)
{
	mapcache_atomic_u32 *own = &client->pins[slot];

	if (ledger_on(client->cache)) {
		/* The client has none of its own: every release takes the slow path. Relaxed: in
		 * a section, as pin_count_take(). */
		mapcache_add_relaxed(&mapping_at(client->cache, slot)->shared_pins, 1);
		return;
	}
	if (!client->pinner)
		client_add_pinner(client);
	if (mapcache_load_relaxed(own) >= PIN_FOLD)
		client_fold(client, slot);
	pin_count_take(own);
}

/* Without a call on the way. Where the backend chooses, the slot has to be looked for: that is not
 * a hit. */
static inline bool pin_take_hit(struct mapcache_client *client, const void *pointer)
{
	const struct mapcache *cache = client->cache;
	mapcache_atomic_u32 *own;

	if (!arena_holds(cache, pointer))
		return false;
	own = &client->pins[arena_slot(cache, pointer)];
	if (mapcache_unlikely(!client->pinner || mapcache_load_relaxed(own) >= PIN_FOLD))
		return false;
	pin_count_take(own);
	return true;
}

/*
 * Everything but a hit in a section of its own: the rest of mapcache_pin(), which calls these
 * last and so keeps nothing across a call.
 */
static __attribute__((noinline, cold)) void *
pin_missed(struct mapcache_client *client, uint64_t gpa, size_t *len, int prot, unsigned int flags)
{
	void *pointer;

	mapcache_end_inline(client);
	if (flags)
		pointer = access_begin_whole(client, gpa, *len, prot);
	else
		pointer = access_begin(client, gpa, len, prot);
	if (!pointer)
		return NULL;
	pin_take(client, place_slot(client->cache, pointer));
	mapcache_end_inline(client);
	PROBE3(pin, client->cache, gpa, *len);
	return pointer;
}

static __attribute__((noinline)) void *pin_ended(struct mapcache_client *client, void *pointer)
{
	mapcache_end_slow(client);
	return pointer;
}

/* In a section that is open, or of a client whose sections begin with a fence. */
static __attribute__((noinline)) void *pin_inside(struct mapcache_client *client, uint64_t gpa,
						  size_t *len, int prot, unsigned int flags,
						  const void *caller)
{
	size_t part = pin_part(client, gpa, *len);
	void *pointer;

	mapcache_begin_slow(client);
	if (mapcache_likely(mapcache_ptr_bucket(client, gpa, part, prot, &pointer) &&
			    pin_take_hit(client, pointer))) {
		*len = part;
		mapcache_end_inline(client);
		return pointer;
	}
	pointer = pin_missed(client, gpa, len, prot, flags);
	if (pointer && ledger_on(client->cache))
		ledger_pin(client, pointer, *len, caller);
	return pointer;
}

static __attribute__((noinline)) void *pin_unusual(struct mapcache_client *client, uint64_t gpa,
						   const size_t *len, int prot, unsigned int flags,
						   const void *caller)
{
	if (!client || !len || (flags & ~(MAPCACHE_PIN_CONTIGUOUS | MAPCACHE_PIN_OWN_MAPPING))) {
		errno = EINVAL;
		return NULL;
	}
	return span_pin(client, gpa, *len, prot, flags & MAPCACHE_PIN_OWN_MAPPING, caller);
}

/* A contiguous pin that lies in one bucket is as any other. */
void *mapcache_pin(struct mapcache_client *client, uint64_t gpa, size_t *len, int prot,
		   unsigned int flags)
{
	struct mapcache_client_fast *fast;
	uint64_t part;
	void *pointer;

	if (mapcache_unlikely(!client || !len || flags & ~MAPCACHE_PIN_CONTIGUOUS))
		return pin_unusual(client, gpa, len, prot, flags, __builtin_return_address(0));
	fast = &client->fast;
	part = fast->bucket_mask - (gpa & fast->bucket_mask) + 1;
	if (mapcache_likely(part >= *len))
		part = *len;
	else if (flags)
		return span_pin(client, gpa, *len, prot, false, __builtin_return_address(0));
	if (mapcache_unlikely(mapcache_load_own(&fast->section) != 0))
		return pin_inside(client, gpa, len, prot, flags, __builtin_return_address(0));
	mapcache_begin_inline(client);
	if (mapcache_unlikely(!mapcache_ptr_bucket(client, gpa, (size_t)part, prot, &pointer) ||
			      !pin_take_hit(client, pointer)))
		return pin_missed(client, gpa, len, prot, flags);
	*len = (size_t)part;
	if (mapcache_unlikely((int64_t)mapcache_load_own(&fast->section) <= 0))
		return pin_ended(client, pointer);
	mapcache_end_inline(client);
	return pointer;
}

void *pin_piece(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		const void *caller)
{
	if (ledger_on(client->cache))
		return pin_inside(client, gpa, &len, prot, MAPCACHE_PIN_CONTIGUOUS, caller);
	return mapcache_pin(client, gpa, &len, prot, MAPCACHE_PIN_CONTIGUOUS);
}

/* From the count that all share: by anybody. */
static bool pin_give_shared(struct mapcache *cache, struct mapping *mapping)
{
	bool held;

	clients_lock(cache);
	held = mapping_state(mapping) == MAPPING_SPAN ? span_pins_locked(cache, mapping->span) > 0
						      : client_pins_locked(cache, mapping) > 0;
	if (held)
		pin_count_release_shared(&mapping->shared_pins);
	clients_unlock(cache);
	return held;
}

/* client: whose thread this is, or NULL. */
static __attribute__((noinline)) int pin_give(struct mapcache *cache,
					      struct mapcache_client *client, void *ptr,
					      size_t written, const void *caller)
{
	uint64_t slot = place_slot(cache, ptr);

	if ((ledger_on(cache) && !ledger_unpin(cache, ptr, caller)) || slot == PLACE_NONE)
		return -EINVAL;
	if (written && entry_logging(cache))
		dirty_unpin(cache, client, ptr, written);
	if ((client && pin_count_release(&client->pins[slot])) ||
	    pin_give_shared(cache, mapping_at(cache, slot)))
		return 0;
	return -EINVAL;
}

int mapcache_client_unpin(struct mapcache_client *client, void *ptr, size_t written)
{
	if (mapcache_unlikely(!client))
		return -EINVAL;
	if (mapcache_likely(arena_holds(client->cache, ptr) &&
			    !(written && entry_logging(client->cache)) &&
			    pin_count_release(&client->pins[arena_slot(client->cache, ptr)])))
		return 0;
	/* Pages to report, a pin that another client holds, or no slot of the arena. */
	return pin_give(client->cache, client, ptr, written, __builtin_return_address(0));
}

int mapcache_unpin(struct mapcache *cache, void *ptr, size_t written)
{
	return cache ? pin_give(cache, NULL, ptr, written, __builtin_return_address(0)) : -EINVAL;
}

/* Whoever's segments are of another cache, or were given up before, hears of it; the rest goes. */
static int pin_give_iov(struct mapcache *cache, struct mapcache_client *client,
			const struct iovec *iov, int count, size_t written, const void *caller)
{
	CANCEL_DEFERRED;
	int error = 0;

	if (!iov || count < 0)
		return -EINVAL;
	if (written && entry_logging(cache))
		dirty_unpin_iov(cache, client, iov, count, written);
	for (int i = 0; i < count; i++) {
		int failed = pin_give(cache, client, iov[i].iov_base, 0, caller);

		error = error ? error : failed;
	}
	return error;
}

int mapcache_unpin_iov(struct mapcache *cache, const struct iovec *iov, int count, size_t written)
{
	return cache ? pin_give_iov(cache, NULL, iov, count, written, __builtin_return_address(0))
		     : -EINVAL;
}

int mapcache_client_unpin_iov(struct mapcache_client *client, const struct iovec *iov, int count,
			      size_t written)
{
	return client ? pin_give_iov(client->cache, client, iov, count, written,
				     __builtin_return_address(0))
		      : -EINVAL;
}

static __attribute__((noinline, cold)) int pin_gpa(struct mapcache *cache, const void *ptr,
						   uint64_t *gpa)
{
	uint64_t slot = place_slot(cache, ptr);
	const struct mapping *mapping;

	if (slot == PLACE_NONE)
		return -ENOENT;
	mapping = mapping_at(cache, slot);
	if (mapcache_load_relaxed(&mapping->epoch) == 0)
		return -ENOENT;
	*gpa = place_gpa(cache, mapping,
			 (uint64_t)((const char *)ptr - mapping_base(cache, mapping)));
	return 0;
}

int mapcache_gpa(struct mapcache *cache, const void *ptr, uint64_t *gpa)
{
	const struct mapping *mapping;

	if (!cache || !ptr || !gpa)
		return -EINVAL;
	if (mapcache_unlikely(!arena_holds(cache, ptr)))
		return pin_gpa(cache, ptr, gpa);
	mapping = mapping_at(cache, arena_slot(cache, ptr));
	if (mapcache_unlikely(mapcache_load_relaxed(&mapping->epoch) == 0 ||
			      mapcache_load_relaxed(&mapping->index) & MAPPING_LISTED))
		return pin_gpa(cache, ptr, gpa);
	*gpa = mapping_gpa(cache, mapping) +
	       ((uintptr_t)ptr & ((UINT64_C(1) << cache->settings.bucket_shift) - 1));
	return 0;
}
