/* SPDX-License-Identifier: MIT */
/*
 * What the rig needs of a host besides the calls of the Xen libraries: a domain, its vCPUs, and the
 * toolstack's part. Twice: platform_xensim.c and platform_xen.c.
 */
#ifndef CONFORMANCE_PLATFORM_H
#define CONFORMANCE_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

/* In the order of the columns of the table. */
enum host {
	HOST_XENSIM_X86,
	HOST_XENSIM_ARM,
	HOST_X86_417,
	HOST_X86_420,
	HOST_ARM64_417,
	HOSTS,
};

struct platform_options {
	uint32_t vcpus;     /* 0: 1 */
	unsigned int order; /* of the extents that the memory is made of */
	bool vga;           /* with Xen's emulation of a PC's devices */
};

struct platform {
	uint32_t domid;
	void *own;
};

/* Can this program look at that host: xensim at both of its own, in dom0 at that Xen only. */
bool platform_is(enum host host);
/* Once in a process, before anything else. */
void platform_start(enum host host);

/* A paused domain of RIG_PAGES pages, the command loop in its vCPUs. Failures end the process. */
void platform_create(struct platform *platform, const struct platform_options *options);
void platform_unpause(struct platform *platform);
void platform_destroy(struct platform *platform);

/* From outside. 0 or -errno. */
int platform_take_page(struct platform *platform, uint64_t gfn);
int platform_give_page(struct platform *platform, uint64_t gfn);
/* Pages that the domain has now; -1: there is none with this id. */
long platform_pages(const struct platform *platform);
/* The next superpage to be shattered cannot be. */
void platform_fail_shatter(struct platform *platform, bool fail);

/* The log of modified pages: on; is this frame in it (which forgets it). -errno. */
int platform_log(struct platform *platform);
int platform_logged(struct platform *platform, uint64_t gfn);

/* A grant by the domain to dom0; the reference. */
uint32_t platform_grant(struct platform *platform, uint64_t gfn, bool read_only);

/* How long nothing happens when nothing happens. */
unsigned int platform_quiet_ms(void);

#endif
