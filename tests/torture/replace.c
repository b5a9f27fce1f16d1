/* SPDX-License-Identifier: MIT */
/*
 * Placeholders, and what they are for: memory that is used before the guest has it where it will
 * be, and that is the guest's from then on, at the same address. Each worker has a place of its
 * own past the guest's memory, and so may compare what it finds there word by word.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "torture.h"

#define RW (PROT_READ | PROT_WRITE)
#define PLACES (UINT64_C(1) << 28)
#define PLACE_BYTES (UINT64_C(64) << 20)

struct place {
	struct worker *worker;
	uint64_t gpa, page, floor[RUN_PAGES];
	unsigned int pages;
	char *pointer;
};

/* At the same offset in a bucket as what will take its place, or at another one. */
static struct place choose(struct worker *worker)
{
	uint64_t *random = &worker->witness.random;
	struct place place = { .worker = worker };

	place.page = any_run(worker, place.floor);
	place.gpa = PLACES + worker->number * PLACE_BYTES + place.page * PAGE;
	if (one_in(random, 2))
		place.gpa += random_below(random, 64) * PAGE;
	place.pages = 1 + (unsigned int)random_below(&worker->witness.random, RUN_PAGES);
	return place;
}

static int replace(const struct place *place)
{
	return mapcache_replace(place->worker->witness.device->cache, place->gpa,
				place->page * PAGE, place->pages * PAGE);
}

/* What was written through the pin is what look-ups find there, whatever was invalidated. */
static void check_placeholder(const struct place *place)
{
	struct worker *worker = place->worker;
	uint64_t offset = random_below(&worker->witness.random, place->pages) * PAGE;
	uint64_t word = worker_word(worker), found = 0;
	ssize_t got;

	write_word(place->pointer + offset, word);
	if (one_in(&worker->witness.random, 2))
		mapcache_invalidate(worker->witness.device->cache);
	got = mapcache_read(worker->client, place->gpa + offset, &found, sizeof(found));
	worker->witness.checked++;
	if (got == sizeof(found) && found != word)
		fail(&worker->witness, place->page, "a placeholder lost its contents", word, found);
	if (got < 0)
		must(got == -EAGAIN || got == -ENOMEM ||
		     (got == -EIO && worker->witness.domain->round->faults));
}

/* The worker's word in every mailbox. Returns how many bytes from the pointer on were written. */
static size_t write_words(const struct place *place)
{
	struct worker *worker = place->worker;
	size_t written = 0;

	for (unsigned int i = 0; i < place->pages; i++) {
		uint64_t at = i * PAGE + 8 * (worker->number + 1), word = worker_word(worker);

		if (page_use(place->page + i) != PAGE_MAILBOX)
			continue;
		write_word(place->pointer + at, word);
		written = at + 8;
		judge_write(&worker->witness, place->page + i, place->floor[i],
			    place->page * PAGE + at, word);
	}
	return written;
}

/* It is the guest's memory now: as fresh as by a look-up that began with the call. */
static size_t check_replaced(const struct place *place)
{
	struct witness *witness = &place->worker->witness;

	for (unsigned int i = 0; i < place->pages; i++) {
		const char *stamp = place->pointer + i * PAGE + STAMP_OFFSET;
		uint64_t gpa = 0;

		judge_value(witness, place->page + i, place->floor[i], read_word(stamp));
		judge_told(witness, place->page + i, stamp);
		must(!mapcache_gpa(witness->device->cache, stamp, &gpa));
		must(gpa == stamp_gpa(place->page + i));
	}
	return write_words(place);
}

static void replace_pinned(struct place *place)
{
	struct worker *worker = place->worker;
	size_t written = 0;
	int done;

	worker->witness.doing = "using a placeholder";
	check_placeholder(place);
	for (unsigned int i = 0; i < place->pages; i++)
		place->floor[i] = page_floor(worker->witness.domain, place->page + i);
	worker->witness.doing = "replacing a placeholder";
	done = replace(place);
	if (done < 0) {
		judge_run_error(&worker->witness, place->page, place->floor, place->pages, -done);
		/* All is as it was; but an injected fault may also meet the way back. */
		if (!worker->witness.domain->round->faults)
			check_placeholder(place);
	} else {
		must(done == 1);
		written = check_replaced(place);
	}
	pin_release(worker, place->pointer, place->page, written);
}

void access_replace(struct worker *worker)
{
	struct mapcache *cache = worker->witness.device->cache;
	struct place place = choose(worker);
	size_t len = place.pages * PAGE;

	if (worker->witness.device->anywhere) {
		must(replace(&place) == -EOPNOTSUPP);
		must(mapcache_placeholder(cache, place.gpa, len) == -EOPNOTSUPP);
		return;
	}
	must(!mapcache_placeholder(cache, place.gpa, len));
	must(mapcache_placeholder(cache, place.gpa, PAGE) == -EEXIST);
	mapcache_begin(worker->client);
	must(replace(&place) == -EDEADLK);
	must(!mapcache_end(worker->client));
	place.pointer = mapcache_pin(worker->client, place.gpa, &len, RW, MAPCACHE_PIN_OWN_MAPPING);
	if (place.pointer)
		replace_pinned(&place);
	else
		must(errno == ENOMEM || errno == EAGAIN ||
		     (errno == EIO && worker->witness.domain->round->faults));
	/* Without a pin there is nothing to map, and the placeholder goes all the same. */
	must(!replace(&place));
	must(mapcache_read(worker->client, place.gpa, &len, 8) < 0);
}
