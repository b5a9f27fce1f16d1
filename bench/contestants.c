/* SPDX-License-Identifier: MIT */
/* The list of designs. */
#include "bench/contestant.h"

#include <string.h>

const struct contestant *const contestants[] = {
	&contestant_limit, &contestant_ours,  &contestant_striped, &contestant_qemu,
	&contestant_demu,  &contestant_eager, &contestant_raw,
};
const unsigned int contestants_count = sizeof(contestants) / sizeof(contestants[0]);

const struct contestant *contestant_find(const char *name)
{
	for (unsigned int i = 0; i < contestants_count; i++)
		if (!strcmp(contestants[i]->name, name))
			return contestants[i];
	return NULL;
}
