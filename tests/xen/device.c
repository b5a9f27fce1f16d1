/* SPDX-License-Identifier: MIT */
#include "tests/xen/device.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define PIECE 4096u /* what is checked or filled at once */

/* Fill or check words at memory, which the guest has at gpa. Returns what differs. */
static uint32_t pattern_words(uint32_t operation, uint32_t *memory, uint64_t gpa, size_t length,
			      uint32_t seed)
{
	volatile uint32_t *words = memory; /* the guest's: read and written exactly once */
	uint32_t differ = 0;

	for (size_t i = 0; i < length / 4; i++) {
		uint32_t expected = pattern_word(seed, (uint32_t)gpa + (uint32_t)i * 4);

		if (operation == DMA_FILL)
			words[i] = expected;
		else
			differ += words[i] != expected;
	}
	return differ;
}

static int64_t by_copy(struct mapcache_client *client, uint32_t operation, uint64_t gpa,
		       uint32_t length, uint32_t seed)
{
	uint32_t buffer[PIECE / 4];
	int64_t differ = 0;
	ssize_t done;

	for (uint32_t at = 0; at < length; at += (uint32_t)done) {
		size_t piece = length - at < PIECE ? length - at : PIECE;

		if (operation == DMA_FILL) {
			pattern_words(operation, buffer, gpa + at, piece, seed);
			done = mapcache_write(client, gpa + at, buffer, piece);
		} else {
			done = mapcache_read(client, gpa + at, buffer, piece);
			if (done == (ssize_t)piece)
				differ += pattern_words(operation, buffer, gpa + at, piece, seed);
		}
		if (done < 0)
			return done;
		if (done != (ssize_t)piece)
			return -EFAULT;
	}
	return differ;
}

static int64_t by_pointer(struct mapcache_client *client, uint32_t operation, uint64_t gpa,
			  uint32_t length, uint32_t seed)
{
	int prot = operation == DMA_FILL ? PROT_READ | PROT_WRITE : PROT_READ;
	int64_t differ = 0;

	for (uint32_t at = 0; at < length;) {
		/* To the end of the page at most: never across a bucket. */
		uint32_t piece = PIECE - (uint32_t)((gpa + at) % PIECE);
		void *memory;

		if (piece > length - at)
			piece = length - at;
		mapcache_begin(client);
		memory = mapcache_ptr(client, gpa + at, piece, prot);
		if (!memory) {
			differ = -errno;
			mapcache_end(client);
			return differ;
		}
		differ += pattern_words(operation, memory, gpa + at, piece, seed);
		mapcache_end(client);
		at += piece;
	}
	return differ;
}

static int64_t by_pin(struct device *device, struct mapcache_client *client, uint32_t operation,
		      uint64_t gpa, uint32_t length, uint32_t seed)
{
	bool write = operation == DMA_FILL;
	int64_t differ = 0;
	int error;

	for (uint32_t at = 0; at < length;) {
		size_t piece = length - at;
		void *memory = mapcache_pin(client, gpa + at, &piece,
					    write ? PROT_READ | PROT_WRITE : PROT_READ, 0);

		if (!memory)
			return -errno;
		differ += pattern_words(operation, memory, gpa + at, piece, seed);
		/* Both forms of release are for everybody: use them in turn. */
		if (seed & 4)
			error = mapcache_client_unpin(client, memory, write ? piece : 0);
		else
			error = mapcache_unpin(device->cache, memory, write ? piece : 0);
		if (error)
			return error;
		at += (uint32_t)piece;
	}
	return differ;
}

static int64_t by_segments(struct mapcache_client *client, uint32_t operation, uint64_t gpa,
			   uint32_t length, uint32_t seed)
{
	bool write = operation == DMA_FILL;
	struct iovec segments[16];
	int64_t differ = 0;
	int count = mapcache_pin_iov(client, gpa, length,
				     write ? PROT_READ | PROT_WRITE : PROT_READ, segments, 16);

	for (int i = 0; i < count; i++) {
		struct iovec *segment = &segments[i];

		differ += pattern_words(operation, segment->iov_base, gpa, segment->iov_len, seed);
		gpa += segment->iov_len;
		if (mapcache_client_unpin(client, segment->iov_base, write ? segment->iov_len : 0))
			return -EINVAL;
	}
	return count < 0 ? count : differ;
}

int64_t device_transfer(struct device *device, struct mapcache_client *client, uint32_t operation,
			uint32_t way, uint64_t gpa, uint32_t length, uint32_t seed)
{
	if ((operation != DMA_FILL && operation != DMA_VERIFY) || gpa % 4 || length % 4)
		return -EINVAL;
	switch (way) {
	case DMA_BY_COPY:
		return by_copy(client, operation, gpa, length, seed);
	case DMA_BY_POINTER:
		return by_pointer(client, operation, gpa, length, seed);
	case DMA_BY_PIN:
		return by_pin(device, client, operation, gpa, length, seed);
	case DMA_BY_SEGMENTS:
		return by_segments(client, operation, gpa, length, seed);
	}
	return -EINVAL;
}

