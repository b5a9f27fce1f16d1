/* SPDX-License-Identifier: MIT */
#ifndef MAPCACHE_WATCH_H
#define MAPCACHE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct mapcache;

/* After a scan that a section has stopped: note which sections are open, and tell of one that is
 * for long. No lock is held. */
void watch_sections(struct mapcache *cache);
/* A client, to be shown. */
struct client_view {
	const void *client;
	int thread; /* the kernel's number of the one whose sections they are; 0: none yet */
	bool open;
	uint64_t epoch;   /* in which the section began */
	uint64_t open_ns; /* for how long at least it has held others back */
};

/* Of up to room clients, a struct client_view each; returns how many there are. */
uint64_t watch_clients(struct mapcache *cache, void *copies, uint64_t room);

#endif
