/* SPDX-License-Identifier: MIT */
/*
 * xen-mapcache.c for a QEMU tree: the interface that QEMU calls, by way of libmapcache. Goes
 * where the old file is; README.md beside this has the steps.
 *
 *   lock            a pin: good until xen_invalidate_map_cache_entry(), across INVALIDATE
 *   no lock         good until the calling thread's TRANSIENT_POINTERS-th next unlocked look-up,
 *                   or until it says that it is idle.
 *                   QEMU's callers are done before the first: they copy, and return
 *   size 0          to the end of the page, which is as far as QEMU's callers go
 *   grants          locked only; one cache for reading, one for writing; unmapped at the unlock
 *   failure         NULL, and the hook is told; the process goes on
 *
 * Nothing here waits for block I/O or needs the main loop, so that coroutines may call it, and
 * may be on another thread when they unlock.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"

#include "exec/ramlist.h"
#include "hw/xen/xen.h"
#if defined(XEN_MAPCACHE_QEMU_7)
#include "sysemu/runstate.h"
#include "sysemu/xen-mapcache.h"
#elif !__has_include("system/xen-mapcache.h")
#include "sysemu/runstate.h"
#include "sysemu/xen.h"
#include "sysemu/xen-mapcache.h"
#else
#include "system/runstate.h"
#include "system/xen.h"
#include "system/xen-mapcache.h"
#endif

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "ranges.h"
#include "transient.h"
#include "xen-mapcache-hooks.h"

#define PAGE_BYTES UINT64_C(4096)
#define GRANTS_UNMAP_MS 10 /* for sections of other threads, and for a page locked twice */
#define TO_PAGE(address) ((address) & ~(PAGE_BYTES - 1))

/* One guest, one process: as the interface has it. */
static struct {
	struct mapcache *cache;
	struct mapcache *grants[2]; /* for reading, for writing; NULL: not in this process */
	ram_addr_t grants_offset;   /* of their RAM block; atomic */
	phys_offset_to_gaddr_t translate;
	xen_map_cache_failure failed;
	void *failed_data;
	pthread_mutex_t notify_lock; /* one notification at a time */
} state = { .notify_lock = PTHREAD_MUTEX_INITIALIZER };

void xen_map_cache_on_failure(xen_map_cache_failure hook, void *data)
{
	state.failed = hook;
	state.failed_data = data;
}

/* Where the old file called exit(). */
static void *failed(hwaddr address, hwaddr size, int error)
{
	if (state.failed)
		state.failed(state.failed_data, address, size, error);
	return NULL;
}

static void log_line(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	if (level <= MAPCACHE_LOG_WARNING)
		error_report("mapcache: %s", message);
}

static void notify(void *data, enum mapcache_event event, uint64_t gpa, void *address, uint64_t len)
{
	(void)data;
	(void)gpa;
	pthread_mutex_lock(&state.notify_lock);
	if (event == MAPCACHE_EVENT_ADDED)
		ram_block_notify_add(address, len, len);
	else
		ram_block_notify_remove(address, len, len);
	pthread_mutex_unlock(&state.notify_lock);
}

/* Without /dev/xen/gntdev there are no grants; the rest works. */
static void open_grants(void)
{
#ifndef XEN_MAPCACHE_QEMU_7
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = xen_domid,
					    .max_bytes = UINT64_C(64) << 20,
					    .log = log_line };
	static const struct mapcache_backend *const backends[] = {
		&mapcache_backend_grants_read_only, &mapcache_backend_grants
	};

	for (int i = 0; i < 2; i++) {
		options.backend = backends[i];
		if (mapcache_open(&options, &state.grants[i]))
			state.grants[i] = NULL;
	}
#endif
}

/*
 * QEMU calls this after it has enabled its ioreq server. That is not too late: the cache starts
 * empty, and what is mapped from now on is followed by every INVALIDATE.
 */
