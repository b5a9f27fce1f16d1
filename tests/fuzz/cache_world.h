/* SPDX-License-Identifier: MIT */
/*
 * A cache under any sequence of calls: what is open, what sections and pins show, and what the
 * answers may be (cache_held.c), and the calls (cache_calls.c, cache_pins.c).
 */
#ifndef TESTS_FUZZ_CACHE_WORLD_H
#define TESTS_FUZZ_CACHE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "cache_model.h"
#include "input.h"

#define CLIENTS 2u
#define HELD_MAX 12u
#define HELD_PAGES 6u
#define RW (PROT_READ | PROT_WRITE)
#define GUEST_LIMIT (MODEL_PAGES * MODEL_PAGE * 64)

/* Pages that a section or a pin shows, from one pointer on. */
struct held {
	char *pointer; /* NULL: none */
	uint64_t gpa;
	size_t len;
	uint64_t first_page;
	uint64_t name[HELD_PAGES]; /* of those pages whose name it covers; 0: not covered */
	unsigned int slots;        /* of address space that a pin keeps */
	bool write;
	enum { HELD_SHARED, HELD_CONTIGUOUS, HELD_OWN } kind; /* across buckets; its own */
};

struct world {
	struct model model;
	struct mapcache *cache;
	struct mapcache_client *client[CLIENTS];
	struct mapcache_client *own;          /* which of them is the thread's own; or NULL */
	unsigned int depth[CLIENTS];          /* of open sections */
	struct held shown[CLIENTS][HELD_MAX]; /* in them */
	struct held pinned[HELD_MAX];
	unsigned int looks; /* while any section was open: what they may keep from others */
	bool pins;          /* were tried meanwhile: a client's own slot goes with its pin */
	uint64_t shift, slots, epoch;
	bool fault; /* the next map call may fail with EIO */
	bool logging;
};

/* ---- cache_held.c --------------------------------------------------------------------------- */

/* A pointer that was just handed out (fresh: and may show only what the model allows). */
struct held hold(struct world *w, char *pointer, uint64_t gpa, size_t len, bool fresh);
void check_held(const struct held *held);
/* Where the name of the held range's nth page stands, or NULL. */
char *name_of(const struct held *held, unsigned int n);
uint64_t word_at(const char *pointer);
void check_all(struct world *w);
/* What may be written can be, at either end; it stays what it is. */
void touch(char *pointer, size_t len);
bool any_pin(const struct world *w);
/* Slots that sections and pins may keep, and those that eviction keeps free, leave fewer. */
bool may_be_full(const struct world *w, uint64_t wanted);
/* An error of a look-up of these bytes, which wants so many slots. */
void check_refused(const struct world *w, uint64_t gpa, size_t len, bool write, int error,
		   uint64_t slots);
void check_served(const struct world *w, uint64_t gpa, size_t len, bool write);
/* Look-ups are about to be made that may take so many slots; looked: they are over. */
void note_looks(struct world *w, unsigned int slots);
void looked(struct world *w);
/* A pin is about to be taken. */
void note_pin(struct world *w);
uint64_t rest_of_bucket(const struct world *w, uint64_t gpa);

/* ---- cache_calls.c, cache_pins.c ------------------------------------------------------------ */

uint64_t take_gpa(struct input *input);
size_t take_len(struct input *input);
void section(struct world *w, unsigned int c, bool begin);
void look(struct world *w, struct input *input, unsigned int c);
void read_bytes(struct world *w, struct input *input, unsigned int c);
void write_word(struct world *w, struct input *input, unsigned int c);
void invalidate(struct world *w);
void invalidate_range(struct world *w, struct input *input);
void drain(struct world *w, unsigned int flags);
void log_modified(struct world *w, bool on);
void report(struct world *w, struct input *input, unsigned int c);
void pin(struct world *w, struct input *input, unsigned int c);
void pin_contiguous(struct world *w, struct input *input, unsigned int c);
void pin_in_segments(struct world *w, struct input *input, unsigned int c);
void pin_list(struct world *w, struct input *input, unsigned int c);
void relocate(struct world *w, struct input *input);

#endif
