/* SPDX-License-Identifier: MIT */
/* What is mapped in a slot, as whole kernel mappings. For space's own files; the slot is the
 * caller's, as in place.h. Each change is followed by cover_settle(). */
#ifndef COVER_H
#define COVER_H

#include "lib/space/mapping.h"
#include "lib/space/space.h"

struct run cover_run(const struct mapcache *cache, uint64_t offset, uint64_t bytes);
void cover_add(const struct mapcache *cache, struct mapping *mapping, uint64_t offset,
	       uint64_t bytes);
/* Kernel mappings whole. */
void cover_remove(struct mapping *mapping, struct run run);
/* It is somebody else's from now on. */
void cover_lose(struct mapcache *cache, struct mapping *mapping, uint64_t offset, uint64_t bytes);
/* The first kernel mapping that is inside the mask. */
struct run cover_first(const struct mapping *mapping, uint64_t mask);
void cover_settle(struct mapcache *cache, struct mapping *mapping, uint64_t taken);

/* The process has as many kernel mappings as it may: from now on this cache has fewer, so that
 * there is room for others. */
void cover_retreat(struct mapcache *cache);

#define COVER_TAKEN UINT64_C(2) /* by space_take() for one map call */

#endif
