/* SPDX-License-Identifier: MIT */
/*
 * What a request must look like before anybody computes with it, and what is computed: where its
 * items are. Every field of a slot but its state can be chosen by the guest, by the instruction
 * that it executes (I).
 */
#include <errno.h>

#include "lib/ioreq/ioreq.h"

#define PORT_LAST UINT64_C(0xffff)

static bool check_size(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* Whether no byte of count items, upwards or downwards, wraps around. count is at least 1. */
static bool check_items(uint64_t first, uint32_t size, uint32_t count, bool backwards)
{
	/* Below 2^35: 32-bit factors, one of them at most 8. */
	uint64_t further = (uint64_t)(count - 1) * size;

	/* The address behind the last byte must be representable, too: handlers compute it. */
	if (first > UINT64_MAX - size)
		return false;
	return backwards ? first >= further : further <= UINT64_MAX - size - first;
}

/* The register side. Ports and PCI registers stay where they are for all items, as the
 * instructions do it (rep ins, rep outs); memory moves (rep movs). */
static bool address_fits(const struct mapcache_request *request)
{
	switch (request->type) {
	case MAPCACHE_IOREQ_PORT:
		return request->size <= 4 && request->addr <= PORT_LAST &&
		       request->addr + request->size - 1 <= PORT_LAST;
	case MAPCACHE_IOREQ_MEMORY:
		return check_items(request->addr, request->size, request->count,
				   request->backwards);
	case MAPCACHE_IOREQ_PCI:
		/* The register must not run over into the number of the function. */
		return (request->addr & UINT32_MAX) + request->size - 1 <= UINT32_MAX &&
		       check_items(request->addr, request->size, 1, false);
	default:
		return false;
	}
}

/*
 * More than one item without a pointer is what Xen makes of `rep stos`: the same value for each,
 * up to the end of the page.
 */
static bool request_is_sound(const struct mapcache_request *request)
{
	if (!check_size(request->size) || request->count == 0 || !address_fits(request))
		return false;
	if (!request->data_is_ptr)
		return request->count <= IOREQ_ITEMS_MAX;
	return check_items(request->data, request->size, request->count, request->backwards);
}

static uint64_t item_at(const struct mapcache_request *request, uint64_t first, uint64_t item)
{
	return request->backwards ? first - item * request->size : first + item * request->size;
}

uint64_t ioreq_check_item(const struct mapcache_request *request, int item)
{
	return request->type == MAPCACHE_IOREQ_MEMORY
		       ? item_at(request, request->addr, (uint64_t)item)
		       : request->addr;
}

uint64_t ioreq_check_low_bytes(uint64_t value, uint32_t size)
{
	return check_size(size) ? value & (~UINT64_C(0) >> (64 - 8 * size)) : value;
}

int ioreq_check_request(const struct ioreq *raw, uint32_t vcpu, uint32_t flags,
			struct mapcache_request *request)
{
	*request = (struct mapcache_request){
		.addr = raw->addr,
		.data = raw->data,
		.count = raw->count,
		.size = raw->size,
		.vcpu = vcpu,
		.type = raw->type,
		.write = raw->dir == IOREQ_WRITE,
		.data_is_ptr = raw->data_is_ptr,
		.backwards = raw->df,
	};
	/* Those that mapcache/ioreq.h names are the first ones. */
	if (raw->type > MAPCACHE_IOREQ_PCI)
		return flags & MAPCACHE_IOREQ_ALL_TYPES ? 1 : -EINVAL;
	if (!request_is_sound(request))
		return -EINVAL;
	if (request->data_is_ptr)
		return 1;
	/* Left-over bytes: Xen clears neither data of a read nor what is above size. */
	request->data = request->write ? ioreq_check_low_bytes(raw->data, raw->size) : 0;
	return (int)request->count;
}

bool ioreq_check_range(enum mapcache_ioreq_type type, uint64_t start, uint64_t end)
{
	/* Of PCI Xen knows whole functions only. */
	return start <= end && (type == MAPCACHE_IOREQ_MEMORY ||
				(type == MAPCACHE_IOREQ_PORT && end <= PORT_LAST) ||
				(type == MAPCACHE_IOREQ_PCI && start >> 32 == end >> 32));
}

/*
 * All of it, or the error that stopped it. *moved counts the bytes before that: a short count
 * says that something could not be reached, going on says why. Backwards it is item by item.
 */
static int move(struct mapcache_client *client, const struct mapcache_request *request,
		uint64_t first, char *buffer, size_t len, size_t *moved)
{
	for (*moved = 0; *moved < len;) {
		size_t item = request->size - *moved % request->size;
		size_t want = request->backwards ? item : len - *moved;
		uint64_t gpa = item_at(request, request->data, (first + *moved) / request->size) +
			       *moved % request->size;
		ssize_t step = request->write ? mapcache_read(client, gpa, buffer + *moved, want)
					      : mapcache_write(client, gpa, buffer + *moved, want);

		if (step < 0)
			return (int)step;
		*moved += (size_t)step;
	}
	return 0;
}

int64_t mapcache_ioreq_copy(struct mapcache_client *client, const struct mapcache_request *request,
			    uint32_t first, uint32_t count, void *buffer)
{
	size_t moved;
	int error;

	if (client == NULL || request == NULL || buffer == NULL || !request->data_is_ptr)
		return -EINVAL;
	if (first > request->count || count > request->count - first)
		return -EINVAL;
	/* Checked before the handler saw it; once more, for it may have been changed since. */
	if (!check_size(request->size) ||
	    !check_items(request->data, request->size, request->count, request->backwards))
		return -EINVAL;
	/* No buffer is larger than that. */
	if ((uint64_t)count * request->size > SIZE_MAX / 2)
		return -EINVAL;
	error = move(client, request, (uint64_t)first * request->size, buffer,
		     (size_t)count * request->size, &moved);
	moved /= request->size;
	return moved > 0 || !error ? (int64_t)moved : error;
}
