/* SPDX-License-Identifier: MIT */
/*
 * A part of xen-mapcache.c: granted pages (QEMU 9.1 and later). Locked look-ups only, as in QEMU.
 * What is mapped for reading and what for writing is in caches of their own, which INVALIDATE does
 * not concern, and is unmapped when it is unlocked: the guest takes a page back as soon as it hears
 * that its request is done.
 */
#ifndef XEN_MAPCACHE_GRANTS_H
#define XEN_MAPCACHE_GRANTS_H

#include "qemu/osdep.h"
#include "exec/cpu-common.h"

#include <sys/mman.h>

#include <mapcache/mapcache.h>

#define GRANTS_PAGE UINT64_C(4096)
#define GRANTS_UNMAP_MS 100 /* for sections of other threads, and a page locked with others */
/* More than 128 MiB in pages on their own: each is a kernel mapping, of 65,530 by default, of which
 * the guest's memory takes up to half. */
#define GRANTS_BYTES (UINT64_C(512) << 20)
#define GRANTS_MAPPINGS 36000

static struct {
	struct mapcache *caches[2]; /* for reading, for writing; NULL: not in this process */
	ram_addr_t offset;          /* of their RAM block; atomic */
} grants;

/* Domain and log as in base. Without /dev/xen/gntdev there are no grants; the rest works. */
static void grants_open(const struct mapcache_options *base)
{
	static const struct mapcache_backend *const backends[] = {
		&mapcache_backend_grants_read_only, &mapcache_backend_grants
	};
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = base->domid,
					    .max_bytes = GRANTS_BYTES,
					    .max_vmas = GRANTS_MAPPINGS,
					    .log = base->log };

	for (int i = 0; i < 2; i++) {
		options.backend = backends[i];
		if (mapcache_open(&options, &grants.caches[i]))
			grants.caches[i] = NULL;
	}
}

static int grants_close(void)
{
	int error = 0;

	for (int i = 0; i < 2 && !error; i++) {
		error = grants.caches[i] ? mapcache_close(grants.caches[i]) : 0;
		if (!error)
			grants.caches[i] = NULL;
	}
	return error;
}

static struct mapcache *grants_cache(bool write)
{
	return grants.caches[write];
}

/* offset: of the RAM block of grants, which is no part of the reference. NULL with errno. The lock is
 * not in ranges.h yet. */
static void *grants_map(hwaddr address, hwaddr size, ram_addr_t offset, bool write)
{
	struct mapcache *cache = grants.caches[write];
	struct mapcache_client *client = cache ? mapcache_thread_client(cache) : NULL;
	size_t len = size ? (size_t)size : (size_t)(GRANTS_PAGE - address % GRANTS_PAGE);

	if (!cache)
		errno = ENODEV;
	if (!client)
		return NULL;
	__atomic_store_n(&grants.offset, offset, __ATOMIC_RELAXED);
	return mapcache_pin(client, address - offset, &len,
			    write ? PROT_READ | PROT_WRITE : PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
}

/* False: it is no pointer to granted pages. */
static bool grants_address(const void *pointer, ram_addr_t *address)
{
	uint64_t gpa;

	for (int i = 0; i < 2; i++) {
		if (grants.caches[i] && !mapcache_gpa(grants.caches[i], pointer, &gpa)) {
			*address =
				(ram_addr_t)gpa + __atomic_load_n(&grants.offset, __ATOMIC_RELAXED);
			return true;
		}
	}
	return false;
}

/* last: nobody else has locked the pointer. Then it may sleep up to 100 ms, while another thread is
 * looking up or holds the same page otherwise. */
static void grants_unlock(struct mapcache *cache, void *pointer, bool last)
{
	uint64_t gpa;

	if (!mapcache_gpa(cache, pointer, &gpa) && !mapcache_unpin(cache, pointer, 0) && last)
		(void)!mapcache_unmap(cache, gpa, 1, GRANTS_UNMAP_MS);
}

#endif
