/* SPDX-License-Identifier: MIT */
/* One fill on its way: plan.c decides how much, fill.c where, fill_map.c maps. */
#ifndef FILLING_H
#define FILLING_H

#include "lib/space/space.h"

/* fill(): somebody else was faster, look again. */
#define FILL_AGAIN 1

struct fill {
	struct mapcache *cache;
	struct mapcache_client *client;
	struct stripe *stripe;
	const struct request *request;
	struct mapping *mapping; /* busy, ours: what is being filled */
	uint64_t valid;          /* its granules that are whole, until they are published */
	bool read_only;          /* a page of the request has refused to be mapped for writing */
	bool calm;               /* there was no INVALIDATE for a while */
	bool room;               /* space_take() was called for the next map call */
	bool full;               /* there was none, or no slot */
	bool usable;             /* some page of it is mapped */
};

/*
 * Called with the stripe locked, returns with it unlocked. mapping: the bucket's own, not
 * busy, or NULL. read_only: map for reading only (a page refused to be mapped writable).
 * Returns 0 and the pointer, FILL_AGAIN, or -errno.
 */
int fill(struct mapcache_client *client, struct stripe *stripe, struct mapping *mapping,
	 const struct request *request, bool read_only, void **pointer);

struct run fill_all(const struct fill *fill);
/* The granules that the request asks for. */
struct run fill_asked(const struct fill *fill);

/* plan.c: how much to map */
/* Of a bucket in which nothing is current. */
struct run plan_bucket(const struct fill *fill);
/* Whether the calls of this epoch have cost as much as one for the whole bucket would. */
bool plan_becomes_whole(const struct fill *fill, const struct mapping *mapping);
/* Room for the next map call; -errno. */
int fill_take(struct fill *fill);
/* One map call of the backend's, with room for it. Returns how many pages are mapped, and adds the
 * granules of which every one is to *whole; or -errno, and nothing is of any use. No lock is held (G). */
int fill_call(struct mapcache_client *client, struct mapping *mapping, struct run run, int prot,
	      uint64_t *whole);
/* The same over a run that covers kernel mappings whole; -errno, also when a page of
 * the request could not be mapped. No lock is held (G). */
int fill_map(struct fill *fill, struct run run);
/* The same for each run of the request's granules that is not in current. */
int fill_missing(struct fill *fill, uint64_t current);

/* batch.c; batches lock held */
#define BATCH_LEAST 8u /* granules that one may always have */

/* Only who sees an INVALIDATE needs any of it. False: there is no memory for it, for good. */
bool batch_start(struct mapcache *cache);
/* The word of a slot's granule, by its place in the slot. */
uint64_t batch_word(const struct mapcache *cache, const struct mapping *mapping, unsigned int i);
/* Those made before the epoch, or showing any of the range, are shown no more. Whether there were. */
bool batch_hide_all(struct mapcache *cache, uint64_t epoch, uint64_t gpa, uint64_t len);

/* batch_map.c: no lock is held. Sets calm. The request's granules are mapped by one call together with
 * what else is in use, and *pointer is theirs; false: they are not. */
bool batch_serve(struct fill *fill, void **pointer);
/* A bucket that was mapped whole is no business of batches. */
void batch_forget(const struct fill *fill);

#endif
