/* SPDX-License-Identifier: MIT */
/*
 * The test device: a scratch register, a window of device memory for string instructions,
 * and a DMA engine that reads and writes patterns through every call of the library that
 * reaches guest memory. One set of registers a vCPU, so that threads share nothing.
 */
#ifndef XEN_DEVICE_H
#define XEN_DEVICE_H

#include <mapcache/ioreq.h>

#include "tests/xen/protocol.h"

struct device_vcpu {
	uint64_t scratch;
	uint8_t window[DEVICE_WINDOW_SIZE];
	uint32_t stream_length;     /* bytes that rep outs has put into the window */
	uint32_t string_requests;   /* requests with data_is_ptr */
	uint32_t backward_requests; /* of these, with df set */
	uint32_t repeated_requests; /* of these, for several items */
	uint32_t transfers;         /* by DMA */
	uint32_t failed_transfers;
};

struct device {
	struct mapcache *cache;
	struct device_vcpu vcpu[GUEST_VCPUS];
};

/* Serve one request to the device's ports or memory. 0 or -errno. */
int device_handle(struct device *device, struct mapcache_client *client,
		  struct mapcache_request *request);

/* The DMA engine alone. Words that differ from the pattern (0 for a fill), or -errno. */
int64_t device_transfer(struct device *device, struct mapcache_client *client, uint32_t operation,
			uint32_t way, uint64_t gpa, uint32_t length, uint32_t seed);

#endif
