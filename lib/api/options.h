/* SPDX-License-Identifier: MIT */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "lib/cache.h"

/*
 * Structs of callers that begin with their size: copy what is known of a given one, the rest
 * zero. -EINVAL: too small to hold its size; -E2BIG: an unknown tail is not zero.
 */
int options_copy(const void *given, void *known, size_t known_size);
/* Fill in defaults, refuse what is out of range (-EINVAL, and the log says what), and settle
 * cache->settings. */
int options_check(struct mapcache *cache, struct mapcache_options *options);
/* Where mappings cost the system memory, defaults follow from how much is free; the log says so.
 * The backend is open. asked: the options before they were filled in. */
void options_room(struct mapcache *cache, const struct mapcache_options *asked,
		  struct mapcache_options *options);

#endif
