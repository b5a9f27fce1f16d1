/* SPDX-License-Identifier: MIT */
/*
 * The reservation: address space that is ours, held by mappings of a file of our own that nobody
 * can access. The file tells them from whatever anybody else of the process maps: where a backend
 * has failed, its library may have given the range back to the kernel, and another thread's
 * mmap(2) may have it already (H). Nothing here is locked: a range belongs to whoever maps in it.
 */
#ifndef RESERVE_H
#define RESERVE_H

#include <stdbool.h>
#include <stdint.h>

struct reserve {
	char *start;
	uint64_t bytes;
	int file;               /* -1: none was to be had, and what is ours cannot be told */
	uint64_t device, inode; /* of it */
	int areas;              /* the kernel's list of what is mapped where, or -1 */
};

/* What is found where a map call has failed. */
enum reserve_found {
	RESERVE_OURS, /* the reservation, got back if need be */
	RESERVE_LEFT, /* memory that the backend has mapped, or not replaced */
	RESERVE_LOST, /* somebody else's, or nobody knows what */
};

/* -errno */
int reserve_open(struct reserve *reserve, uint64_t bytes);
/* The file. The address space is the caller's to unmap: he knows what of it is lost. */
void reserve_close(struct reserve *reserve);
/* In a child after fork(2), which has holes where its parent has foreign memory: only what is
 * known to be ours goes. */
void reserve_abandon(struct reserve *reserve);
/* Over a range that is known to be ours, whatever is mapped there. -errno: as before. */
int reserve_again(const struct reserve *reserve, char *address, uint64_t bytes);
/* left: memory of the backend's may be there. It is told by its file. */
enum reserve_found reserve_find(const struct reserve *reserve, char *address, uint64_t bytes,
				bool left);

/* How many reservations, of all caches, this process has. */
unsigned int reserve_census(void);

#endif
