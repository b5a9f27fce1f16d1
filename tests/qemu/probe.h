/* SPDX-License-Identifier: MIT */
/* The file in which a QEMU with the probe notes how long INVALIDATE's answer took, and what it maps. */
#ifndef TESTS_QEMU_PROBE_H
#define TESTS_QEMU_PROBE_H

#include <stdint.h>

#define PROBE_VARIABLE "MAPCACHE_PROBE" /* of the environment: where that file is to be */
#define PROBE_TIMES (1u << 20)
#define PROBE_STORM 20 /* INVALIDATEs after which the guest is taken to balloon */

/* Of xenforeignmemory_map2(), and of whatever undoes what it mapped. */
struct probe_calls {
	uint64_t calls, pages, nanoseconds;
};

struct probe {
	struct probe_calls map, unmap;
	uint64_t storm_cpu,
		storm_since; /* ns: the process's time since PROBE_STORM, and from when */
	uint32_t count;      /* may be more than PROBE_TIMES: then the first are kept */
	uint32_t nanoseconds[PROBE_TIMES];
};

#endif
