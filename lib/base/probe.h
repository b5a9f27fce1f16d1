/* SPDX-License-Identifier: MIT */
/*
 * Static probes for bpftrace, SystemTap, perf and gdb (docs/watching.md has their list): one nop
 * each and a note in the object, where <sys/sdt.h> is there, and nothing at all where it is not.
 * Arguments are values at hand: they are computed whether anybody watches or not. The hit path
 * has no probe.
 */
#ifndef PROBE_H
#define PROBE_H

#if defined(__has_include) && !defined(MAPCACHE_NO_PROBES)
#if __has_include(<sys/sdt.h>)
/* Where an argument may be, clang chooses memory, and stores it there. */
#if defined(__clang__) && !defined(STAP_SDT_ARG_CONSTRAINT)
#define STAP_SDT_ARG_CONSTRAINT nr
#endif
#include <sys/sdt.h>
#define PROBE2(name, a, b) DTRACE_PROBE2(mapcache, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(mapcache, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(mapcache, name, a, b, c, d)
#endif
#endif

#ifndef PROBE2
#define PROBE2(name, a, b) ((void)(a), (void)(b))
#define PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#define PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
