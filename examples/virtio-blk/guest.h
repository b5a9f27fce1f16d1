/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as a driver names it: by address, or, with VIRTIO_F_ACCESS_PLATFORM on Xen, by
 * grants: bit 63 set, then a grant reference where a frame number would be. Copies and pins are
 * all or nothing, with a bounded number of attempts when INVALIDATEs race with them: 0 or -errno
 * as mapcache_read(); a hole inside, or what was not granted, is -EFAULT.
 */
#ifndef GUEST_H
#define GUEST_H

#include <sys/uio.h>

#include <mapcache/mapcache.h>

/* INVALIDATEs that keep racing with one access; past this the access fails. */
#define GUEST_RETRIES 1000
#define GUEST_GRANT (UINT64_C(1) << 63)

struct guest {
	struct mapcache_client *client; /* the calling thread's */
	struct mapcache *grants[2];     /* for reading, for writing; NULL: no grants */
};

/* The client for an access, and in *gpa the address that it takes. NULL and errno. */
struct mapcache_client *guest_client(const struct guest *guest, uint64_t *gpa, int prot);

int guest_read(const struct guest *guest, uint64_t gpa, void *buffer, size_t len);
int guest_write(const struct guest *guest, uint64_t gpa, const void *buffer, size_t len);

/* As mapcache_pin_iov(). Each of the segments is released by itself. */
int guest_pin(const struct guest *guest, uint64_t gpa, size_t len, int prot, struct iovec *iov,
	      int count);
/* As mapcache_pin_sgl(). -EOPNOTSUPP: some of it is named by grants. */
int guest_pin_list(const struct guest *guest, const struct mapcache_range *ranges, int count,
		   int prot, struct iovec *iov, int iovcnt);
void guest_unpin(const struct guest *guest, const struct iovec *iov, bool written);

/* Before the driver is told that it is done: it waits to have granted pages back. Nothing else
 * in the range is touched. */
void guest_give_back(const struct guest *guest, uint64_t gpa, uint64_t len);
/* The same of all grants: nothing is pinned. */
void guest_give_back_all(const struct guest *guest);

#endif
