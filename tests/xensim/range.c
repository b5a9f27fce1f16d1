/* SPDX-License-Identifier: MIT */
/* Sets of address ranges: sorted, not overlapping, bounded as in Xen. */
#include <string.h>

#include "private.h"

/* Index of the first range that ends at or after start. */
static unsigned int position(const struct range_set *set, uint64_t start)
{
	unsigned int i = 0;

	while (i < set->count && set->range[i].end < start)
		i++;
	return i;
}

bool range_contains(const struct range_set *set, uint64_t start, uint64_t end)
{
	unsigned int i = position(set, start);

	return i < set->count && set->range[i].start <= start && end <= set->range[i].end;
}

static void insert(struct range_set *set, unsigned int i, uint64_t start, uint64_t end)
{
	memmove(&set->range[i + 1], &set->range[i], (set->count - i) * sizeof(set->range[0]));
	set->range[i] = (struct io_range){ start, end };
	set->count++;
}

static void erase(struct range_set *set, unsigned int i)
{
	set->count--;
	memmove(&set->range[i], &set->range[i + 1], (set->count - i) * sizeof(set->range[0]));
}

int range_add(struct range_set *set, uint64_t start, uint64_t end)
{
	unsigned int i = position(set, start);

	if (start > end)
		return -EINVAL;
	if (i < set->count && set->range[i].start <= end)
		return -EEXIST;
	if (set->count == RANGES_MAX)
		return -ENOSPC;
	insert(set, i, start, end);
	/* Neighbours become one range: an access may reach across. */
	if (i + 1 < set->count && end + 1 == set->range[i + 1].start) {
		set->range[i].end = set->range[i + 1].end;
		erase(set, i + 1);
	}
	if (i && set->range[i - 1].end + 1 == start) {
		set->range[i - 1].end = set->range[i].end;
		erase(set, i);
	}
	return 0;
}

int range_remove(struct range_set *set, uint64_t start, uint64_t end)
{
	unsigned int i = position(set, start);
	struct io_range whole;

	if (start > end)
		return -EINVAL;
	if (!range_contains(set, start, end))
		return -ENOENT;
	whole = set->range[i];
	if (whole.start < start && end < whole.end && set->count == RANGES_MAX)
		return -ENOSPC;
	erase(set, i);
	if (end < whole.end)
		insert(set, i, end + 1, whole.end);
	if (whole.start < start)
		insert(set, i, whole.start, start - 1);
	return 0;
}
