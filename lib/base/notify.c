/* SPDX-License-Identifier: MIT */
/* Telling the embedder what shows guest memory. Callers hold no lock. */
#include "lib/base/base.h"

#include "lib/cache.h"

void notify(struct mapcache *cache, enum mapcache_event event, uint64_t gpa, void *address,
	    uint64_t len)
{
	if (cache->embedder.notify)
		cache->embedder.notify(cache->embedder.notify_data, event, gpa, address, len);
}

void notify_gone(struct mapcache *cache)
{
	uint32_t told = 0;

	if (!mapcache_replace_acq_rel(&cache->embedder.gone_told, &told, 1))
		return;
	log_message(cache, MAPCACHE_LOG_WARNING,
		    "domain %u is gone: what it had stays mapped here until it is unmapped",
		    cache->settings.domid);
	if (cache->embedder.gone)
		cache->embedder.gone(cache->embedder.gone_data);
}
