/* SPDX-License-Identifier: MIT */
/* The guest. */
#ifndef QEMU_HW_XEN_H
#define QEMU_HW_XEN_H

#include <stdint.h>

extern uint32_t xen_domid;

#endif
