/* SPDX-License-Identifier: MIT */
/*
 * Pins. A client counts its own pins of every slot in an array that only its thread writes, so
 * that a pin costs no atomic operation; whoever releases through another thread changes the
 * slot's shared count instead. Their sum is what keeps the slot mapped.
 */
#include <errno.h>

#include "lib/base/cancel.h"
#include "lib/base/probe.h"
#include "lib/fill/fill.h"
#include "lib/pins/ledger.h"
#include "lib/pins/pins.h"
#include "lib/protocol/pin_count.h"
#include "lib/protocol/protocol.h"
#include "lib/space/place.h"
#include "lib/protocol/entry.h"

/* A client's own count goes to the shared one before it could overflow; that one has room for a
 * century of pins. */
#define PIN_FOLD (UINT32_C(1) << 31)

void pin_take(struct mapcache_client *client, uint64_t slot)
{
	mapcache_atomic_u32 *own = &client->pins[slot];

	if (mapcache_unlikely(client->cache->pins.ledger)) {
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
	uint64_t part = client->fast.bucket_mask - (gpa & client->fast.bucket_mask) + 1;
	void *pointer;

	if (part > *len)
		part = *len;
	mapcache_begin_slow(client);
	if (mapcache_unlikely(!mapcache_ptr_bucket(client, gpa, (size_t)part, prot, &pointer) ||
			      !pin_take_hit(client, pointer)))
		goto missed;
	*len = (size_t)part;
	mapcache_end_inline(client);
	return pointer;
missed:
	pointer = pin_missed(client, gpa, len, prot, flags);
	if (mapcache_unlikely(client->cache->pins.ledger && pointer))
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
	if (mapcache_unlikely(client->cache->pins.ledger))
		return pin_inside(client, gpa, &len, prot, MAPCACHE_PIN_CONTIGUOUS, caller);
	return mapcache_pin(client, gpa, &len, prot, MAPCACHE_PIN_CONTIGUOUS);
}

void *pin_try(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;
	bool hit;

	mapcache_begin_inline(client);
	hit = mapcache_ptr_fast(client, gpa, len, prot, &pointer);
	if (hit)
		pin_take(client, place_slot(client->cache, pointer));
	mapcache_end_inline(client);
	return hit ? pointer : NULL;
}

uint64_t pin_segments(const struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	uint32_t shift = cache->settings.bucket_shift;

	return ((gpa + len - 1) >> shift) - (gpa >> shift) + 1;
}

int pin_too_few(struct iovec *iov, int iovcnt, uint64_t segments)
{
	if (iovcnt > 0)
		iov[0] = (struct iovec){ .iov_len = segments < SIZE_MAX ? (size_t)segments
									: SIZE_MAX };
	return -EMSGSIZE;
}

int mapcache_pin_iov(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		     struct iovec *iov, int iovcnt)
{
	int count = 0, error;
	uint64_t mask;
	CANCEL_DEFERRED;

	if (!client || !iov || iovcnt < 0 || len == 0)
		return -EINVAL;
	if (!settings_reach(&client->cache->settings, gpa, len))
		return -ERANGE;
	if (pin_segments(client->cache, gpa, len) > (uint64_t)iovcnt)
		return pin_too_few(iov, iovcnt, pin_segments(client->cache, gpa, len));
	mask = client->fast.bucket_mask;
	for (; len; count++) {
		uint64_t rest = mask - (gpa & mask) + 1;
		size_t part = rest < len ? (size_t)rest : len;

		/* All of it in the bucket: a hole in the middle is one in the range. */
		iov[count].iov_base =
			pin_piece(client, gpa, part, prot, __builtin_return_address(0));
		if (!iov[count].iov_base) {
			error = -errno;
			(void)mapcache_client_unpin_iov(client, iov, count, 0);
			return error;
		}
		iov[count].iov_len = part;
		gpa += part;
		len -= part;
	}
	return count;
}

/* By anybody: from the count that all share. */
static inline int pin_release(struct mapcache *cache, void *ptr, size_t written)
{
	uint64_t slot = place_slot(cache, ptr);
	struct mapping *mapping;
	int error = 0;

	if (slot == PLACE_NONE)
		return -EINVAL;
	mapping = mapping_at(cache, slot);
	if (mapcache_unlikely(written && entry_logging(cache)))
		dirty_unpin(cache, NULL, ptr, written);
	clients_lock(cache);
	if (mapping_state(mapping) == MAPPING_SPAN ? span_pins_locked(cache, mapping->span) > 0
						   : client_pins_locked(cache, mapping) > 0)
		pin_count_release_shared(&mapping->shared_pins);
	else
		error = -EINVAL;
	clients_unlock(cache);
	return error;
}

/* Out of line: pages to report, a pin that another client holds, or no slot of the arena. */
static __attribute__((noinline)) int pin_give(struct mapcache_client *client, void *ptr,
					      size_t written, const void *caller)
{
	struct mapcache *cache = client->cache;
	uint64_t slot = place_slot(cache, ptr);

	if (slot == PLACE_NONE || (cache->pins.ledger && !ledger_unpin(cache, ptr, caller)))
		return -EINVAL;
	if (written && entry_logging(cache))
		dirty_unpin(cache, client, ptr, written);
	return pin_count_release(&client->pins[slot]) ? 0 : pin_release(cache, ptr, 0);
}

int mapcache_client_unpin(struct mapcache_client *client, void *ptr, size_t written)
{
	if (mapcache_unlikely(!client))
		return -EINVAL;
	if (mapcache_unlikely(!arena_holds(client->cache, ptr) ||
			      (written && entry_logging(client->cache))))
		return pin_give(client, ptr, written, __builtin_return_address(0));
	if (mapcache_likely(pin_count_release(&client->pins[arena_slot(client->cache, ptr)])))
		return 0;
	return pin_give(client, ptr, 0, __builtin_return_address(0));
}

int mapcache_unpin(struct mapcache *cache, void *ptr, size_t written)
{
	if (!cache ||
	    (cache->pins.ledger && !ledger_unpin(cache, ptr, __builtin_return_address(0))))
		return -EINVAL;
	return pin_release(cache, ptr, written);
}

static int pin_give_piece(struct mapcache *cache, struct mapcache_client *client, void *ptr,
			  const void *caller)
{
	if (mapcache_unlikely(cache->pins.ledger))
		return ledger_unpin(cache, ptr, caller) ? pin_release(cache, ptr, 0) : -EINVAL;
	return client ? mapcache_client_unpin(client, ptr, 0) : mapcache_unpin(cache, ptr, 0);
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
		int failed = pin_give_piece(cache, client, iov[i].iov_base, caller);

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

static __attribute__((noinline, cold)) int pin_gpa_placed(struct mapcache *cache, const void *ptr,
							  uint64_t *gpa)
{
	uint64_t slot = place_find(cache, ptr);
	const struct mapping *mapping;

	if (slot == PLACE_NONE)
		return -ENOENT;
	mapping = mapping_at(cache, slot);
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
		return pin_gpa_placed(cache, ptr, gpa);
	mapping = mapping_at(cache, arena_slot(cache, ptr));
	if (mapcache_load_relaxed(&mapping->epoch) == 0)
		return -ENOENT;
	*gpa = (uintptr_t)ptr & ((UINT64_C(1) << cache->settings.bucket_shift) - 1);
	if (mapcache_unlikely(mapcache_load_relaxed(&mapping->index) & MAPPING_LISTED))
		*gpa = place_gpa(cache, mapping, *gpa);
	else
		*gpa += mapping_gpa(cache, mapping);
	return 0;
}
