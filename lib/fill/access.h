/* SPDX-License-Identifier: MIT */
/* Look-ups for callers who need not be inside a section: pins and copies. */
#ifndef ACCESS_H
#define ACCESS_H

#include "lib/private.h"

/*
 * Begin a section with a pointer to as much of [gpa, gpa + *len) as lies in one bucket, or in
 * one page when the rest cannot be reached; *len is set to that. NULL with errno: no section
 * was begun. Where no outer section is open this waits a while for room.
 */
void *access_begin(struct mapcache_client *client, uint64_t gpa, size_t *len, int prot);

/* The same for all of [gpa, gpa + len), which lies in one bucket, or nothing. */
void *access_begin_whole(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);

#endif
