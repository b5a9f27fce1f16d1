/* SPDX-License-Identifier: MIT */
/* One request of a virtio block device. */
#ifndef BLK_REQUEST_H
#define BLK_REQUEST_H

#include "blk.h"

/*
 * Serve the request in chain, which is changed. Returns the status byte that the guest has
 * been given, and *written, the bytes written to guest memory; -errno when there is no place
 * for a status, or it cannot be reached.
 */
int blk_request_serve(struct virtio_blk *blk, const struct guest *guest,
		      struct virtqueue_chain *chain, struct virtio_blk_counters *counters,
		      uint32_t *written);

#endif
