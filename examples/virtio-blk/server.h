/* SPDX-License-Identifier: MIT */
/*
 * One ioreq server with its event channels and the poll loop over them: requests of every
 * vCPU go to register regions. The loop runs on the caller's thread.
 */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/ioreq.h>

/* Registers at [start, start + size). A failed read gives the guest all ones. */
struct server_region {
	uint64_t start, size;
	int (*read)(void *data, uint64_t offset, uint32_t size, uint64_t *value);
	int (*write)(void *data, uint64_t offset, uint32_t size, uint64_t value);
	void *data;
};

struct server_options {
	struct mapcache *cache;
	uint32_t domid, vcpus;
	bool drain; /* answer INVALIDATE after sections have been drained */
	const struct server_region *regions; /* outlive the server */
	uint32_t region_count;
	/* How long answering an INVALIDATE took here; may be NULL. On the loop's thread. */
	void (*answered)(void *data, uint64_t nanoseconds);
	void *data;
};

struct server;

/* Opens every handle, so that the caller can restrict them afterwards, and enables the
 * server. 0 or -errno. */
int server_open(const struct server_options *options, struct server **server);
/* Serve until server_stop(). 0 or -errno. */
int server_run(struct server *server);
/* Any thread, or a signal handler. */
void server_stop(struct server *server);
void server_close(struct server *server);

#endif