void xen_map_cache_init(phys_offset_to_gaddr_t f, void *opaque)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = xen_domid,
		.log = log_line,
		.notify = notify,
	};
	int error;

	(void)opaque;
	if (state.cache)
		return;
	state.translate = f;
	error = mapcache_open(&options, &state.cache);
	if (error) {
		state.cache = NULL;
		error_report("mapcache: cannot open: %s", strerror(-error));
		failed(0, 0, error);
		return;
	}
	open_grants();
}

void xen_map_cache_thread_idle(void)
{
	transient_done();
}

int xen_map_cache_close(void)
{
	int error;

	transient_close();
	error = state.cache ? mapcache_close(state.cache) : 0;
	if (error)
		return error;
	state.cache = NULL;
	for (int i = 0; i < 2 && !error; i++) {
		error = state.grants[i] ? mapcache_close(state.grants[i]) : 0;
		if (!error)
			state.grants[i] = NULL;
	}
	return error;
}

struct mapcache *xen_map_cache_library(void)
{
	return state.cache;
}

bool xen_map_cache_enabled(void)
{
	return state.cache != NULL;
}

/* Block memory (not DMA) gets address space of its own, which can be relocated. */
static void *map(hwaddr address, hwaddr size, bool lock, bool dma, int prot)
{
	struct mapcache_client *client;
	size_t len = (size_t)size;
	void *pointer;

	if (!lock)
		return transient_lookup(state.cache, address, len, prot);
	client = transient_client(state.cache);
	if (!client)
		return NULL;
	pointer = mapcache_pin(client, address, &len, prot,
			       dma ? MAPCACHE_PIN_CONTIGUOUS : MAPCACHE_PIN_OWN);
	if (pointer)
		ranges_add(pointer, prot & PROT_WRITE ? len : 0, !dma);
	return pointer;
}

/* As QEMU's own: first as given, then where the block has moved to, then, before an incoming
 * guest has any memory there, memory of our own. */
static uint8_t *map_anyhow(hwaddr address, hwaddr size, bool lock, bool dma, int prot)
{
	void *pointer = map(address, size, lock, dma, prot);
	int error;

	if (!pointer && errno == EFAULT && state.translate) {
		hwaddr moved = state.translate(address, size);

		if (moved != address) {
			address = moved;
			pointer = map(address, size, lock, dma, prot);
		}
	}
	if (!pointer && errno == EFAULT && runstate_check(RUN_STATE_INMIGRATE)) {
		hwaddr start = TO_PAGE(address);

		error = mapcache_placeholder(state.cache, start,
					     TO_PAGE(address + size + PAGE_BYTES - 1) - start);
		if (error)
			errno = -error;
		else
			pointer = map(address, size, lock, dma, prot);
	}
	return pointer ? pointer : failed(address, size, -errno);
}

static uint8_t *look_up(hwaddr address, hwaddr size, bool lock, bool dma, int prot)
{
	if (!state.cache)
		return failed(address, size, -ENODEV);
	if (size == 0)
		size = PAGE_BYTES - (address & (PAGE_BYTES - 1));
	if (size > SIZE_MAX || address + size < address)
		return failed(address, size, -ERANGE);
	return map_anyhow(address, size, lock, dma, prot);
}

