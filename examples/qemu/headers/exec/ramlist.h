/* SPDX-License-Identifier: MIT */
/* Who wants to know of guest memory in this process. */
#ifndef RAMLIST_H
#define RAMLIST_H

#include <stddef.h>

void ram_block_notify_add(void *host, size_t size, size_t max_size);
void ram_block_notify_remove(void *host, size_t size, size_t max_size);

#endif
