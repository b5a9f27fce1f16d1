/* SPDX-License-Identifier: MIT */
/*
 * Linked into QEMU with --wrap for each function __wrap_* here: notes the time of every INVALIDATE,
 * and what is mapped and unmapped, in a file that outlives QEMU. The file is opened before QEMU
 * can lock itself in.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xenforeignmemory.h>

#include "probe.h"

void __real_xen_invalidate_map_cache(void);
void __wrap_xen_invalidate_map_cache(void);
void *__real_xenforeignmemory_map2(xenforeignmemory_handle *memory, uint32_t dom, void *address,
				   int prot, int flags, size_t pages, const xen_pfn_t *gfns,
				   int *error);
void *__wrap_xenforeignmemory_map2(xenforeignmemory_handle *memory, uint32_t dom, void *address,
				   int prot, int flags, size_t pages, const xen_pfn_t *gfns,
				   int *error);
int __real_munmap(void *address, size_t bytes);
int __wrap_munmap(void *address, size_t bytes);
void *__real_mmap64(void *address, size_t bytes, int prot, int flags, int file, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int prot, int flags, int file, off_t offset);

static struct probe *probe;

__attribute__((constructor)) static void probe_open(void)
{
	const char *name = getenv(PROBE_VARIABLE);
	int file = name ? open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	void *mapped;

	if (file < 0)
		return;
	if (!ftruncate(file, sizeof(*probe))) {
		mapped = mmap(NULL, sizeof(*probe), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		probe = mapped == MAP_FAILED ? NULL : mapped;
	}
	close(file);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

static uint64_t now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void note_storm(void)
{
	uint64_t used = read_clock(CLOCK_PROCESS_CPUTIME_ID);

	if (probe->count == PROBE_STORM)
		probe->storm_since = used;
	if (probe->count >= PROBE_STORM)
		probe->storm_cpu = used - probe->storm_since;
}

/* Called by the thread of QEMU's main loop only. */
void __wrap_xen_invalidate_map_cache(void)
{
	uint64_t start = now(), took;

	__real_xen_invalidate_map_cache();
	took = now() - start;
	if (probe && probe->count < PROBE_TIMES)
		probe->nanoseconds[probe->count] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
	if (!probe)
		return;
	probe->count++;
	note_storm();
}

static void note(struct probe_calls *calls, size_t pages, uint64_t start)
{
	__atomic_fetch_add(&calls->calls, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&calls->pages, pages, __ATOMIC_RELAXED);
	__atomic_fetch_add(&calls->nanoseconds, now() - start, __ATOMIC_RELAXED);
}

void *__wrap_xenforeignmemory_map2(xenforeignmemory_handle *memory, uint32_t dom, void *address,
				   int prot, int flags, size_t pages, const xen_pfn_t *gfns,
				   int *error)
{
	uint64_t start = now();
	void *mapped =
		__real_xenforeignmemory_map2(memory, dom, address, prot, flags, pages, gfns, error);

	if (probe)
		note(&probe->map, pages, start);
	return mapped;
}

/* QEMU's own map cache unmaps by this; what else does is little. */
int __wrap_munmap(void *address, size_t bytes)
{
	uint64_t start = now();
	int error = __real_munmap(address, bytes);

	if (probe)
		note(&probe->unmap, bytes / 4096, start);
	return error;
}

/* The library's backend unmaps by having its reservation over what was mapped. */
void *__wrap_mmap64(void *address, size_t bytes, int prot, int flags, int file, off_t offset)
{
	uint64_t start = now();
	void *mapped = __real_mmap64(address, bytes, prot, flags, file, offset);

	if (probe && prot == PROT_NONE && flags & MAP_FIXED)
		note(&probe->unmap, bytes / 4096, start);
	return mapped;
}
