/* SPDX-License-Identifier: MIT */
/*
 * One kernel mapping that is there to be given up. Where a process has as many as it may, Linux
 * refuses even to map over one of them, and so nothing could be released any more (H).
 */
#ifndef BALLAST_H
#define BALLAST_H

#include <stdbool.h>

struct ballast {
	void *page; /* NULL: given up, or never to be had. Atomic */
};

/* Takes it, if it is missing and can be had. */
void ballast_take(struct ballast *ballast);
/* False: it was given up already. */
bool ballast_drop(struct ballast *ballast);

#endif
