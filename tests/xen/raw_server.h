/* SPDX-License-Identifier: MIT */
/*
 * An ioreq server as it must not be, for the controls: built on the raw calls, with one
 * fault in how it treats INVALIDATE. Same calls as mapcache/ioreq.h.
 */
#ifndef XEN_RAW_SERVER_H
#define XEN_RAW_SERVER_H

#include <mapcache/ioreq.h>

enum raw_fault {
	RAW_NEVER_ANSWERS,     /* INVALIDATE stays in its slot */
	RAW_KEEPS_STALE_PAGES, /* answered, and the cache is not told */
};

struct raw_server;

void raw_server_open(const struct mapcache_ioreq_options *options, enum raw_fault fault,
		     struct raw_server **server);
void raw_server_close(struct raw_server *server);
void raw_server_enable(struct raw_server *server);
int raw_server_vcpu_port(struct raw_server *server, uint32_t vcpu);
void raw_server_add_range(struct raw_server *server, enum mapcache_ioreq_type type,
			  uint64_t start, uint64_t end);
int raw_server_handle(struct raw_server *server, struct mapcache_client *client, uint32_t vcpu);

/* INVALIDATE requests seen. */
uint32_t raw_server_invalidates(const struct raw_server *server);

#endif
