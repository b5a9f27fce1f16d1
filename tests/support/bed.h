/* SPDX-License-Identifier: MIT */
/*
 * A rig for tests of the cache itself: two clients of the test's own thread, and pages that
 * tell which one they are. Everything here asserts with cmocka, on the test's thread only.
 */
#ifndef TESTS_SUPPORT_BED_H
#define TESTS_SUPPORT_BED_H

#include <tests/support/rig.h>
#include <tests/support/spy.h>

#define BED_PAGE UINT64_C(4096)
#define BED_BUCKET (UINT64_C(1) << RIG_BUCKET_SHIFT)

struct bed {
	struct rig rig;
	struct mapcache *cache;       /* the rig's */
	struct xensim_domain *domain; /* the rig's */
	struct mapcache_client *client, *other;
};

/* Without a reclaim thread, whose time is nobody's to foresee. */
#define BED_QUIET                                                                                  \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.cache.flags = MAPCACHE_NO_RECLAIM_THREAD                                          \
	}

/* The first word of every page of RAM holds bed_value() of its frame. A test that stands still
 * for two minutes is ended by a signal. options may be NULL. */
void bed_start(struct bed *bed, const struct rig_options *options);
/* The same on a backend that maps where it likes, which the spy sees. */
void bed_start_anywhere(struct bed *bed, struct spy *spy, struct mapcache_options cache);
/* Fails the test on anything leaked, and on any attempt to split a foreign mapping. A client
 * that the test has closed itself is NULL. */
void bed_stop(struct bed *bed);

uint64_t bed_value(uint64_t gfn);
/* From outside, and telling nobody: the frame gets another page, whose first word is value. */
void bed_exchange(struct bed *bed, uint64_t gfn, uint64_t value);
void bed_remove(struct bed *bed, uint64_t gfn);
void bed_populate(struct bed *bed, uint64_t gfn, uint64_t value);

/* In a section of its own: 0, or the errno of the look-up. */
int bed_error(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);
/* In a section of its own: the word at gpa. */
uint64_t bed_read(struct mapcache_client *client, uint64_t gpa);
void bed_write(struct mapcache_client *client, uint64_t gpa, uint64_t value);
/* The word that the guest sees at gpa. */
uint64_t bed_guest(struct bed *bed, uint64_t gpa);
/* A pointer in the section that is open. */
volatile uint64_t *bed_ptr(struct mapcache_client *client, uint64_t gpa, int prot);
volatile uint64_t *bed_pin(struct mapcache_client *client, uint64_t gpa);
/* A pin of all of the range in one piece. */
volatile uint64_t *bed_pin_range(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
				 unsigned int flags);
/* The word so many bytes on. */
static inline volatile uint64_t *bed_at(volatile uint64_t *base, uint64_t offset)
{
	return base + offset / sizeof(*base);
}

struct mapcache_stats bed_stats(struct bed *bed);
struct xensim_totals bed_totals(void);
/* Let reclaim finish its work: nothing stale is left but what is used. Returns what is. */
uint64_t bed_reclaim(struct bed *bed);

#endif
