/* SPDX-License-Identifier: MIT */
/* The older place. Stands in for QEMU's header of this name, to compile and test the layer here. */
#include "system/runstate.h"
