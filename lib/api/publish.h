/* SPDX-License-Identifier: MIT */
#ifndef MAPCACHE_PUBLISH_H
#define MAPCACHE_PUBLISH_H

struct mapcache;

/* At close: the thread ends, the file goes. */
void publish_end(struct mapcache *cache);
/* In a child after fork(2): the file is the parent's. */
void publish_abandon(struct mapcache *cache);

#endif
