/* SPDX-License-Identifier: MIT */
/*
 * A backend that passes everything on to the one for Xen, and on its way counts it and lets a
 * test look, fail it or hang it. Its backend_data is a struct spy.
 */
#ifndef TESTS_SUPPORT_SPY_H
#define TESTS_SUPPORT_SPY_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

struct spy_call {
	bool map;
	void *address;
	uint64_t gfn; /* map; the first of them */
	size_t pages;
	int prot;   /* map */
	int keep;   /* unmap */
	int *error; /* map */
	bool list;  /* of frames that need not follow one another */
};

struct spy {
	void *data;
	/* On the calling thread, before the call; not 0: -errno, and it is not made. May be NULL. */
	int (*before)(struct spy *spy, const struct spy_call *call);
	/* The same before a report of modified pages. */
	int (*report)(struct spy *spy);
	/* What open returns, instead of opening. */
	int refuse;
	void *state;
	uint32_t domid;
	uint64_t opens, closes, maps, unmaps, modifieds; /* atomic */
};

extern const struct mapcache_backend spy_backend;
/* The same, mapping where it likes. */
extern const struct mapcache_backend spy_backend_anywhere;

#endif
