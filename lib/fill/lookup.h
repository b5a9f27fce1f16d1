/* SPDX-License-Identifier: MIT */
#ifndef LOOKUP_H
#define LOOKUP_H

#include "lib/private.h"

/* 0 and the request, or -errno as mapcache_ptr(). */
int lookup_check(const struct mapcache *cache, uint64_t gpa, uint64_t len, int prot,
		 struct request *request);
/* Inside a section: 0 and the address, or -errno. */
int lookup_slow(struct mapcache_client *client, const struct request *request, void **pointer);
/* The pointer as mapcache_ptr(), inside a section; what is written to it is the caller's to
 * report. */
void *lookup_pointer(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);
/* After many invalidations the table is closed; sweep and open it. */
void lookup_open_table(struct mapcache *cache);

#endif
