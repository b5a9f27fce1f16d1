/* SPDX-License-Identifier: MIT */
#ifndef MAPCACHE_LIST_H
#define MAPCACHE_LIST_H

/* Its assertions would abort the process (H). */
#define NDEBUG
#include <utlist.h>

#endif
