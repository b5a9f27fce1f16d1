/* SPDX-License-Identifier: MIT */
/*
 * An ioreq server built on the raw calls, same functions as mapcache/ioreq.h: for controls,
 * with a fault in how it treats INVALIDATE, and for comparing other caches with the library.
 */
#ifndef XEN_RAW_SERVER_H
#define XEN_RAW_SERVER_H

#include <mapcache/ioreq.h>

enum raw_behaviour {
	RAW_NEVER_ANSWERS,     /* INVALIDATE stays in its slot */
	RAW_KEEPS_STALE_PAGES, /* answered, and the cache is not told */
	RAW_TELLS,             /* answered when invalidate() has returned */
};

struct raw_server;

void raw_server_open(const struct mapcache_ioreq_options *options, enum raw_behaviour behaviour,
		     void (*invalidate)(void), struct raw_server **server);
void raw_server_close(struct raw_server *server);
void raw_server_enable(struct raw_server *server);
int raw_server_vcpu_port(struct raw_server *server, uint32_t vcpu);
void raw_server_add_range(struct raw_server *server, enum mapcache_ioreq_type type, uint64_t start,
			  uint64_t end);
int raw_server_handle(struct raw_server *server, struct mapcache_client *client, uint32_t vcpu);

/* INVALIDATE requests seen. */
uint32_t raw_server_invalidates(const struct raw_server *server);

#endif