/* Fetch the descriptor, do as it says, write back the result. */
static int start_transfer(struct device *device, struct mapcache_client *client, uint32_t vcpu,
			  uint64_t gpa)
{
	struct dma_descriptor descriptor;
	ssize_t done = mapcache_read(client, gpa, &descriptor, sizeof(descriptor));
	int64_t result;

	if (done != sizeof(descriptor))
		return -EFAULT;
	result = device_transfer(device, client, descriptor.operation, descriptor.way,
				 descriptor.address, descriptor.length, descriptor.seed);
	device->vcpu[vcpu].transfers++;
	device->vcpu[vcpu].failed_transfers += result < 0;
	descriptor.result = result < 0 ? DMA_FAILED : (uint32_t)result;
	done = mapcache_write(client, gpa + offsetof(struct dma_descriptor, result),
			      &descriptor.result, sizeof(descriptor.result));
	return done == sizeof(descriptor.result) ? 0 : -EFAULT;
}

/* Items that string instructions move between guest memory and the window. */
static int window_string(struct device_vcpu *vcpu, struct mapcache_client *client,
			 const struct mapcache_request *request, uint64_t offset)
{
	uint32_t length = request->count * request->size;
	uint8_t items[DEVICE_WINDOW_SIZE];
	int64_t moved;

	vcpu->string_requests++;
	vcpu->backward_requests += request->backwards;
	vcpu->repeated_requests += request->count > 1;
	if (length > DEVICE_WINDOW_SIZE)
		return -ERANGE;
	if (!request->write) {
		for (uint32_t i = 0; i < request->count; i++) {
			uint64_t step = (uint64_t)i * request->size;
			uint64_t at = request->backwards ? offset - step : offset + step;

			if (at + request->size > DEVICE_WINDOW_SIZE)
				return -ERANGE;
			memcpy(items + step, vcpu->window + at, request->size);
		}
	}
	moved = mapcache_ioreq_copy(client, request, 0, request->count, items);
	if (moved != request->count)
		return moved < 0 ? (int)moved : -EFAULT;
	if (request->write) {
		for (uint32_t i = 0; i < request->count; i++) {
			uint64_t step = (uint64_t)i * request->size;
			uint64_t at = request->backwards ? offset - step : offset + step;

			if (at + request->size > DEVICE_WINDOW_SIZE)
				return -ERANGE;
			memcpy(vcpu->window + at, items + step, request->size);
		}
	}
	return 0;
}

static int window_access(struct device_vcpu *vcpu, struct mapcache_client *client,
			 struct mapcache_request *request)
{
	uint64_t offset = request->addr - DEVICE_WINDOW;

	if (request->data_is_ptr)
		return window_string(vcpu, client, request, offset);
	if (offset + request->size > DEVICE_WINDOW_SIZE)
		return -ERANGE;
	if (request->write)
		memcpy(vcpu->window + offset, &request->data, request->size);
	else
		memcpy(&request->data, vcpu->window + offset, request->size);
	return 0;
}

/*
 * One port, a stream of items: written ones are appended to the window, read ones are taken
 * from its front, in the order in which the guest's instruction names them.
 */
static int stream_access(struct device_vcpu *vcpu, struct mapcache_client *client,
			 struct mapcache_request *request)
{
	uint32_t length = request->count * request->size;
	uint8_t *front = vcpu->window + vcpu->stream_length;
	int64_t moved = request->count;

	if (length > DEVICE_WINDOW_SIZE - vcpu->stream_length)
		return -ENOSPC;
	if (request->data_is_ptr) {
		vcpu->string_requests++;
		vcpu->backward_requests += request->backwards;
		vcpu->repeated_requests += request->count > 1;
		moved = mapcache_ioreq_copy(client, request, 0, request->count, front);
	} else if (request->write) {
		memcpy(front, &request->data, request->size);
	} else {
		memcpy(&request->data, front, request->size);
	}
	if (moved != request->count)
		return moved < 0 ? (int)moved : -EFAULT;
	vcpu->stream_length += length;
	return 0;
}

static int scratch_access(struct device_vcpu *vcpu, struct mapcache_request *request)
{
	if (request->data_is_ptr)
		return -EINVAL;
	if (request->write)
		vcpu->scratch = request->data;
	else
		request->data = vcpu->scratch;
	return 0;
}

int device_handle(struct device *device, struct mapcache_client *client,
		  struct mapcache_request *request)
{
	struct device_vcpu *vcpu = &device->vcpu[request->vcpu];

	if (request->type == MAPCACHE_IOREQ_PORT) {
		if (request->addr == PORT_SCRATCH)
			return scratch_access(vcpu, request);
		if (request->addr == PORT_STREAM)
			return stream_access(vcpu, client, request);
		return request->addr == PORT_NOTHING ? 0 : -ENXIO;
	}
	if (request->addr == DEVICE_SCRATCH)
		return scratch_access(vcpu, request);
	if (request->addr == DEVICE_DMA && request->write && !request->data_is_ptr)
		return start_transfer(device, client, request->vcpu, request->data);
	if (request->addr >= DEVICE_WINDOW && request->addr < DEVICE_WINDOW + DEVICE_WINDOW_SIZE)
		return window_access(vcpu, client, request);
	return -ENXIO;
}
