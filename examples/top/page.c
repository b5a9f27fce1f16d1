/* SPDX-License-Identifier: MIT */
#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_TRIES 1000

/* What another process writes is checked before anything relies on it. */
static int page_check(const struct mapcache_published *page)
{
	if (mapcache_load_acquire(&page->magic) != MAPCACHE_PUBLISHED_MAGIC ||
	    page->count > MAPCACHE_PUBLISHED_COUNTERS ||
	    !memchr(page->version, 0, sizeof(page->version)))
		return -EINVAL;
	for (uint32_t i = 0; i < page->count; i++) {
		if (!memchr(page->counter[i].name, 0, sizeof(page->counter[i].name)))
			return -EINVAL;
	}
	return 0;
}

int page_open(const char *path, const struct mapcache_published **page)
{
	int file = open(path, O_RDONLY | O_CLOEXEC), error = 0;
	struct stat stat;
	void *memory;

	if (file < 0)
		return -errno;
	if (fstat(file, &stat))
		error = -errno;
	else if (!S_ISREG(stat.st_mode) || stat.st_size != MAPCACHE_PUBLISHED_BYTES)
		error = -EINVAL;
	if (error)
		goto close;
	memory = mmap(NULL, MAPCACHE_PUBLISHED_BYTES, PROT_READ, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED) {
		error = -errno;
		goto close;
	}
	error = page_check(memory);
	if (error)
		munmap(memory, MAPCACHE_PUBLISHED_BYTES);
	else
		*page = memory;
close:
	close(file);
	return error;
}

void page_close(const struct mapcache_published *page)
{
	munmap((void *)(uintptr_t)page, MAPCACHE_PUBLISHED_BYTES);
}

int page_read(const struct mapcache_published *page, struct sample *sample)
{
	for (int i = 0; i < READ_TRIES; i++) {
		/* Acquire: pairs with the writer's release of an even number. */
		uint64_t before = mapcache_load_acquire(&page->sequence);

		if (before & 1) {
			usleep(10);
			continue;
		}
		sample->count = page->count;
		sample->time_ns = mapcache_load_relaxed(&page->time_ns);
		for (uint32_t n = 0; n < page->count; n++)
			sample->value[n] = mapcache_load_relaxed(&page->counter[n].value);
		/* Pairs with the writer's release fence after it made the number odd. */
		mapcache_fence_acquire();
		if (mapcache_load_relaxed(&page->sequence) == before)
			return 0;
	}
	return -EAGAIN;
}

uint64_t page_value(const struct mapcache_published *page, const struct sample *sample,
		    const char *name)
{
	for (uint32_t i = 0; i < sample->count; i++) {
		if (!strcmp(page->counter[i].name, name))
			return sample->value[i];
	}
	return 0;
}
