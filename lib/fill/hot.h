/* SPDX-License-Identifier: MIT */
/*
 * Which granules are in use epoch after epoch, so that one call may map them together.
 *
 * A granule that a batch has mapped is hit, and a hit tells nothing. So each is left out of a
 * batch now and then: after 1, 3, 7 .. 127 epochs in which it proved to be in use, as many at a
 * time as cost a quarter of the batch. One that nobody asks for then, too often for what a call
 * costs, loses its place.
 *
 * No lock and no clock of its own: the caller's (batch.c).
 */
#ifndef MAPCACHE_HOT_H
#define MAPCACHE_HOT_H

#include <stdbool.h>
#include <stdint.h>

#define HOT_MAX 2048u
#define HOT_TRUST 1024u

struct hot {
	uint64_t granule;
	uint32_t asked;      /* low half of the epoch in which it was asked for last */
	uint8_t level, wait; /* how often it proved hot in a row; epochs until it is left out */
	uint8_t idle;        /* epochs in a row in which nobody asked for a newcomer */
	uint8_t part; /* of the last few epochs it was left out of it was asked for, of 255 */
	bool out;     /* of this epoch's batches */
	bool refused; /* could not be mapped so: it stays where it is */
};

struct hots {
	struct hot *all;   /* HOT_MAX */
	uint16_t *number;  /* by granule: 1 + its place in all; 0: it has none */
	uint64_t granules; /* that have a number */
	uint64_t epoch;    /* that all was made ready for */
	uint32_t count, turn, cursor;
	uint32_t newcomers; /* of those asked for once, how many are again at once, of HOT_TRUST */
};

/* What mapping takes, in the same unit: one more call, one more granule in a call. At least 1. */
struct hot_cost {
	uint64_t call, granule;
};

/* Somebody has asked for it, in vain, in this epoch. Whether it had been asked for lately, and could
 * be mapped with others. */
bool hot_ask(struct hots *hots, uint64_t granule, uint64_t epoch);
/* A new epoch: what is left out of its batches. */
void hot_begin(struct hots *hots, uint64_t epoch, const struct hot_cost *cost);
/* The next of those that are to be in a batch, so many at most; each is given once an epoch at most.
 * Returns how many. */
unsigned int hot_take(struct hots *hots, uint64_t *granule, unsigned int room);
/* It could not be mapped with others: not again. */
void hot_refuse(struct hots *hots, uint64_t granule);
/* It is mapped as part of something larger. */
void hot_forget(struct hots *hots, uint64_t granule);

#endif
