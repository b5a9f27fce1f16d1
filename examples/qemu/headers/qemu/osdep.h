/* SPDX-License-Identifier: MIT */
/*
 * What every QEMU source sees. The headers under this folder stand in for QEMU's of the same
 * names, to compile and test the layer here; tests/qemu compiles it with the real ones, and checks
 * that these say the same (tests/qemu/interface.c).
 *
 * What a real QEMU always has and a test need not care for is weak here: a source that defines
 * STAND_INS_OF_MY_OWN first can define it all the same.
 */
#ifndef QEMU_OSDEP_H
#define QEMU_OSDEP_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The release whose interface is meant: before 9.1 the look-up has four arguments. */
#ifndef QEMU_VERSION_MAJOR
#define QEMU_VERSION_MAJOR 10
#define QEMU_VERSION_MINOR 2
#endif

typedef struct MemoryRegion MemoryRegion;
typedef struct RAMBlock RAMBlock;
typedef struct QEMUBH QEMUBH;
typedef struct VMChangeStateEntry VMChangeStateEntry;

#define STAND_IN __attribute__((weak))

#endif
