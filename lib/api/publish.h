/* SPDX-License-Identifier: MIT */
#ifndef MAPCACHE_PUBLISH_H
#define MAPCACHE_PUBLISH_H

#include <mapcache/ioreq.h>

/* An ioreq server of the cache, whose statistics are published with the cache's. */
struct publish_server {
	struct publish_server *next;
	int (*stats)(struct mapcache_ioreq *server, struct mapcache_ioreq_stats *stats);
	struct mapcache_ioreq *server;
};

/* Of a statistic: of those whose names end in _max the higher, else the sum. */
uint64_t publish_combine(const char *name, uint64_t total, uint64_t one);

int publish_init(struct mapcache *cache);
void publish_destroy(struct mapcache *cache);
/* At close: the thread ends, the file goes. */
void publish_end(struct mapcache *cache);
/* In a child after fork(2): the file is the parent's. */
void publish_abandon(struct mapcache *cache);

/* From its opening to its closing. */
void publish_add_server(struct mapcache *cache, struct publish_server *server);
void publish_remove_server(struct mapcache *cache, struct publish_server *server);

#endif
