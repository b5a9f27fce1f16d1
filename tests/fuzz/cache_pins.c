/* SPDX-License-Identifier: MIT */
/* Pins: of one bucket, of a range in one piece, of a range in segments. */
#include "cache_world.h"

#include <errno.h>

static void unpin(struct world *w, struct held *held, unsigned int how)
{
	void *inside = held->pointer + (how >> 4) * held->len / 16;
	uint64_t gpa = 0;

	check_held(held);
	must(!mapcache_gpa(w->cache, inside, &gpa));
	must(gpa == held->gpa + (uint64_t)((char *)inside - held->pointer));
	must(!(how & 4 ? mapcache_unpin(w->cache, inside, 0)
		       : mapcache_client_unpin(w->client[how % CLIENTS], inside, 0)));
	held->pointer = NULL;
}

void pin(struct world *w, struct input *input, unsigned int c)
{
	struct held *held = &w->pinned[take(input, 1) % HELD_MAX];
	uint64_t gpa = take_gpa(input), part;
	size_t wanted = take_len(input), len = wanted;
	unsigned int how = (unsigned int)take(input, 1);
	bool write = how & 1;
	void *pointer;

	if (held->pointer) {
		unpin(w, held, how);
		return;
	}
	note_looks(w, 1);
	note_pin(w);
	pointer = mapcache_pin(w->client[c], gpa, &len, write ? RW : PROT_READ, 0);
	if (wanted == 0 || gpa >= GUEST_LIMIT) {
		must(!pointer && (errno == EINVAL || errno == ERANGE));
		return;
	}
	part = rest_of_bucket(w, gpa);
	part = part < wanted ? part : wanted;
	if (!pointer) {
		uint64_t page = MODEL_PAGE - gpa % MODEL_PAGE;

		/* The first page alone would have done. */
		check_refused(w, gpa, page < part ? page : part, write, errno, 1);
		return;
	}
	must(len == part || len == MODEL_PAGE - gpa % MODEL_PAGE);
	check_served(w, gpa, len, write);
	if (write)
		touch(pointer, len);
	*held = hold(w, pointer, gpa, len, true);
}

/* Nothing else is in the pages of a pin of its own. */
static void check_apart(const struct world *w, const struct held *held)
{
	uintptr_t start = (uintptr_t)held->pointer & -MODEL_PAGE;
	uintptr_t end = (uintptr_t)held->pointer + held->len;

	for (unsigned int i = 0; i < HELD_MAX; i++) {
		const struct held *other = &w->pinned[i];
		uintptr_t at = (uintptr_t)other->pointer;

		if (other == held || !other->pointer ||
		    (held->kind != HELD_OWN && other->kind != HELD_OWN))
			continue;
		must(at >= end || (at + other->len - 1) / MODEL_PAGE * MODEL_PAGE < start);
	}
}

/* All of it or nothing, in slots of its own where it must be. */
void pin_contiguous(struct world *w, struct input *input, unsigned int c)
{
	struct held *held = &w->pinned[take(input, 1) % HELD_MAX];
	uint64_t gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE), slots, needed;
	size_t wanted = take_len(input), len = wanted;
	unsigned int how = (unsigned int)take(input, 1);
	unsigned int flags = how & 2 ? MAPCACHE_PIN_OWN_MAPPING : MAPCACHE_PIN_CONTIGUOUS;
	bool write = how & 1;
	void *pointer;

	if (held->pointer || wanted == 0)
		return;
	slots = ((gpa + len - 1) >> w->shift) - (gpa >> w->shift) + 1;
	/* What was evicted for it is still held by a section that is open. */
	needed = w->depth[0] || w->depth[1] ? w->slots : slots;
	note_looks(w, (unsigned int)slots);
	note_pin(w);
	pointer = mapcache_pin(w->client[c], gpa, &len, write ? RW : PROT_READ, flags);
	if (!pointer) {
		check_refused(w, gpa, len, write, errno, needed);
		return;
	}
	must(len == wanted);
	check_served(w, gpa, len, write);
	if (write)
		touch(pointer, len);
	*held = hold(w, pointer, gpa, len, true);
	held->slots = (unsigned int)slots;
	held->write = write;
	if (flags == MAPCACHE_PIN_OWN_MAPPING)
		held->kind = HELD_OWN;
	else
		held->kind = slots > 1 ? HELD_CONTIGUOUS : HELD_SHARED;
	check_apart(w, held);
}

