/* SPDX-License-Identifier: MIT */
/* The DEMU family's map cache, by way of libmapcache. */
#include <errno.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "transient.h"

#define PAGE_BYTES UINT64_C(4096)

int demu_mapcache_open(uint32_t domid, uint64_t whole_bytes);
int demu_mapcache_close(void);
uint8_t *demu_mapcache_page(uint64_t addr);
void *demu_mapcache_range(int index, uint64_t addr, uint64_t size);
void demu_mapcache_invalidate(void);
void *demu_map_guest_range(uint64_t addr, uint64_t size, int prot);
int demu_unmap_guest_range(void *ptr, uint64_t size);
void *demu_get_host_addr(uint64_t offset);

/* One guest, one process: as the interface has it. */
static struct mapcache *cache;

int demu_mapcache_open(uint32_t domid, uint64_t whole_bytes)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = domid,
					    .whole_bytes = whole_bytes };
	int error;

	if (cache)
		return -EBUSY;
	error = mapcache_open(&options, &cache);
	if (error)
		cache = NULL;
	return error;
}

int demu_mapcache_close(void)
{
	int error;

	if (!cache)
		return 0;
	transient_close();
	error = mapcache_close(cache);
	if (!error)
		cache = NULL;
	return error;
}

static void *look_up(uint64_t addr, uint64_t size, int prot)
{
	if (cache && size && size <= SIZE_MAX)
		return transient_lookup(cache, addr, (size_t)size, prot);
	errno = cache ? EINVAL : ENODEV;
	return NULL;
}

/* Memory that can only be read is still worth a pointer. */
static void *look_up_any(uint64_t addr, uint64_t size)
{
	void *pointer = look_up(addr, size, PROT_READ | PROT_WRITE);

	if (!pointer && errno == EACCES)
		pointer = look_up(addr, size, PROT_READ);
	return pointer;
}

uint8_t *demu_mapcache_page(uint64_t addr)
{
	return look_up_any(addr, PAGE_BYTES - (addr & (PAGE_BYTES - 1)));
}

/* One cache for all: what one thread has mapped, the others need not map again. */
void *demu_mapcache_range(int index, uint64_t addr, uint64_t size)
{
	(void)index;
	return look_up_any(addr, size);
}

void *demu_get_host_addr(uint64_t offset)
{
	return demu_mapcache_page(offset);
}

/* The whole IOREQ_TYPE_INVALIDATE case: answer the request after it. */
void demu_mapcache_invalidate(void)
{
	if (!cache)
		return;
	transient_done();
	mapcache_invalidate(cache);
}

void *demu_map_guest_range(uint64_t addr, uint64_t size, int prot)
{
	struct mapcache_client *client = cache ? transient_client(cache) : NULL;
	size_t len = (size_t)size;

	if (!client || size > SIZE_MAX) {
		errno = cache ? ENOMEM : ENODEV;
		return NULL;
	}
	return mapcache_pin(client, addr, &len, prot, MAPCACHE_PIN_CONTIGUOUS);
}

/* Nobody says whether it was written: for the log of modified pages, all of it was. */
int demu_unmap_guest_range(void *ptr, uint64_t size)
{
	struct mapcache_client *client = cache ? transient_client(cache) : NULL;
	int error = client ? mapcache_client_unpin(client, ptr, (size_t)size) : -ENODEV;

	if (!error)
		return 0;
	errno = -error;
	return -1;
}
