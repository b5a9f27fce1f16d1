/* SPDX-License-Identifier: MIT */
/* The same behaviour under the names of QEMU 7.2. */
#define QEMU_VERSION_MAJOR 7
#define QEMU_VERSION_MINOR 2
#include "test_dropin_qemu.c"
