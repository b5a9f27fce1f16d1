/* SPDX-License-Identifier: MIT */
/* One word of guest memory, as the device model sees it through its cache. */
#ifndef XEN_ACCESS_H
#define XEN_ACCESS_H

#include <stdint.h>

#include <mapcache/mapcache.h>

/* The word in a section of its own; ~0 and errno when there is no pointer to it. */
uint32_t access_word(struct mapcache_client *client, uint64_t gpa);

/* No pointer to it is given out. */
void access_check_hole(struct mapcache_client *client, uint64_t gpa);

#endif
