/* SPDX-License-Identifier: MIT */
/*
 * Contiguous pins on their way. A plain pin is taken inside a section, so that who waits for the
 * sections of an epoch has waited for such pins, too. A contiguous one cannot be: it waits for
 * room, which waits for sections. So its client says beside its section since which epoch it has
 * been on its way, for drain alone. Compiled as it is by tests/model.
 *
 * Include it where struct mapcache_client is complete: it has pinning and next.
 */
#ifndef PINNING_H
#define PINNING_H

#include "lib/protocol/epoch.h"

static inline void pinning_begin(mapcache_atomic_u64 *pinning, const struct mapcache_shared *shared)
{
	/* Release: who reads this, and not the 0 before it, must see the pin before this one. */
	mapcache_store_release(pinning, epoch_now(shared));
	/* Pairs with the fence in pinning_over(): it sees the word, or every epoch that is read
	 * from here on is at least its own (F). */
	mapcache_fence_seq_cst();
}

/* The pin is counted, or there is none. Release: pairs with the acquire in pinning_over(), which is
 * followed by a count of the pins. */
static inline void pinning_end(mapcache_atomic_u64 *pinning)
{
	mapcache_store_release(pinning, 0);
}

/* Whether none is on its way that may be older than the epoch. */
static inline bool pinning_over(const struct mapcache_client *client, uint64_t epoch)
{
	bool over = true;

	mapcache_fence_seq_cst(); /* pairs with the fence in pinning_begin() */
	for (; client && over; client = client->next) {
		uint64_t since = mapcache_load_acquire(&client->pinning);

		over = !since || since >= epoch;
	}
	return over;
}

#endif
