/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/pins/pins.h"
#include "lib/protocol/entry.h"

/* Sections are short: a section of one copied piece ends within microseconds. */
#define COPY_PIECE ((size_t)64 << 10)

static ssize_t copy(struct mapcache_client *client, uint64_t gpa, char *buffer, size_t len,
		    bool write)
{
	size_t done = 0;

	if (!client || !buffer || len == 0 || len > SSIZE_MAX)
		return -EINVAL;
	while (done < len) {
		size_t part = len - done < COPY_PIECE ? len - done : COPY_PIECE;
		char *pointer;

		if (gpa + done < gpa)
			return done ? (ssize_t)done : -ERANGE;
		pointer = access_begin(client, gpa + done, &part,
				       write ? PROT_READ | PROT_WRITE : PROT_READ);
		if (!pointer)
			return done ? (ssize_t)done : -errno;
		if (write && entry_logging(client->cache))
			dirty_note(client, pointer, part);
		if (write)
			memcpy(pointer, buffer + done, part);
		else
			memcpy(buffer + done, pointer, part);
		mapcache_end_inline(client);
		done += part;
	}
	return (ssize_t)done;
}

ssize_t mapcache_read(struct mapcache_client *client, uint64_t gpa, void *buffer, size_t len)
{
	return copy(client, gpa, buffer, len, false);
}

ssize_t mapcache_write(struct mapcache_client *client, uint64_t gpa, const void *buffer, size_t len)
{
	CANCEL_DEFERRED;
	/* Only read from: copy() has one pointer for both ways. */
	ssize_t done = copy(client, gpa, (char *)(uintptr_t)buffer, len, true);

	if (client && client->dirty.count)
		dirty_flush(client);
	return done;
}
