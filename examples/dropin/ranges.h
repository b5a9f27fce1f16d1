/* SPDX-License-Identifier: MIT */
/*
 * Which pointers are locked, how often, and in which cache. QEMU unlocks by the pointer alone, and
 * unlocks pointers that nobody has locked, too: only what is known here may be unpinned. Any
 * thread.
 */
#ifndef EXAMPLES_DROPIN_RANGES_H
#define EXAMPLES_DROPIN_RANGES_H

#include <stdint.h>

struct mapcache;

/* 0 or -ENOMEM: then it must not be handed out. */
int ranges_lock(struct mapcache *cache, const void *pointer);

/* One lock is over: the cache it was of; NULL: there is none. *left: how many there still are. */
struct mapcache *ranges_unlock(const void *pointer, uint64_t *left);

#endif
