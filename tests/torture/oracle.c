/* SPDX-License-Identifier: MIT */
/*
 * The oracle. The guest's side counts generations up only after the hypercall that took a page
 * away has returned, and with it every answer to INVALIDATE; so a look-up that begins after
 * that and shows an older generation, or another page, is stale (A).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

#define GENERATION UINT64_C(0xffffffff)
#define HOT_PAGES 96u

void pause_us(uint64_t us)
{
	struct timespec time = { .tv_sec = (time_t)(us / 1000000),
				 .tv_nsec = (long)(us % 1000000) * 1000 };

	nanosleep(&time, NULL);
}

uint64_t any_page(uint64_t *random)
{
	if (one_in(random, 4))
		return random_below(random, RAM_PAGES);
	return (random_below(random, HOT_PAGES) * 37 + 5) % RAM_PAGES;
}

void must_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", file, line, condition, errno);
	abort();
}

void fail(struct witness *witness, uint64_t page, const char *what, uint64_t expected,
	  uint64_t found)
{
	struct device *device = witness->device;
	struct domain *domain = witness->domain;
	uint64_t inside = 0;
	int state = xensim_guest_read(domain->guest, stamp_gpa(page), &inside, sizeof(inside));

	fprintf(stderr,
		"FAILED: %s\n"
		"  while      %s\n"
		"  page       %#llx, expected %#llx, found %#llx\n"
		"  now        floor %#llx, strict %#llx, the guest reads %#llx (%d)\n"
		"  round      %llu, seed %llu\n"
		"  domain %u   drain %d, pace %u us\n"
		"  cache %u    bucket shift %u, flags %#x, max_bytes %#llx, tight %d, visitor %d\n",
		what, witness->doing, (unsigned long long)page, (unsigned long long)expected,
		(unsigned long long)found, (unsigned long long)page_floor(domain, page),
		(unsigned long long)domain->page[page].strict, (unsigned long long)inside, state,
		(unsigned long long)domain->round->number, (unsigned long long)domain->round->seed,
		domain->number, domain->drain, domain->pace_us, device->number,
		device->options.bucket_shift, device->options.flags,
		(unsigned long long)device->options.max_bytes, device->tight, device->visitor);
	abort();
}

/* ---- the changer's side ----------------------------------------------------------------- */

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void page_change(struct domain *domain, uint64_t page)
{
	uint64_t *floor = &domain->page[page].floor;

	/* Before the page changes: sequentially consistent, so that no effect of the change is
	 * seen by somebody who then still finds it settled. */
	__atomic_store_n(floor, load(floor) & ~PAGE_SETTLED, __ATOMIC_SEQ_CST);
}

void page_replaced(struct domain *domain, uint64_t page, bool drained)
{
	struct page *it = &domain->page[page];
	uint64_t floor = (load(&it->floor) & ~PAGE_SETTLED) + 2;

	__atomic_store_n(&it->answered_ns[(floor >> 1) % 4], clock_now(), __ATOMIC_RELAXED);
	if (drained)
		store(&it->strict, floor);
	store(&it->floor, floor);
}

static uint64_t stamp(const struct domain *domain, uint64_t page, uint64_t generation)
{
	return (uint64_t)(domain->number + 1) << 56 | page << 32 | (generation & GENERATION);
}

uint64_t page_next_stamp(struct domain *domain, uint64_t page)
{
	return stamp(domain, page, load(&domain->page[page].floor) >> 1);
}

void page_settle(struct domain *domain, uint64_t page)
{
	uint64_t *floor = &domain->page[page].floor;

	store(floor, load(floor) | PAGE_SETTLED);
}

/* ---- the accessor's side ---------------------------------------------------------------- */

uint64_t page_floor(struct domain *domain, uint64_t page)
{
	return load(&domain->page[page].floor);
}

bool page_untouched(struct domain *domain, uint64_t page, uint64_t floor)
{
	/* What was read or written through a mapping comes before this look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return (floor & PAGE_SETTLED) && load(&domain->page[page].floor) == floor;
}

/* 0 is what a page that has just come holds. */
static void judge_identity(struct witness *witness, uint64_t page, uint64_t value)
{
	uint64_t own = stamp(witness->domain, page, 0);

	if (value && (value & ~GENERATION) != own)
		fail(witness, page, "the contents of another page", own, value);
}

/* Nobody has stamped this page yet: 0. */
static uint64_t stamped(uint64_t value)
{
	return value == XENSIM_NEW_WORD ? 0 : value;
}

void judge_value(struct witness *witness, uint64_t page, uint64_t floor, uint64_t value)
{
	uint64_t after;

	witness->checked++;
	value = stamped(value);
	judge_identity(witness, page, value);
	if (value && (value & GENERATION) < (floor >> 1))
		fail(witness, page, "stale: a look-up after the answer shows an old page", floor,
		     value);
	if (!value && page_untouched(witness->domain, page, floor))
		fail(witness, page, "a page that nobody touched has lost its contents", floor, 0);
	after = page_floor(witness->domain, page);
	if ((value & GENERATION) > (after >> 1) + !(after & PAGE_SETTLED))
		fail(witness, page, "a generation that has not been yet", after, value);
}

void judge_error(struct witness *witness, uint64_t page, uint64_t floor, int error, bool write)
{
	const struct device *device = witness->device;
	bool touched = !page_untouched(witness->domain, page, floor);
	bool fine = false;

	if (error == EFAULT)
		fine = touched;
	else if (error == EACCES)
		fine = touched && write;
	else if (error == EIO)
		fine = device->domain->round->faults;
	else if (error == EAGAIN)
		fine = true; /* sections that last hold what is stale */
	else if (error == ENOMEM)
		fine = device->tight || device->options.bucket_shift >= 20; /* pins */
	if (!fine)
		fail(witness, page, "refused", 0, (uint64_t)error);
	witness->checked++;
	witness->refused++;
}

void judge_again(struct witness *witness, uint64_t page, uint64_t first, uint64_t value,
		 uint64_t strict, bool pinned)
{
	const struct page *it = &witness->domain->page[page];
	uint64_t generation, answered;

	witness->checked++;
	first = stamped(first);
	value = stamped(value);
	generation = value & GENERATION;
	judge_identity(witness, page, value);
	if (first && value < first)
		fail(witness, page, "a pointer in use shows another page than at first", first,
		     value);
	if (value && generation < (strict >> 1))
		fail(witness, page, "drained, but an old page is still in use", strict, value);
	if (!value || generation >= page_floor(witness->domain, page) >> 1)
		return;
	witness->late_pins += pinned;
	answered = __atomic_load_n(&it->answered_ns[(generation + 1) % 4], __ATOMIC_RELAXED);
	if (answered && !pinned)
		histogram_record(&witness->late, clock_now() - answered);
}

void judge_write(struct witness *witness, uint64_t page, uint64_t floor, uint64_t gpa,
		 uint64_t value)
{
	uint64_t found;
	int error = xensim_guest_read(witness->domain->guest, gpa, &found, sizeof(found));

	/* Nothing can be said about a page that was being changed. */
	if (!page_untouched(witness->domain, page, floor))
		return;
	witness->checked++;
	if (error || found != value)
		fail(witness, page, "a write is lost", value, found);
}
