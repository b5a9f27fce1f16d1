/* SPDX-License-Identifier: MIT */
/* The guest. Stands in for QEMU's header of this name, to compile and test the layer here. */
#ifndef QEMU_HW_XEN_H
#define QEMU_HW_XEN_H

#include <stdint.h>

extern uint32_t xen_domid;

#endif
