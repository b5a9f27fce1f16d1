/* SPDX-License-Identifier: MIT */
/*
 * Unlocked pointers, which nobody gives back: QEMU uses them inside the RCU read section in which
 * it got them. Each is a pin. After an INVALIDATE those from before it are released as soon as
 * every RCU read section of that time has ended, so that nothing stale stays mapped (E); what
 * shows current memory stays until the thread has looked up TRANSIENT_POINTERS more.
 */
#ifndef EXAMPLES_DROPIN_TRANSIENT_H
#define EXAMPLES_DROPIN_TRANSIENT_H

#include <mapcache/mapcache.h>

#define TRANSIENT_POINTERS 16u

/* On QEMU's main thread, before the first look-up. */
void transient_open(struct mapcache *cache);

/* NULL with errno. One cache in a process. */
void *transient_lookup(uint64_t gpa, size_t len, int prot);

/* The cache has been invalidated. Neither waits nor makes a system call: the rest is done when the
 * main loop comes round. */
void transient_invalidated(void);

/* Before the cache is closed: everything is released. Nobody looks anything up meanwhile. */
void transient_close(void);

#endif
