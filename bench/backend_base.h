/* SPDX-License-Identifier: MIT */
/* The Xen backend for a guest whose RAM begins elsewhere than at 0, as an Arm guest's does. */
#ifndef BENCH_BACKEND_BASE_H
#define BENCH_BACKEND_BASE_H

#include <mapcache/backend.h>

/* Address 0 of every contestant is the guest's base: only what maps knows of it. */
extern const struct mapcache_backend backend_base;

/* A multiple of 4096. Before anything is opened. */
void backend_base_set(uint64_t base);

#endif
