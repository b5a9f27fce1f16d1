/* SPDX-License-Identifier: MIT */
/* Which memory region is which. Stands in for QEMU's header of this name, to compile and test the layer here. */
#ifndef SYSTEM_XEN_H
#define SYSTEM_XEN_H

#include "qemu/osdep.h"

bool xen_mr_is_grants(MemoryRegion *mr);

#endif
