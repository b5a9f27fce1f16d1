/* SPDX-License-Identifier: MIT */
/*
 * All-or-nothing copies from and to guest memory, with a bounded number of attempts when
 * INVALIDATEs race with them. 0 or -errno as mapcache_read(); a hole inside is -EFAULT.
 */
#ifndef GUEST_H
#define GUEST_H

#include <mapcache/mapcache.h>

/* INVALIDATEs that keep racing with one access; past this the access fails. */
#define GUEST_RETRIES 1000

int guest_read(struct mapcache_client *client, uint64_t gpa, void *buffer, size_t len);
int guest_write(struct mapcache_client *client, uint64_t gpa, const void *buffer, size_t len);

#endif
