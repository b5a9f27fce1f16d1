/* SPDX-License-Identifier: MIT */
/* The handles of the libraries: what they have in common. */
#ifndef XENSIM_HANDLES_H
#define XENSIM_HANDLES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct handle {
	LIST_ENTRY(handle) link;
	int32_t restricted; /* atomic: to this domain; -1: not */
	bool dead;          /* atomic: its process has died, or it cannot be restricted and was */
	bool unrestricted;  /* there is no way to restrict it but to shut it */
};

struct xenforeignmemory_handle {
	struct handle handle;
};

struct xendevicemodel_handle {
	struct handle handle;
};

/* 0 or -errno; counted as open until handle_close(). */
int handle_open(struct handle *handle);
void handle_close(struct handle *handle);
/* May this handle be used for a domain? 0, -EPERM, -EBADF. */
int handle_check(const struct handle *handle, uint32_t domid);
int handle_restrict(struct handle *handle, uint32_t domid);
/* The process behind this handle has died; it may have been closed. */
void handle_kill(const struct handle *handle);

struct xensim_domain;

/* Every call of libxendevicemodel: check, find the domain, and give it up with the result. */
int devicemodel_begin(struct xendevicemodel_handle *dmod, uint32_t domid,
		      struct xensim_domain **domain);
int devicemodel_end(struct xensim_domain *domain, int ret);

#endif