/* The ranges of a request; its segments are as of the ranges one by one. */
static void check_list(struct world *w, const struct mapcache_range *ranges,
		       const struct iovec *iov, int count, bool write)
{
	uint64_t left = ranges->len, at = ranges->gpa;

	for (int i = 0; i < count; i++) {
		uint64_t gpa = 0;

		must(!mapcache_gpa(w->cache, iov[i].iov_base, &gpa));
		must(gpa == at && iov[i].iov_len <= left);
		check_served(w, at, iov[i].iov_len, write);
		(void)hold(w, iov[i].iov_base, at, iov[i].iov_len, true);
		if (write)
			touch(iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
		left -= iov[i].iov_len;
		if (!left && i + 1 < count) {
			ranges++;
			left = ranges->len;
			at = ranges->gpa;
		}
	}
	must(!left);
}

void pin_list(struct world *w, struct input *input, unsigned int c)
{
	unsigned int how = (unsigned int)take(input, 1);
	int ranges = 1 + (int)(how & 3), room = (int)(how >> 2 & 15), count, error;
	bool write = how & 0x40, empty = false, excused = false;
	struct mapcache_range range[4];
	struct iovec iov[16];

	for (int i = 0; i < ranges; i++) {
		range[i].gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE);
		range[i].len = take_len(input);
		empty |= !range[i].len;
		for (uint64_t page = range[i].gpa / MODEL_PAGE;
		     range[i].len && page <= (range[i].gpa + range[i].len - 1) / MODEL_PAGE; page++)
			excused |= model_may_fail(&w->model, page, write);
		note_looks(w, 2 + (unsigned int)(range[i].len / MODEL_PAGE));
	}
	note_pin(w);
	count = mapcache_pin_sgl(w->client[c], range, ranges, write ? RW : PROT_READ, iov, room);
	error = -count;
	if (count > 0) {
		must(!empty);
		check_list(w, range, iov, count, write);
		must(!mapcache_unpin_iov(w->cache, iov, count, 0));
	} else if (error == EFAULT || error == EACCES) {
		must(excused);
	} else if (error == ENOMEM || error == EAGAIN) {
		must(may_be_full(w, 4 + (uint64_t)ranges) || w->fault);
	} else {
		must(error == EMSGSIZE || (error == EINVAL && empty) || (error == EIO && w->fault));
	}
	looked(w);
}

/* ---- relocation ----------------------------------------------------------------------------- */

struct move {
	uint64_t old, new, pages;
};

/* Whether one that is not all inside the range may be in the way. */
static bool in_the_way(const struct world *w, const struct move *move)
{
	for (unsigned int i = 0; i < HELD_MAX; i++) {
		const struct held *held = &w->pinned[i];
		uint64_t first = held->first_page, last = (held->gpa + held->len - 1) / MODEL_PAGE;

		if (!held->pointer || held->kind == HELD_SHARED)
			continue;
		/* What a shared one is a part of is not known: a longer pin may have made it. */
		if (held->kind == HELD_CONTIGUOUS) {
			first = first < HELD_PAGES ? 0 : first - HELD_PAGES;
			last += HELD_PAGES;
		}
		if (last < move->old || first >= move->old + move->pages)
			continue;
		if (held->kind == HELD_CONTIGUOUS || first < move->old ||
		    last >= move->old + move->pages)
			return true;
	}
	return false;
}

static bool is_inside(const struct held *held, const struct move *move)
{
	return held->first_page >= move->old &&
	       held->gpa + held->len <= (move->old + move->pages) * MODEL_PAGE;
}

