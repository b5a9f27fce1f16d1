/* SPDX-License-Identifier: MIT */
/*
 * What a cache may show, without any cache: for every page of a small guest which machine pages
 * were there since the last invalidation that covers it, and whether it was a hole, or could
 * only be read, meanwhile. A look-up must show one of those pages; it must fail only where one
 * of these states excuses it.
 */
#ifndef TESTS_FUZZ_CACHE_MODEL_H
#define TESTS_FUZZ_CACHE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tests/xensim/xensim.h>

#define MODEL_PAGES 96u /* of which so many are memory at first: */
#define MODEL_RAM 80u
#define MODEL_PAST 16u /* machine pages that a page remembers; more: it may show any */
#define MODEL_PAGE UINT64_C(4096)
/* In every page: its name, which never changes, and a word to be written. */
#define MODEL_NAME 0u
#define MODEL_WORD 8u

struct model_page {
	bool hole, read_only; /* now */
	bool changed;         /* since the reset */
	uint64_t name;        /* of the machine page now */
	/* Since the last invalidation: */
	bool was_hole, was_read_only, was_present, was_writable;
	uint64_t past[MODEL_PAST]; /* names; the present one is the last */
	unsigned int past_count;
};

struct model {
	struct xensim_domain *domain;
	struct model_page page[MODEL_PAGES];
	uint64_t names;
};

/* For a guest that was just made. */
void model_start(struct model *model, struct xensim_domain *domain);
/* Every page is memory again, or a hole past MODEL_RAM, and what was changed has a new
 * name. */
void model_reset(struct model *model);

/* Changes, the guest's included. Nobody is told. */
void model_remove(struct model *model, uint64_t page);
void model_replace(struct model *model, uint64_t page); /* also: comes into a hole */
void model_set_read_only(struct model *model, uint64_t page, bool read_only);

/* The pages from first to last, both included, are invalidated. */
void model_invalidate(struct model *model, uint64_t first, uint64_t last);

/* Whether a look-up of this page may fail / may succeed; past the guest it must fail. */
bool model_may_fail(const struct model *model, uint64_t page, bool write);
bool model_may_succeed(const struct model *model, uint64_t page, bool write);
/* Whether a look-up may show the machine page of this name. */
bool model_may_show(const struct model *model, uint64_t page, uint64_t name);

#endif
