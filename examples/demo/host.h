/* SPDX-License-Identifier: MIT */
/* The device model's side of the demo: cache, block device, ioreq server, their threads. */
#ifndef DEMO_HOST_H
#define DEMO_HOST_H

#include "demo.h"
#include "examples/virtio-blk/server.h"
#include "examples/virtio-blk/workers.h"

struct host {
	struct demo *demo;
	struct mapcache *cache;
	struct blk_file file;
	struct virtio_blk blk;
	struct workers *workers;
	struct server *server;
	struct server_region region[2];
	pthread_t thread;
	uint8_t scratch[DEMO_SCRATCH_BYTES];
	struct histogram answered; /* INVALIDATE, from seeing the request to having answered */
};

/* 0, or -errno after demo_fail(). */
int host_start(struct host *host, struct demo *demo);
/* Statistics as they are just before the end. Fails the demo when anything is left. */
void host_stop(struct host *host, struct mapcache_stats *stats);

#endif
