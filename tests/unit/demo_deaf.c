/* SPDX-License-Identifier: MIT */
/*
 * Linked into the demo in place of mapcache_invalidate(): a device model that answers
 * INVALIDATE and goes on with its old mappings. The demo must notice.
 */
#include <mapcache/mapcache.h>

uint64_t __wrap_mapcache_invalidate(struct mapcache *cache);

uint64_t __wrap_mapcache_invalidate(struct mapcache *cache)
{
	return mapcache_epoch(cache);
}
