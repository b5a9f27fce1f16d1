/* SPDX-License-Identifier: MIT */
#include "lib/xen/dom0.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xen/features.h>

#define DOM0_TRIES 4
#define DOM0_LINE 256
/* Where nobody says how much is free. */
#define DOM0_ROOM_UNKNOWN (UINT64_C(64) << 20)
/* No guest has a page there: that a page is needed for the mapping comes before that is seen. */
#define DOM0_NO_FRAME ((xen_pfn_t)0xfffffff0)

/* The first line with the word. */
static bool dom0_find(const char *path, const char *word, char *line)
{
	FILE *file = fopen(path, "re");
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, DOM0_LINE, file))
		found = strstr(line, word) != NULL;
	fclose(file);
	return found;
}

/* Whether this domain's kernel knows machine addresses, and so needs nothing for a mapping: PV. */
static bool dom0_is_pv(void)
{
	char line[DOM0_LINE], *end;
	unsigned long long features;

	if (!dom0_find("/sys/hypervisor/properties/features", "", line))
		return false;
	features = strtoull(line, &end, 16);
	return end != line && !(features >> XENFEAT_auto_translated_physmap & 1);
}

/* The space that unpopulated-alloc has taken has this name; it takes some when it needs some. */
static bool dom0_has_unpopulated(xenforeignmemory_handle *memory, uint32_t domid)
{
	const xen_pfn_t frame = DOM0_NO_FRAME;
	char line[DOM0_LINE];
	void *page;
	int error;

	page = xenforeignmemory_map(memory, domid, PROT_READ, 1, &frame, &error);
	/* A kernel mapping that goes whole needs no room for others: refused is refused for a moment. */
	for (int i = 0; page && i < DOM0_TRIES; i++) {
		if (!xenforeignmemory_unmap(memory, page, 1))
			break;
	}
	return dom0_find("/proc/iomem", "Xen scratch", line);
}

static uint64_t dom0_free(void)
{
	static const char name[] = "MemAvailable:";
	char line[DOM0_LINE], *found, *end;
	unsigned long long kib;

	if (!dom0_find("/proc/meminfo", name, line))
		return DOM0_ROOM_UNKNOWN;
	found = strstr(line, name) + sizeof(name) - 1;
	kib = strtoull(found, &end, 10);
	return end == found ? DOM0_ROOM_UNKNOWN : (uint64_t)kib << 10;
}

uint64_t dom0_room(xenforeignmemory_handle *memory, uint32_t domid)
{
	if (dom0_is_pv() || dom0_has_unpopulated(memory, domid))
		return UINT64_MAX;
	return dom0_free();
}
