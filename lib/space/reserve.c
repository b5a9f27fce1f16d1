/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* a reservation may be larger than 2 GiB */
#include "lib/space/own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Since Linux 4.17; older ones take the address for a wish. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define RESERVE_NAME "mapcache reservation"
#define RESERVE_FILE "/memfd:" RESERVE_NAME
#define AREAS_FILE "/proc/self/maps"
#define RESERVE_LINE 512 /* of that: what is past it is of a path */

static void *reserve_map(const struct reserve *reserve, char *address, uint64_t bytes, int flags)
{
	off_t offset = address ? address - reserve->start : 0;

	/* Private, so that no core dump holds it. */
	flags |= MAP_PRIVATE | MAP_NORESERVE | (reserve->file < 0 ? MAP_ANONYMOUS : 0);
	return mmap(address, (size_t)bytes, PROT_NONE, flags, reserve->file,
		    reserve->file < 0 ? 0 : offset);
}

int reserve_open(struct reserve *reserve, uint64_t bytes)
{
	struct stat status;
	int error;

	if (bytes > SIZE_MAX)
		return -ENOMEM;
	reserve->bytes = bytes;
	/* All that may be refused to a process later is opened now. */
	reserve->file = memfd_create(RESERVE_NAME, MFD_CLOEXEC);
	reserve->areas = open(AREAS_FILE, O_RDONLY | O_CLOEXEC);
	if (reserve->file >= 0 && !fstat(reserve->file, &status)) {
		reserve->device = (uint64_t)major(status.st_dev) << 32 | minor(status.st_dev);
		reserve->inode = status.st_ino;
	}
	reserve->start = reserve_map(reserve, NULL, bytes, 0);
	if (reserve->start != MAP_FAILED)
		return 0;
	error = -errno;
	reserve->start = NULL;
	reserve_close(reserve);
	return error;
}

void reserve_close(struct reserve *reserve)
{
	if (reserve->file >= 0)
		close(reserve->file);
	if (reserve->areas >= 0)
		close(reserve->areas);
}

int reserve_again(const struct reserve *reserve, char *address, uint64_t bytes)
{
	return reserve_map(reserve, address, bytes, MAP_FIXED) == MAP_FAILED ? -errno : 0;
}

/* ---- who has what: /proc/self/maps ----------------------------------------------------- */

/* A kernel mapping, and which file it shows. */
struct area {
	uintptr_t start, end;
	uint64_t device, inode;
	bool shared; /* of a file: memory without a name is the process's own */
	bool reservation;
};

static bool area_parse(const char *line, struct area *area)
{
	unsigned int high, low;
	char mode[5];
	int path = 0;

	/* The kernel's own numbers fit. NOLINTNEXTLINE(cert-err34-c) */
	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %x:%x %" SCNu64 " %n", &area->start,
		   &area->end, mode, &high, &low, &area->inode, &path) < 6)
		return false;
	area->device = (uint64_t)high << 32 | low;
	area->reservation = !strncmp(line + path, RESERVE_FILE, sizeof(RESERVE_FILE) - 1);
	area->shared = mode[3] == 's' && area->inode && strncmp(line + path, "/dev/zero", 9) != 0;
	return true;
}

/* From the lowest address up, until each has seen enough. False: they are not to be had. file: -1
 * for one that is opened now. No memory is allocated: this is also for a child after fork(2). */
static bool area_walk(int file, bool (*each)(const struct area *area, void *data), void *data)
{
	char buffer[4096], line[RESERVE_LINE];
	struct area area = { 0 };
	size_t filled = 0;
	off_t read = 0;
	int own = file < 0 ? open(AREAS_FILE, O_RDONLY | O_CLOEXEC) : -1;
	bool more = true;
	ssize_t got;

	file = file < 0 ? own : file;
	/* More than one thread may be at it. */
	while (more && (got = pread(file, buffer, sizeof(buffer), read)) > 0) {
		read += got;
		for (ssize_t i = 0; more && i < got; i++) {
			if (buffer[i] != '\n') {
				if (filled < sizeof(line) - 1)
					line[filled++] = buffer[i];
				continue;
			}
			line[filled] = '\0';
			filled = 0;
			more = !area_parse(line, &area) || each(&area, data);
		}
	}
	if (own >= 0)
		close(own);
	return area.end != 0;
}

/* What is looked for in a range of the reservation, and what was seen so far. */
struct search {
	const struct reserve *reserve;
	uintptr_t from, to;     /* the range; from: what follows has not been seen */
	uint64_t device, inode; /* what the backend maps, 0: not known yet */
	bool may_be_left, left, lost;
};

static bool search_own(const struct search *search, const struct area *area)
{
	return area->inode && area->inode == search->reserve->inode &&
	       area->device == search->reserve->device;
}

static bool search_past(const struct search *search, const struct area *area)
{
	return area->start >= (uintptr_t)search->reserve->start + (uintptr_t)search->reserve->bytes;
}

/* Whether it is of the file that the backend's mappings show, as far as that is known. */
static bool search_backends(struct search *search, const struct area *area)
{
	if (!area->shared || !search->may_be_left)
		return false;
	if (!search->inode) {
		search->device = area->device;
		search->inode = area->inode;
	}
	return search->device == area->device && search->inode == area->inode;
}

static bool search_area(const struct area *area, void *data)
{
	struct search *search = data;

	if (search_past(search, area))
		return false;
	if (area->end <= (uintptr_t)search->reserve->start || search_own(search, area)) {
		if (area->end > search->from && area->start <= search->from)
			search->from = area->end;
		return true;
	}
	if (area->end <= search->from || area->start >= search->to) {
		(void)search_backends(search, area);
		return true;
	}
	if (!search_backends(search, area))
		search->lost = true;
	search->left = true;
	if (area->start <= search->from)
		search->from = area->end;
	return true;
}

enum reserve_found reserve_find(const struct reserve *reserve, char *address, uint64_t bytes,
				bool left)
{
	void *got = reserve_map(reserve, address, bytes, MAP_FIXED_NOREPLACE);
	struct search search = { .reserve = reserve,
				 .from = (uintptr_t)address,
				 .to = (uintptr_t)address + (uintptr_t)bytes,
				 .may_be_left = left };

	if (got == address)
		return RESERVE_OURS;
	if (got != MAP_FAILED)
		munmap(got, (size_t)bytes);
	if (!area_walk(reserve->areas, search_area, &search) || search.lost ||
	    search.from < search.to)
		return RESERVE_LOST;
	return search.left ? RESERVE_LEFT : RESERVE_OURS;
}

static bool search_unmap(const struct area *area, void *data)
{
	const struct search *search = data;

	/* Nobody else shows this file. */
	if (search_own(search, area))
		munmap((void *)area->start, area->end - area->start);
	return !search_past(search, area);
}

void reserve_abandon(struct reserve *reserve)
{
	struct search search = { .reserve = reserve };

	/* The file that is open is the parent's. */
	area_walk(-1, search_unmap, &search);
	reserve_close(reserve);
}

struct census {
	uint64_t inode; /* of the last one */
	unsigned int caches;
};

/* What is of one cache is in one range of addresses. */
static bool census_area(const struct area *area, void *data)
{
	struct census *census = data;

	if (area->reservation && area->inode != census->inode) {
		census->inode = area->inode;
		census->caches++;
	}
	return true;
}

unsigned int reserve_census(void)
{
	struct census census = { 0 };

	area_walk(-1, census_area, &census);
	return census.caches;
}
