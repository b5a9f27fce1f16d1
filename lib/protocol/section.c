/* SPDX-License-Identifier: MIT */
/*
 * Sections off the fast path: nested ones, those of clients that need a full fence because
 * membarrier(2) is refused, and the first one of a client on a thread. Compiled as it is by
 * tests/model.
 */
#include <errno.h>

#include "lib/protocol/section.h"

void mapcache_begin_slow(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = (struct mapcache_client_fast *)client;

	if (!epoch_section_idle(mapcache_load_relaxed(&fast->section))) {
		fast->nested++;
		section_special(fast);
		return;
	}
	if (fast->nested & MAPCACHE_NESTED_UNOWNED)
		section_adopt(client);
	/* Acquire and release: as in mapcache_begin_inline(). */
	mapcache_store_release(&fast->section,
			       mapcache_load_acquire(&fast->shared->stamp) | section_idle(fast));
	/* Pairs with the fence in grace_barrier(), which is one here, too (B). */
	if (fast->nested & MAPCACHE_NESTED_FENCED)
		mapcache_fence_seq_cst();
}

int mapcache_end_slow(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = (struct mapcache_client_fast *)client;
	uint32_t kept = fast->nested & (MAPCACHE_NESTED_FENCED | MAPCACHE_NESTED_UNOWNED);
	bool dirty = fast->nested & MAPCACHE_NESTED_DIRTY;
	bool spare = fast->nested & MAPCACHE_NESTED_SPARE;

	if (!mapcache_inside_inline(client))
		return -EINVAL;
	if (fast->nested & ~MAPCACHE_NESTED_FLAGS) {
		fast->nested--;
		return 0;
	}
	fast->nested = kept;
	/* Release: as in mapcache_end_inline(). */
	mapcache_store_release(&fast->section, section_idle(fast));
	/* After the writes, and with nobody waiting for this section any more. */
	if (dirty)
		section_report(client);
	if (spare)
		client_give_spare(client);
	return 0;
}
