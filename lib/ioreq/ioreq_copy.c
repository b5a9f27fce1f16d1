/* SPDX-License-Identifier: MIT */
/*
 * The data of a rep instruction: items that lie one after the other in guest memory, at
 * rising or at falling addresses, against a buffer that holds them in the guest's order.
 */
#include <errno.h>

#include "lib/ioreq/ioreq.h"

/* Where a byte of the request's items lies, in the guest's order. */
static uint64_t place(const struct mapcache_request *request, uint64_t byte)
{
	uint64_t within = byte % request->size;

	return request->backwards ? request->data - (byte - within) + within : request->data + byte;
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
		uint64_t gpa = place(request, first + *moved);
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
	if (!ioreq_check_size(request->size) ||
	    !ioreq_check_items(request->data, request->size, request->count, request->backwards))
		return -EINVAL;
	/* No buffer is larger than that. */
	if ((uint64_t)count * request->size > SIZE_MAX / 2)
		return -EINVAL;
	error = move(client, request, (uint64_t)first * request->size, buffer,
		     (size_t)count * request->size, &moved);
	moved /= request->size;
	return moved > 0 || !error ? (int64_t)moved : error;
}
