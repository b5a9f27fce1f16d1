/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t bar_address(const char *device)
{
	unsigned long long start = 0;
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/resource", device);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llx", &start) != 1)
		start = 0;
	fclose(file);
	return start;
}

volatile uint32_t *bar_map(const char *device, size_t bytes)
{
	char path[256];
	void *words;
	int file;

	snprintf(path, sizeof(path), "%s/enable", device);
	file = open(path, O_WRONLY);
	if (file >= 0) {
		dprintf(file, "1");
		close(file);
	}
	snprintf(path, sizeof(path), "%s/resource0", device);
	file = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	words = file < 0 ? MAP_FAILED
			 : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (file >= 0)
		close(file);
	if (words == MAP_FAILED) {
		perror(path);
		return NULL;
	}
	return words;
}
