/* SPDX-License-Identifier: MIT */
/* Between the two halves of the guest's driver. */
#ifndef DEMO_DRIVER_SETUP_H
#define DEMO_DRIVER_SETUP_H

#include "driver.h"

/* Where the parts of a queue lie in its page; descriptors come first. */
#define DRIVER_AVAILABLE (DRIVER_QUEUE_SIZE * 16u)
#define DRIVER_USED (DRIVER_AVAILABLE + 512u)

int driver_register_read(struct driver *driver, uint32_t offset, uint32_t *value);
int driver_register_write(struct driver *driver, uint32_t offset, uint32_t value);

#endif
