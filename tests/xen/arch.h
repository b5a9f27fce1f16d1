/* SPDX-License-Identifier: MIT */
/*
 * What differs between x86 and Arm for the programs in dom0: x86/arch.c and arm64/arch.c.
 */
#ifndef XEN_ARCH_H
#define XEN_ARCH_H

#include <mapcache/ioreq.h>

#include "tests/xen/domain.h"

/* The part of a new domain's options that is this architecture's. */
void arch_set_options(struct xen_domctl_createdomain *options);
/* Domains made from now on have Xen's emulation of a PC's devices, its video memory above all.
 * Nothing on Arm. */
void arch_whole_pc(bool on);

/* 64 bits on Arm; while the domain has no memory. */
void arch_set_width(const struct domain *domain);

/* Every vCPU at the guest's entry, its number where guest/.../start.S expects it. */
void arch_set_vcpus(const struct domain *domain);

/* Ports as the tests name them to the ranges and requests that Xen knows, and back. */
void arch_port_range(enum mapcache_ioreq_type *type, uint64_t *start, uint64_t *end);
void arch_port_request(struct mapcache_request *request);

#endif
