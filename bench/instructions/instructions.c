/* SPDX-License-Identifier: MIT */
/*
 * instructions OPERATION COUNT: does one operation of the library so often, and nothing else
 * that depends on COUNT. Run under callgrind with two counts, the difference is what the
 * operation takes (bench/instructions/check). Exit status 77: not comparable in this build.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#define BUCKET (UINT64_C(1) << 20)
#define GRANULE (UINT64_C(1) << 14)

static int memory_open(void *data, uint32_t domid, void **state)
{
	(void)data;
	(void)domid;
	*state = NULL;
	return 0;
}

static void memory_close(void *state)
{
	(void)state;
}

/* Plain memory in place of the guest's: what is counted never comes here. */
static void *memory_map(void *state, void *address, uint64_t gfn, size_t pages, int prot,
			int *error)
{
	int fixed = address ? MAP_FIXED : 0;
	void *base = mmap(address, pages << 12, prot, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);

	(void)state;
	(void)gfn;
	memset(error, 0, pages * sizeof(*error));
	return base == MAP_FAILED ? NULL : base;
}

static int memory_unmap(void *state, void *address, size_t pages, int keep)
{
	(void)state;
	if (keep)
		return mmap(address, pages << 12, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			    0) == MAP_FAILED
			       ? -errno
			       : 0;
	return munmap(address, pages << 12) ? -errno : 0;
}

static const struct mapcache_backend memory_backend = {
	.size = sizeof(memory_backend),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = memory_open,
	.close = memory_close,
	.map = memory_map,
	.unmap = memory_unmap,
};

static uint64_t hit(struct mapcache_client *client, uint64_t count, int prot, uint64_t bytes)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		const volatile uint32_t *pointer;

		mapcache_begin(client);
		pointer = mapcache_ptr(client, i << 2 & (bytes - 1), 4, prot);
		if (pointer)
			sum += *pointer;
		mapcache_end(client);
	}
	return sum;
}

static uint64_t pin(struct mapcache_client *client, uint64_t count, unsigned int flags)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		size_t len = 4;
		void *pointer = mapcache_pin(client, i << 2 & (BUCKET - 1), &len, PROT_READ, flags);

		sum += (uintptr_t)pointer;
		if (mapcache_client_unpin(client, pointer, 0))
			exit(1);
	}
	return sum;
}

/* Buffers across the ends of buckets, in turn: each is mapped before anything is counted. */
static uint64_t dma(struct mapcache_client *client, uint64_t count, uint64_t buffers)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < buffers + count; i++) {
		size_t len = 8192;
		void *pointer = mapcache_pin(client, (i % buffers + 1) * BUCKET - 4096, &len,
					     PROT_READ, MAPCACHE_PIN_CONTIGUOUS);

		sum += (uintptr_t)pointer;
		if (mapcache_client_unpin(client, pointer, 0))
			exit(1);
	}
	return sum;
}

static uint64_t reverse(struct mapcache *cache, struct mapcache_client *client, uint64_t count)
{
	uint64_t sum = 0, gpa = 0;
	size_t len = BUCKET;
	char *pointer = mapcache_pin(client, 0, &len, PROT_READ, 0);

	for (uint64_t i = 0; i < count; i++) {
		if (mapcache_gpa(cache, pointer + (i & (BUCKET - 1)), &gpa))
			exit(1);
		sum += gpa;
	}
	mapcache_client_unpin(client, pointer, 0);
	return sum;
}

static uint64_t invalidate(struct mapcache *cache, uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += mapcache_invalidate(cache);
	return sum;
}

static int run(struct mapcache *cache, struct mapcache_client *client, const char *operation,
	       uint64_t count)
{
	volatile uint64_t sum;
	size_t len = BUCKET;
	void *whole = mapcache_pin(client, 0, &len, PROT_READ | PROT_WRITE, 0);

	/* The bucket is mapped whole before anything is counted. */
	if (!whole || mapcache_client_unpin(client, whole, 0))
		return 1;
	if (!strcmp(operation, "hit"))
		sum = hit(client, count, PROT_READ, BUCKET);
	else if (!strcmp(operation, "hit_write"))
		sum = hit(client, count, PROT_READ | PROT_WRITE, BUCKET);
	else if (!strcmp(operation, "hit_refreshed"))
		sum = mapcache_invalidate(cache) + hit(client, count, PROT_READ, GRANULE);
	else if (!strcmp(operation, "pin_unpin"))
		sum = pin(client, count, 0);
	else if (!strcmp(operation, "pin_contiguous"))
		sum = pin(client, count, MAPCACHE_PIN_CONTIGUOUS);
	else if (!strcmp(operation, "dma_10"))
		sum = dma(client, count, 10);
	else if (!strcmp(operation, "dma_1000"))
		sum = dma(client, count, 1000);
	else if (!strcmp(operation, "reverse"))
		sum = reverse(cache, client, count);
	else if (!strcmp(operation, "invalidate"))
		sum = invalidate(cache, count);
	else
		return 2;
	(void)sum;
	return 0;
}

/* Which line of the expected counts is meant; NULL when none can be. */
static const char *build_name(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
	return NULL;
#elif defined(__x86_64__) && defined(__clang__)
	return "x86_64-clang";
#elif defined(__x86_64__) && defined(__GNUC__)
	return "x86_64-gcc";
#else
	return NULL;
#endif
}

int main(int argc, char **argv)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.flags = MAPCACHE_NO_RECLAIM_THREAD,
		.max_bytes = 16384 * BUCKET,
		.guest_limit = UINT64_C(1) << 32,
		.backend = &memory_backend,
	};
	struct mapcache_client *client;
	struct mapcache *cache;
	int status;

	if (!build_name())
		return 77;
	if (argc == 2 && !strcmp(argv[1], "build"))
		return puts(build_name()) < 0;
	if (argc != 3)
		return 2;
	if (mapcache_open(&options, &cache) || mapcache_client_open(cache, &client))
		return 1;
	status = run(cache, client, argv[1], strtoull(argv[2], NULL, 10));
	mapcache_client_close(client);
	mapcache_close(cache);
	return status;
}
