/* SPDX-License-Identifier: MIT */
/* A hash of locked pointers. */
#include "ranges.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#define RANGES_HEADS 4096u

struct range {
	struct range *next;
	const void *pointer;
	size_t len;
	bool own;
};

static struct range *heads[RANGES_HEADS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct range **head_of(const void *pointer)
{
	uint64_t hash = (uintptr_t)pointer * UINT64_C(0x9e3779b97f4a7c15);

	return &heads[(hash >> 32) % RANGES_HEADS];
}

void ranges_add(const void *pointer, size_t len, bool own)
{
	struct range *range = malloc(sizeof(*range)), **head = head_of(pointer);

	if (!range)
		return;
	*range = (struct range){ .pointer = pointer, .len = len, .own = own };
	pthread_mutex_lock(&lock);
	range->next = *head;
	*head = range;
	pthread_mutex_unlock(&lock);
}

const void *ranges_find(bool (*match)(const void *pointer, const void *data), const void *data)
{
	const void *found = NULL;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < RANGES_HEADS && !found; i++) {
		for (struct range *range = heads[i]; range && !found; range = range->next)
			found = range->own && match(range->pointer, data) ? range->pointer : NULL;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* The shortest goes: what is left must cover what the others may still write. */
size_t ranges_take(const void *pointer)
{
	struct range **link = head_of(pointer), **shortest = NULL, *gone = NULL;
	size_t longest = SIZE_MAX;

	pthread_mutex_lock(&lock);
	for (; *link; link = &(*link)->next) {
		if ((*link)->pointer != pointer)
			continue;
		if (!shortest || (*link)->len > longest)
			longest = (*link)->len;
		if (!shortest || (*link)->len < (*shortest)->len)
			shortest = link;
	}
	if (shortest) {
		gone = *shortest;
		*shortest = gone->next;
	}
	pthread_mutex_unlock(&lock);
	free(gone);
	return longest;
}
