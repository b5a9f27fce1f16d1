/* SPDX-License-Identifier: MIT */
/* Copies and pins that go through or fail whole, of memory named by address or by grant. */
#include "guest.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

#define GIVE_BACK_MS 100 /* another queue may be reading the same page just now */
#define GRANTS_BYTES (UINT64_C(1) << 44)

struct mapcache_client *guest_client(const struct guest *guest, uint64_t *gpa, int prot)
{
	struct mapcache *grants = guest->grants[!!(prot & PROT_WRITE)];

	/* Without grants it is an address past every guest's memory. */
	if (!(*gpa & GUEST_GRANT) || !grants)
		return guest->client;
	*gpa &= ~GUEST_GRANT;
	return mapcache_thread_client(grants);
}

int guest_read(const struct guest *guest, uint64_t gpa, void *buffer, size_t len)
{
	struct mapcache_client *client = guest_client(guest, &gpa, PROT_READ);
	ssize_t got = client ? -EAGAIN : -errno;
	int tries;

	for (tries = 0; tries < GUEST_RETRIES && got == -EAGAIN; tries++) {
		if (tries)
			sched_yield();
		got = mapcache_read(client, gpa, buffer, len);
	}
	if (got < 0)
		return (int)got;
	return (size_t)got == len ? 0 : -EFAULT;
}

int guest_write(const struct guest *guest, uint64_t gpa, const void *buffer, size_t len)
{
	struct mapcache_client *client = guest_client(guest, &gpa, PROT_READ | PROT_WRITE);
	ssize_t put = client ? -EAGAIN : -errno;
	int tries;

	for (tries = 0; tries < GUEST_RETRIES && put == -EAGAIN; tries++) {
		if (tries)
			sched_yield();
		put = mapcache_write(client, gpa, buffer, len);
	}
	if (put < 0)
		return (int)put;
	return (size_t)put == len ? 0 : -EFAULT;
}

int guest_pin(const struct guest *guest, uint64_t gpa, size_t len, int prot, struct iovec *iov,
	      int count)
{
	struct mapcache_client *client = guest_client(guest, &gpa, prot);

	return client ? mapcache_pin_iov(client, gpa, len, prot, iov, count) : -errno;
}

int guest_pin_list(const struct guest *guest, const struct mapcache_range *ranges, int count,
		   int prot, struct iovec *iov, int iovcnt)
{
	for (int i = 0; i < count; i++) {
		uint64_t gpa = ranges[i].gpa;

		if (guest_client(guest, &gpa, prot) != guest->client)
			return -EOPNOTSUPP;
	}
	return mapcache_pin_sgl(guest->client, ranges, count, prot, iov, iovcnt);
}

void guest_unpin(const struct guest *guest, const struct iovec *iov, bool written)
{
	size_t bytes = written ? iov->iov_len : 0;

	if (!mapcache_client_unpin(guest->client, iov->iov_base, bytes))
		return;
	for (int i = 0; i < 2; i++) {
		if (guest->grants[i] && !mapcache_unpin(guest->grants[i], iov->iov_base, bytes))
			return;
	}
}

/* One that somebody else is still using stays: the driver finds that it cannot end the grant, and
 * tries again. */
static void unmap(const struct guest *guest, uint64_t address, uint64_t len)
{
	for (int i = 0; i < 2; i++) {
		if (guest->grants[i])
			(void)!mapcache_unmap(guest->grants[i], address, len, GIVE_BACK_MS);
	}
}

void guest_give_back(const struct guest *guest, uint64_t gpa, uint64_t len)
{
	if (gpa & GUEST_GRANT)
		unmap(guest, gpa & ~GUEST_GRANT, len);
}

void guest_give_back_all(const struct guest *guest)
{
	unmap(guest, 0, GRANTS_BYTES);
}
