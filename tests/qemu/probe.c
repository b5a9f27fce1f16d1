/* SPDX-License-Identifier: MIT */
/*
 * Linked into QEMU with --wrap=xen_invalidate_map_cache: notes the time of every call in a file
 * that outlives QEMU. The file is opened before QEMU can lock itself in.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

void __real_xen_invalidate_map_cache(void);
void __wrap_xen_invalidate_map_cache(void);

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

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* Called by the thread of QEMU's main loop only. */
void __wrap_xen_invalidate_map_cache(void)
{
	uint64_t start = now(), took;

	__real_xen_invalidate_map_cache();
	took = now() - start;
	if (probe && probe->count < PROBE_TIMES)
		probe->nanoseconds[probe->count] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
	if (probe)
		probe->count++;
}
