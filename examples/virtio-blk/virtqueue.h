/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue (virtio 1.x, section 2.7) in guest memory, seen from the device.
 *
 * Nothing in the ring is trusted: every number is copied out once, then checked. What the
 * guest put wrong is -EPROTO, and the device then asks to be reset. Work and memory for one
 * chain are bounded by the constants below, whatever the ring says.
 *
 * One thread at a time. Guest and device are little-endian: so is every machine with Xen.
 */
#ifndef VIRTQUEUE_H
#define VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest.h"

#define VIRTQUEUE_SIZE_MAX 1024u
/* Descriptors of one chain; no more with an indirect table than without. */
#define VIRTQUEUE_SEGMENTS_MAX 128u

struct virtqueue {
	/* As the driver set it up; gpa of the three parts. */
	uint32_t size;
	uint64_t descriptors, available, used;
	bool indirect; /* VIRTIO_RING_F_INDIRECT_DESC was negotiated */

	uint16_t next_available, next_used; /* free-running, as in the ring */
};

struct virtqueue_segment {
	uint64_t gpa;
	uint32_t len; /* at least 1; gpa + len does not overflow */
};

/* A private copy of one chain: first what the device reads, then what it writes. */
struct virtqueue_chain {
	uint16_t head;
	uint32_t readable, writable;    /* segments of each kind */
	struct virtqueue_segment table; /* the indirect one; len 0: there is none */
	struct virtqueue_segment segment[VIRTQUEUE_SEGMENTS_MAX];
};

/* 0 when size, alignment and addresses make a queue; else -EINVAL. */
int virtqueue_check(const struct virtqueue *queue);

/*
 * Take the next chain. 1: there is one; 0: there is none now.
 *   -EPROTO     the ring is malformed
 *   others      the ring's memory cannot be reached, as mapcache_ptr()
 */
int virtqueue_pop(struct virtqueue *queue, const struct guest *guest,
		  struct virtqueue_chain *chain);

/*
 * Give the chain back, with the number of bytes written to its writable segments. Returns 1
 * when the driver wants an interrupt, 0 when not, or -errno as mapcache_ptr().
 */
int virtqueue_push(struct virtqueue *queue, const struct guest *guest, uint16_t head,
		   uint32_t written);

#endif
