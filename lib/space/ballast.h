/* SPDX-License-Identifier: MIT */
/*
 * Kernel mappings that are there to be given up. Where a process has as many as it may, Linux
 * refuses even to map over one of them, and so nothing could be released any more (H). Releasing
 * a part of the reservation takes two more for a moment: it is cut at both ends.
 */
#ifndef BALLAST_H
#define BALLAST_H

#include <stdbool.h>

#define BALLAST_PAGES 8
#define BALLAST_DROP 4 /* what one release may need, and one more */

struct ballast {
	void *page[BALLAST_PAGES]; /* NULL: given up, or not to be had. Atomic */
};

/* Takes what is missing. False: not all of it is to be had, the process is at its limit. */
bool ballast_take(struct ballast *ballast);
/* Gives up so many. False: all of it is given up already. */
bool ballast_drop(struct ballast *ballast, unsigned int pages);
/* Whether the process can have one more kernel mapping. */
bool ballast_room(void);

#endif