#ifdef XEN_MAPCACHE_QEMU_7
uint8_t *xen_map_cache(hwaddr phys_addr, hwaddr size, uint8_t lock, bool dma)
{
	return look_up(phys_addr, size, lock, dma, PROT_READ | PROT_WRITE);
}
#else
/* The block's offset in QEMU's space of RAM is not part of the reference. */
static uint8_t *look_up_grants(hwaddr address, hwaddr size, ram_addr_t offset, bool lock,
			       bool write)
{
	struct mapcache *cache = state.grants[write];
	struct mapcache_client *client = cache ? transient_client(cache) : NULL;
	size_t len = size ? (size_t)size : PAGE_BYTES - (address & (PAGE_BYTES - 1));
	void *pointer;

	if (!lock || size > SIZE_MAX)
		return failed(address, size, -EINVAL);
	if (!client)
		return failed(address, size, cache ? -errno : -ENODEV);
	__atomic_store_n(&state.grants_offset, offset, __ATOMIC_RELAXED);
	pointer = mapcache_pin(client, address - offset, &len,
			       write ? PROT_READ | PROT_WRITE : PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
	return pointer ? pointer : failed(address, size, -errno);
}

uint8_t *xen_map_cache(MemoryRegion *mr, hwaddr phys_addr, hwaddr size, ram_addr_t ram_addr_offset,
		       uint8_t lock, bool dma, bool is_write)
{
	if (mr && xen_mr_is_grants(mr))
		return look_up_grants(phys_addr, size, ram_addr_offset, lock, is_write);
	return look_up(phys_addr, size, lock, dma, is_write ? PROT_READ | PROT_WRITE : PROT_READ);
}
#endif

/* Which cache of grants a pointer points into, and its address there; NULL: none. */
static struct mapcache *grants_of(const void *pointer, uint64_t *address)
{
	for (int i = 0; i < 2; i++) {
		if (state.grants[i] && !mapcache_gpa(state.grants[i], pointer, address))
			return state.grants[i];
	}
	return NULL;
}

ram_addr_t xen_ram_addr_from_mapcache(void *ptr)
{
	uint64_t gpa;

	if (!state.cache)
		return RAM_ADDR_INVALID;
	if (!mapcache_gpa(state.cache, ptr, &gpa))
		return (ram_addr_t)gpa;
	if (!grants_of(ptr, &gpa))
		return RAM_ADDR_INVALID;
	return (ram_addr_t)gpa + __atomic_load_n(&state.grants_offset, __ATOMIC_RELAXED);
}

/*
 * The guest takes a granted page back as soon as it hears that the request is done, which is
 * after this. Only here may an unlock sleep, while another thread is looking something up.
 */
static void unlock_grants(uint8_t *buffer)
{
	uint64_t gpa;
	struct mapcache *grants = grants_of(buffer, &gpa);

	if (grants && !mapcache_unpin(grants, buffer, 0))
		mapcache_unmap(grants, gpa, 1, GRANTS_UNMAP_MS);
}

/* Never blocks for RAM: no bottom half and no yield for callers in coroutines. What was locked for
 * writing is reported, where the log of modified pages is on, before the caller completes. */
void xen_invalidate_map_cache_entry(uint8_t *buffer)
{
	uint64_t gpa;

	if (!state.cache)
		return;
	if (mapcache_gpa(state.cache, buffer, &gpa))
		unlock_grants(buffer);
	else
		mapcache_unpin(state.cache, buffer, ranges_take(buffer));
}

/*
 * No draining of block I/O: what DMA has locked stays its own, and who comes later gets what is
 * there now. The thread that serves INVALIDATE is between requests, so done with its pointers.
 */
void xen_invalidate_map_cache(void)
{
	if (!state.cache)
		return;
	transient_done();
	mapcache_invalidate(state.cache);
}

static bool is_at(const void *pointer, const void *data)
{
	const uint64_t *wanted = data;
	uint64_t gpa;

	return !mapcache_gpa(state.cache, pointer, &gpa) && gpa == *wanted;
}

uint8_t *xen_replace_cache_entry(hwaddr old_phys_addr, hwaddr new_phys_addr, hwaddr size)
{
	hwaddr offset = old_phys_addr - TO_PAGE(old_phys_addr);
	uint64_t gpa = new_phys_addr;
	const void *pointer;
	int count;

	if (!state.cache || offset != new_phys_addr - TO_PAGE(new_phys_addr))
		return failed(old_phys_addr, size, state.cache ? -EINVAL : -ENODEV);
	count = mapcache_replace(state.cache, TO_PAGE(old_phys_addr), TO_PAGE(new_phys_addr),
				 TO_PAGE(offset + size + PAGE_BYTES - 1));
	if (count <= 0)
		return failed(old_phys_addr, size, count ? count : -ENOENT);
	/* Whoever has the block locked has it at the address that it had. */
	pointer = ranges_find(is_at, &gpa);
	return pointer ? (uint8_t *)(uintptr_t)pointer : failed(new_phys_addr, size, -ENOENT);
}
