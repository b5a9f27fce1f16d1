/* SPDX-License-Identifier: MIT */
/* Copies that go through or fail whole, for what is smaller than a page or two. */
#include <errno.h>
#include <sched.h>

#include "guest.h"

int guest_read(struct mapcache_client *client, uint64_t gpa, void *buffer, size_t len)
{
	ssize_t got = -EAGAIN;
	int tries;

	for (tries = 0; tries < GUEST_RETRIES && got == -EAGAIN; tries++) {
		if (tries)
			sched_yield();
		got = mapcache_read(client, gpa, buffer, len);
	}
	if (got < 0)
		return (int)got;
	return (size_t)got == len ? 0 : -EFAULT;
}

int guest_write(struct mapcache_client *client, uint64_t gpa, const void *buffer, size_t len)
{
	ssize_t put = -EAGAIN;
	int tries;

	for (tries = 0; tries < GUEST_RETRIES && put == -EAGAIN; tries++) {
		if (tries)
			sched_yield();
		put = mapcache_write(client, gpa, buffer, len);
	}
	if (put < 0)
		return (int)put;
	return (size_t)put == len ? 0 : -EFAULT;
}
