/* SPDX-License-Identifier: MIT */
/* One thread for each queue of a virtio block device, woken by notifications. */
#ifndef WORKERS_H
#define WORKERS_H

#include "blk.h"

struct workers;

/* 0 or -errno. The device's notify hook is workers_notify(workers, queue). */
int workers_start(struct virtio_blk *blk, struct mapcache *cache, struct workers **workers);
/* Any thread; does not block. */
void workers_notify(struct workers *workers, uint32_t queue);
/* Waits for the requests being served. */
void workers_stop(struct workers *workers);

#endif
