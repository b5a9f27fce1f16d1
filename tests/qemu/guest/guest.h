/* SPDX-License-Identifier: MIT */
/* Programs in the guest: one static binary, a command each. They print RESULT lines. */
#ifndef TESTS_QEMU_GUEST_GUEST_H
#define TESTS_QEMU_GUEST_GUEST_H

#include <stddef.h>
#include <stdint.h>

/* The first BAR of a PCI device, by its folder in sysfs: its address, and mapped. 0, NULL: not. */
uint64_t bar_address(const char *device);
volatile uint32_t *bar_map(const char *device, size_t bytes);

/* Seconds of the monotonic clock. */
double now(void);

/* Exit status: 0 right, 1 something is wrong, 2 usage. argv[0] is the command's name. */
int command_fill(int argc, char **argv);
int command_balloon(int argc, char **argv);
int command_disk(int argc, char **argv);
int command_display(int argc, char **argv);
int command_dma(int argc, char **argv);

#endif
