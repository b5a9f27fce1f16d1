/* SPDX-License-Identifier: MIT */
/* Which memory region is which. */
#ifndef SYSTEM_XEN_H
#define SYSTEM_XEN_H

#include "exec/cpu-common.h"

bool xen_mr_is_grants(MemoryRegion *mr);

#endif
