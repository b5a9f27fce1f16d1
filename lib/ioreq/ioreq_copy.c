/* SPDX-License-Identifier: MIT */
/*
 * The data of a rep instruction: items that lie one after the other in guest memory, at
 * rising or at falling addresses, against a buffer that holds them in the guest's order.
 */
#include <errno.h>
#include <string.h>

#include "lib/ioreq/ioreq.h"

#define PAGE 4096u
#define SCRATCH 512u

/*
 * All of it, or the error that stopped it. *moved counts the bytes before that: a short count
 * says that something could not be reached, going on says why.
 */
static int move_all(struct mapcache_client *client, bool to_device, uint64_t gpa, char *buffer,
		    size_t len, size_t *moved)
{
	for (*moved = 0; *moved < len;) {
		char *at = buffer + *moved;
		ssize_t step = to_device ? mapcache_read(client, gpa + *moved, at, len - *moved)
					 : mapcache_write(client, gpa + *moved, at, len - *moved);

		if (step < 0)
			return (int)step;
		*moved += (size_t)step;
	}
	return 0;
}

static void reverse_items(char *to, const char *from, uint32_t size, uint32_t count)
{
	for (uint32_t item = 0; item < count; item++)
		memcpy(to + (size_t)item * size, from + (size_t)(count - 1 - item) * size, size);
}

/*
 * How many items, from the one at gpa downwards, lie in the same page: they can be reached
 * all together or not at all. An item across two pages goes alone.
 */
static uint32_t items_in_page(uint64_t gpa, uint32_t size, uint32_t count)
{
	uint32_t offset = (uint32_t)(gpa & (PAGE - 1));
	uint32_t most = SCRATCH / size;

	if (offset > PAGE - size)
		return 1;
	if (most > offset / size + 1)
		most = offset / size + 1;
	return count < most ? count : most;
}

static int move_reversed(struct mapcache_client *client, bool to_device, uint64_t lowest,
			 uint32_t size, uint32_t count, char *buffer)
{
	char scratch[SCRATCH];
	size_t moved;
	int error;

	if (!to_device)
		reverse_items(scratch, buffer, size, count);
	error = move_all(client, to_device, lowest, scratch, (size_t)size * count, &moved);
	if (to_device && !error)
		reverse_items(buffer, scratch, size, count);
	return error;
}

static int64_t copy_backwards(struct mapcache_client *client,
			      const struct mapcache_request *request, uint32_t first,
			      uint32_t count, char *buffer)
{
	uint32_t size = request->size, done = 0, now;

	for (; done < count; done += now) {
		uint64_t gpa = request->data - ((uint64_t)first + done) * size;
		int error;

		now = items_in_page(gpa, size, count - done);
		error = move_reversed(client, request->write, gpa - (uint64_t)(now - 1) * size,
				      size, now, buffer + (size_t)done * size);
		if (error)
			return done > 0 ? (int64_t)done : error;
	}
	return done;
}

static int64_t copy_forwards(struct mapcache_client *client, const struct mapcache_request *request,
			     uint32_t first, uint32_t count, char *buffer)
{
	size_t moved;
	int error =
		move_all(client, request->write, request->data + (uint64_t)first * request->size,
			 buffer, (size_t)count * request->size, &moved);
	size_t items = moved / request->size;

	return items > 0 || !error ? (int64_t)items : error;
}

int64_t mapcache_ioreq_copy(struct mapcache_client *client, const struct mapcache_request *request,
			    uint32_t first, uint32_t count, void *buffer)
{
	if (client == NULL || request == NULL || buffer == NULL || !request->data_is_ptr)
		return -EINVAL;
	if (first > request->count || count > request->count - first)
		return -EINVAL;
	if (count == 0)
		return 0;
	/* Checked before the handler saw it; once more, for it may have been changed since. */
	if (!ioreq_check_size(request->size) ||
	    !ioreq_check_items(request->data, request->size, request->count, request->backwards))
		return -EINVAL;
	/* No buffer is larger than that. */
	if ((uint64_t)count * request->size > SIZE_MAX / 2)
		return -EINVAL;
	return request->backwards ? copy_backwards(client, request, first, count, buffer)
				  : copy_forwards(client, request, first, count, buffer);
}
