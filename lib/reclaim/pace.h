/* SPDX-License-Identifier: MIT */
/*
 * A pause after each of many unmaps in a row.
 *
 * Every unmap holds the kernel's mmap_lock of the process, and nothing makes a thread that lets
 * go of it wait for those who want it: they lose it to the next unmap. Whoever spins for it
 * needs a few microseconds of it being free, whoever sleeps the time to be woken. So after each
 * unmap the lock is left alone for a fraction of what the unmap took, and for longer when a
 * thread of the process has gone to sleep meanwhile: one that waits for the lock is woken by
 * every unmap and goes to sleep again when it came too late, so that none waits unseen.
 *
 * The thread that paces only. It blocks for some tens of microseconds.
 */
#ifndef MAPCACHE_PACE_H
#define MAPCACHE_PACE_H

#include <stdint.h>

struct pace {
	long sleeps;    /* of all threads, before the unmap */
	uint64_t since; /* ns, when the unmap began */
};

/* For the reclaim thread, once: its pauses last as long as they say. */
void pace_prepare_thread(void);

/* Before the first unmap. */
void pace_begin(struct pace *pace);

/* After each. */
void pace_pause(struct pace *pace);

#endif
