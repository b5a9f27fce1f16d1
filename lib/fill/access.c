/* SPDX-License-Identifier: MIT */
#include "lib/fill/fill.h"

#include <errno.h>
#include <pthread.h>

#include "lib/base/base.h"

/* How long a caller outside of sections waits for others to end theirs. */
#define ACCESS_TRIES 10
#define ACCESS_PAUSE_NS UINT64_C(200000)

static void access_end(void *client)
{
	mapcache_end_inline(client);
}

/* The section is ours: a thread that is cancelled while it waits for another one's mapping must not
 * leave it open, for its caller does not know of it. */
static void *access_look_up(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;

	pthread_cleanup_push(access_end, client);
	pointer = lookup_pointer(client, gpa, len, prot);
	pthread_cleanup_pop(0);
	return pointer;
}

void *access_begin_whole(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;
	int error;

	for (int i = 0;; i++) {
		mapcache_begin_inline(client);
		if (mapcache_ptr_fast(client, gpa, len, prot, &pointer))
			return pointer;
		pointer = access_look_up(client, gpa, len, prot);
		if (pointer)
			return pointer;
		error = errno;
		mapcache_end_inline(client);
		/* Waiting is for those who hold nothing that others wait for (J). */
		if (error != EAGAIN || mapcache_inside_inline(client) || i == ACCESS_TRIES) {
			errno = error;
			return NULL;
		}
		clock_sleep_ns(ACCESS_PAUSE_NS);
	}
}

void *access_begin(struct mapcache_client *client, uint64_t gpa, size_t *len, int prot)
{
	uint64_t rest = client->fast.bucket_mask - (gpa & client->fast.bucket_mask) + 1;
	size_t part = rest < *len ? (size_t)rest : *len;
	size_t page =
		(size_t)((UINT64_C(1) << PAGE_SHIFT) - (gpa & ((UINT64_C(1) << PAGE_SHIFT) - 1)));
	void *pointer = access_begin_whole(client, gpa, part, prot);

	if (!pointer && part > page && errno != EAGAIN && errno != EINVAL) {
		part = page;
		pointer = access_begin_whole(client, gpa, part, prot);
	}
	if (pointer)
		*len = part;
	return pointer;
}
