/* SPDX-License-Identifier: MIT */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

#include "page.h"

/* One screen from two samples: what changed between them, what is now, and what it may mean. On a
 * terminal in place of the one before. */
void screen_show(const struct mapcache_published *page, const struct sample *before,
		 const struct sample *now, FILE *file, bool terminal);

#endif