static bool all_there(const struct world *w, const struct move *move)
{
	for (uint64_t page = move->new; page < move->new + move->pages; page++)
		if (model_may_fail(&w->model, page, true))
			return false;
	return true;
}

/* Its address is the same; what it shows is as fresh as by a look-up. */
static unsigned int follow(struct world *w, const struct move *move, struct held *held)
{
	uint64_t gpa = held->gpa - move->old * MODEL_PAGE + move->new *MODEL_PAGE, now = 0;
	struct held before = *held;

	must(!mapcache_gpa(w->cache, held->pointer, &now));
	if (now == held->gpa && held->kind != HELD_OWN && move->old != move->new)
		return 0;
	must(now == gpa);
	*held = hold(w, held->pointer, gpa, held->len, true);
	held->slots = before.slots;
	held->write = before.write;
	held->kind = before.kind;
	if (held->write)
		touch(held->pointer, held->len);
	return held->kind == HELD_OWN;
}

/* Shows what it did, or is as fresh as by a look-up, or its memory could not be had back. */
static void undone(struct world *w, const struct move *move)
{
	for (unsigned int i = 0; i < HELD_MAX && w->fault; i++) {
		struct held *held = &w->pinned[i];

		if (!held->pointer || held->kind == HELD_SHARED || !is_inside(held, move))
			continue;
		for (unsigned int n = 0; n < HELD_PAGES; n++) {
			uint64_t now = held->name[n] ? word_at(name_of(held, n)) : 0;

			must(now == held->name[n] || now == 0 ||
			     model_may_show(&w->model, held->first_page + n, now));
			held->name[n] = now;
		}
	}
}

void relocate(struct world *w, struct input *input)
{
	struct move move = { take(input, 1) % MODEL_PAGES, take(input, 1) % MODEL_PAGES,
			     1 + take(input, 1) % 8 };
	bool excused = in_the_way(w, &move) || !all_there(w, &move);
	unsigned int moved = 0;
	int done;

	done = mapcache_replace(w->cache, move.old * MODEL_PAGE, move.new *MODEL_PAGE,
				move.pages * MODEL_PAGE);
	if (w->depth[0] || w->depth[1]) {
		must(done == -EDEADLK);
		return;
	}
	if (done < 0) {
		must(excused || w->fault || done == -ENOMEM || done == -EAGAIN);
		undone(w, &move);
		return;
	}
	/* Look-ups of the old range map afresh. */
	model_invalidate(&w->model, move.old, move.old + move.pages - 1);
	for (unsigned int i = 0; i < HELD_MAX; i++) {
		struct held *held = &w->pinned[i];

		if (held->pointer && held->kind != HELD_SHARED && is_inside(held, &move))
			moved += follow(w, &move, held);
	}
	must((unsigned int)done >= moved);
}

void pin_in_segments(struct world *w, struct input *input, unsigned int c)
{
	struct iovec iov[6];
	uint64_t gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE), at = gpa;
	size_t len = take_len(input);
	int room = (int)(take(input, 1) % 7), count;

	note_looks(w, 1);
	w->looks += (unsigned int)(len / MODEL_PAGE) * 3;
	note_pin(w);
	count = mapcache_pin_iov(w->client[c], gpa, len, PROT_READ, iov, room);
	if (len == 0) {
		must(count == -EINVAL);
	} else if (count > 0) {
		for (int i = 0; i < count; i++) {
			check_served(w, at, iov[i].iov_len, false);
			(void)hold(w, iov[i].iov_base, at, iov[i].iov_len, true);
			at += iov[i].iov_len;
		}
		must(at == gpa + len);
		must(!mapcache_client_unpin_iov(w->client[c], iov, count, 0));
	} else if (count == -EMSGSIZE) {
		must(!room || (!iov[0].iov_base && iov[0].iov_len > (size_t)room));
	} else {
		check_refused(w, gpa, len, false, -count, 1);
	}
	looked(w);
}
