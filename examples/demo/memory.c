/* SPDX-License-Identifier: MIT */
/* Free pages in an array; the lock is the guest kernel's. */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random.h"

int memory_init(struct memory *memory, uint64_t first, uint32_t count, uint64_t seed)
{
	uint32_t i;

	memset(memory, 0, sizeof(*memory));
	memory->gfn = calloc(count, sizeof(memory->gfn[0]));
	if (!memory->gfn)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		memory->gfn[i] = first + i;
	memory->count = count;
	memory->random = seed;
	pthread_mutex_init(&memory->lock, NULL);
	return 0;
}

void memory_destroy(struct memory *memory)
{
	if (memory->gfn)
		pthread_mutex_destroy(&memory->lock);
	free(memory->gfn);
}

int memory_take(struct memory *memory, uint64_t *gfn, uint32_t count)
{
	int error = -ENOMEM;

	pthread_mutex_lock(&memory->lock);
	if (memory->count >= count) {
		error = 0;
		while (count--) {
			uint64_t pick = random_below(&memory->random, memory->count);

			*gfn++ = memory->gfn[pick];
			memory->gfn[pick] = memory->gfn[--memory->count];
		}
	}
	pthread_mutex_unlock(&memory->lock);
	return error;
}

void memory_give(struct memory *memory, const uint64_t *gfn, uint32_t count)
{
	pthread_mutex_lock(&memory->lock);
	memcpy(memory->gfn + memory->count, gfn, count * sizeof(*gfn));
	memory->count += count;
	pthread_mutex_unlock(&memory->lock);
}
