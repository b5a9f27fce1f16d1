/* SPDX-License-Identifier: MIT */
/*
 * With MAPCACHE_DEBUG: every pin that is held, by its pointer, and misuse that a hit cannot afford
 * to notice. There the table stays closed and sections begin and end by the slow path, so that
 * every call comes by here; a pin is counted with its slot, not with its client.
 */
#ifndef MAPCACHE_LEDGER_H
#define MAPCACHE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;
struct mapcache;
struct mapcache_client;

/* NULL: no memory. */
struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);

/* Caller: an address in the embedder's code. What memory is missing for is not noticed. */
void ledger_pin(struct mapcache_client *client, const void *pointer, size_t len,
		const void *caller);
/* Whether a pin that is held covers the pointer; if not, that is told. */
bool ledger_unpin(struct mapcache *cache, const void *pointer, const void *caller);
/* A look-up is asked for: tells what is wrong with it. */
void ledger_look_up(struct mapcache_client *client, uint64_t gpa, int prot, const void *caller);

/* A pin, to be shown. */
struct ledger_entry {
	struct ledger_entry *next;
	const char *pointer;
	size_t len;
	const void *caller;
	int thread;
};
/* Copies as many of these as there is room for; returns how many there are. */
uint64_t ledger_list(struct mapcache *cache, void *copies, uint64_t room);

#endif
