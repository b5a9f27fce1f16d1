/* SPDX-License-Identifier: MIT */
#include "lib/space/runs.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#define RUNS_WORD 64u

/* Free slots of a part: from its first on, up to its last, and the longest run in it. Each is
 * kept as what it lacks to be the whole part, so that zeroes say that all is free. */
struct runs_node {
	uint32_t head, tail, best;
};

/* A part: node i of the tree, or word i - leaves, of the given size in slots. */
struct runs_part {
	uint64_t size;
	uint64_t head, tail, best;
};

static size_t runs_bytes(const struct runs *runs)
{
	return (size_t)(runs->words * sizeof(*runs->used) + runs->leaves * sizeof(*runs->node));
}

static struct runs_part runs_word(uint64_t used)
{
	struct runs_part part = { RUNS_WORD, RUNS_WORD, RUNS_WORD, RUNS_WORD };

	if (!used)
		return part;
	part.head = (uint64_t)__builtin_ctzll(used);
	part.tail = (uint64_t)__builtin_clzll(used);
	part.best = 0;
	for (uint64_t starts = ~used; starts; starts &= starts >> 1)
		part.best++;
	return part;
}

/* size: of the part. What lies past the last word is not free. */
static struct runs_part runs_part(const struct runs *runs, uint64_t i, uint64_t size)
{
	uint64_t word = i * (size / RUNS_WORD) - runs->leaves;
	const struct runs_node *node = &runs->node[i];

	if (word >= runs->words)
		return (struct runs_part){ size, 0, 0, 0 };
	if (i >= runs->leaves)
		return runs_word(runs->used[word]);
	return (struct runs_part){ size, size - node->head, size - node->tail, size - node->best };
}

/* A node follows from its halves. */
static void runs_pull(struct runs *runs, uint64_t i, uint64_t size)
{
	struct runs_part left = runs_part(runs, 2 * i, size / 2);
	struct runs_part right = runs_part(runs, 2 * i + 1, size / 2);
	uint64_t head = left.head, tail = right.tail, best = left.tail + right.head;

	if (head == left.size)
		head += right.head;
	if (tail == right.size)
		tail += left.tail;
	best = best > left.best ? best : left.best;
	best = best > right.best ? best : right.best;
	runs->node[i] = (struct runs_node){ (uint32_t)(size - head), (uint32_t)(size - tail),
					    (uint32_t)(size - best) };
}

/* Every node over these words. */
static void runs_pull_all(struct runs *runs, uint64_t first, uint64_t last)
{
	uint64_t size = RUNS_WORD;

	first += runs->leaves;
	last += runs->leaves;
	while (first > 1) {
		first /= 2;
		last /= 2;
		size *= 2;
		for (uint64_t i = first; i <= last; i++)
			runs_pull(runs, i, size);
	}
}

int runs_init(struct runs *runs, uint64_t slots)
{
	runs->words = (slots + RUNS_WORD - 1) / RUNS_WORD;
	for (runs->leaves = 1; runs->leaves < runs->words;)
		runs->leaves *= 2;
	runs->used = mmap(NULL, runs_bytes(runs), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (runs->used == MAP_FAILED)
		return -errno;
	runs->node = (struct runs_node *)(runs->used + runs->words);
	if (slots % RUNS_WORD)
		runs->used[runs->words - 1] = UINT64_MAX << (slots % RUNS_WORD);
	runs_pull_all(runs, runs->words - 1, runs->words - 1);
	return 0;
}

void runs_destroy(struct runs *runs)
{
	munmap(runs->used, runs_bytes(runs));
}

uint64_t runs_find(const struct runs *runs, uint64_t count)
{
	uint64_t size = runs->leaves * RUNS_WORD, i = 1, start = 0, free;

	if (count == 0 || runs_part(runs, 1, size).best < count)
		return RUNS_NONE;
	while (i < runs->leaves) {
		struct runs_part left = runs_part(runs, 2 * i, size / 2);

		size /= 2;
		i *= 2;
		if (left.best >= count)
			continue;
		if (left.tail + runs_part(runs, i + 1, size).head >= count)
			return start + size - left.tail;
		i++;
		start += size;
	}
	free = ~runs->used[i - runs->leaves];
	while (--count)
		free &= free >> 1;
	return start + (uint64_t)__builtin_ctzll(free);
}

void runs_set(struct runs *runs, uint64_t first, uint64_t count, bool used)
{
	uint64_t end = first + count, slot = first;

	while (slot < end) {
		uint64_t bit = slot % RUNS_WORD, left = end - slot, n = RUNS_WORD - bit;
		uint64_t mask;

		n = n < left ? n : left;
		mask = UINT64_MAX >> (RUNS_WORD - n) << bit;
		if (used)
			runs->used[slot / RUNS_WORD] |= mask;
		else
			runs->used[slot / RUNS_WORD] &= ~mask;
		slot += n;
	}
	runs_pull_all(runs, first / RUNS_WORD, (end - 1) / RUNS_WORD);
}
