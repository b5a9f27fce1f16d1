/* SPDX-License-Identifier: MIT */
/*
 * How long what is locked was asked for, for interfaces whose unlock names a pointer only. Any
 * thread.
 */
#ifndef EXAMPLES_DROPIN_RANGES_H
#define EXAMPLES_DROPIN_RANGES_H

#include <stdbool.h>
#include <stddef.h>

/* A lock of len bytes to be written; 0: to be read only. own: in address space of its own. */
void ranges_add(const void *pointer, size_t len, bool own);

/* The pointer of one that has address space of its own and matches; or NULL. */
const void *ranges_find(bool (*match)(const void *pointer, const void *data), const void *data);

/*
 * One lock of the pointer is over. Returns how many bytes may have been written through any lock
 * of it so far: the longest, since nobody says which of them it is. One that is not known, since
 * there was no memory to note it, may have written anything: SIZE_MAX.
 */
size_t ranges_take(const void *pointer);

#endif
