/* SPDX-License-Identifier: MIT */
#ifndef SECTION_H
#define SECTION_H

#include "lib/protocol/epoch.h"

struct mapcache_client;

/* api/thread.c: the client is this thread's from now on; not MAPCACHE_NESTED_UNOWNED any more, if the
 * end of the thread will be noticed. Its own thread, outside of sections. */
void section_adopt(struct mapcache_client *client);
/* api/client.c: the section that used the client's spare slot is over. Its own thread. */
void client_give_spare(struct mapcache_client *client);
/* pins/dirty.c: report what the section that has just ended has written. */
void section_report(struct mapcache_client *client);

/* The end of this section has more to do than a store. Its own thread, inside one. */
static inline void section_special(struct mapcache_client_fast *fast)
{
	uint64_t section = mapcache_load_relaxed(&fast->section);

	/* Release: as in begin. Who scans sees the same stamp either way. */
	mapcache_store_release(&fast->section, section | MAPCACHE_SECTION_SPECIAL);
}

/* What the word of a client is while it is in no section. */
static inline uint64_t section_idle(const struct mapcache_client_fast *fast)
{
	bool slow = fast->nested & (MAPCACHE_NESTED_FENCED | MAPCACHE_NESTED_UNOWNED);

	return slow ? MAPCACHE_SECTION_SPECIAL : 0;
}

#endif
