/* SPDX-License-Identifier: MIT */
/* Memory as a guest names it in its rings, for threads without a client at hand. */
#include <errno.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

struct mapcache_client *mapcache_address_client(struct mapcache *guest,
						struct mapcache *const grants[2], uint64_t *address,
						int prot)
{
	bool granted = address && (*address & MAPCACHE_ADDRESS_GRANT);
	struct mapcache *cache = guest;
	struct mapcache_client *client;

	if (granted)
		cache = grants ? grants[(prot & PROT_WRITE) != 0] : NULL;
	if (!address || !cache) {
		errno = granted ? ENODEV : EINVAL;
		return NULL;
	}
	client = mapcache_thread_client(cache);
	if (client)
		*address &= ~MAPCACHE_ADDRESS_GRANT;
	return client;
}

int mapcache_address_unpin(struct mapcache *guest, struct mapcache *const grants[2], void *ptr,
			   size_t len, size_t written, int timeout_ms)
{
	struct mapcache_client *client;
	uint64_t gpa;
	int error;

	if (!guest || !ptr || !len || written > len)
		return -EINVAL;
	if (!mapcache_gpa(guest, ptr, &gpa)) {
		client = mapcache_thread_client(guest);
		return client ? mapcache_client_unpin(client, ptr, written)
			      : mapcache_unpin(guest, ptr, written);
	}
	for (int i = 0; grants && i < 2; i++) {
		if (!grants[i] || mapcache_gpa(grants[i], ptr, &gpa))
			continue;
		error = mapcache_unpin(grants[i], ptr, 0);
		/* The guest waits to have it back, and cannot take it while it is mapped. */
		return error ? error : mapcache_unmap(grants[i], gpa, len, timeout_ms);
	}
	return -EINVAL;
}
