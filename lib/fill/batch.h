/* SPDX-License-Identifier: MIT */
/*
 * After an INVALIDATE, whoever misses first maps what it asks for together with the granules of other
 * buckets that were in use before, by one call of an arbitrary list of frames: a call costs as much as
 * many pages. They go into a slot of their own, which is never changed, is shown by the words of its
 * granules (protocol/table.h), and goes whole: with the next epoch, when there is no room, or when a
 * range of it is invalidated. Its last granule stays empty, so that no range of granules is ever one
 * piece across two slots: a pin holds one.
 *
 * Nothing waits for a batch and nothing needs it: what it does not map is mapped when it is asked
 * for. It asks for no room that would have to be made, and takes no part while modified pages are
 * logged or placeholders are there.
 */
#ifndef MAPCACHE_BATCH_H
#define MAPCACHE_BATCH_H

#include "lib/space/space.h"

#define BATCH_LEAST 8u /* granules that one may always have */

/* batch.c; batches lock held */
/* Only who sees an INVALIDATE needs any of it. False: there is no memory for it, for good. */
bool batch_start(struct mapcache *cache);
/* The word of a slot's granule, by its place in the slot. */
uint64_t batch_word(const struct mapcache *cache, const struct mapping *mapping, unsigned int i);
/* Those made before the epoch, or showing any of the range, are shown no more. Whether there were. */
bool batch_hide_all(struct mapcache *cache, uint64_t epoch, uint64_t gpa, uint64_t len);

#endif
