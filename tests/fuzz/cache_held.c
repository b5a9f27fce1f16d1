/* SPDX-License-Identifier: MIT */
/* What is held, and what may be the answer. */
#include "cache_world.h"

#include <errno.h>
#include <string.h>

uint64_t word_at(const char *pointer)
{
	uint64_t value;

	memcpy(&value, pointer, sizeof(value));
	return value;
}

char *name_of(const struct held *held, unsigned int n)
{
	uint64_t gpa = (held->first_page + n) * MODEL_PAGE + MODEL_NAME;

	if (n >= HELD_PAGES || gpa < held->gpa || gpa + 8 > held->gpa + held->len)
		return NULL;
	return held->pointer + (gpa - held->gpa);
}

struct held hold(struct world *w, char *pointer, uint64_t gpa, size_t len, bool fresh)
{
	struct held held = { .pointer = pointer,
			     .gpa = gpa,
			     .len = len,
			     .first_page = gpa / MODEL_PAGE,
			     .slots = 1 };

	for (unsigned int n = 0; n < HELD_PAGES; n++) {
		const char *name = name_of(&held, n);

		held.name[n] = name ? word_at(name) : 0;
		if (name && fresh)
			must(model_may_show(&w->model, held.first_page + n, held.name[n]));
	}
	return held;
}

void touch(char *pointer, size_t len)
{
	volatile char *first = pointer, *last = pointer + len - 1;

	*first = *first;
	*last = *last;
}

void check_held(const struct held *held)
{
	if (!held->pointer)
		return;
	for (unsigned int n = 0; n < HELD_PAGES; n++)
		if (held->name[n])
			must(word_at(name_of(held, n)) == held->name[n]);
}

void check_all(struct world *w)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	for (unsigned int i = 0; i < HELD_MAX; i++) {
		check_held(&w->pinned[i]);
		for (unsigned int c = 0; c < CLIENTS; c++)
			check_held(&w->shown[c][i]);
	}
	must(mapcache_epoch(w->cache) == w->epoch);
	must(!mapcache_stats(w->cache, &stats));
	must(stats.slots_used <= w->slots && stats.clients == CLIENTS);
	must(stats.stale_bytes <= stats.mapped_bytes);
}

static uint64_t slots_pinned(const struct world *w)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < HELD_MAX; i++)
		count += w->pinned[i].pointer ? w->pinned[i].slots : 0;
	return count;
}

bool any_pin(const struct world *w)
{
	return slots_pinned(w) != 0;
}

bool may_be_full(const struct world *w, uint64_t wanted)
{
	uint64_t held = slots_pinned(w) + w->looks, reserve = w->slots / 8 + 1;

	/* What goes while a section is open is held by it; free are those kept for that. */
	if (w->looks > reserve)
		return true;
	/* Neighbours may be hard to find between what is held. */
	if (wanted > 1 && held)
		return true;
	return held + 2 * reserve + wanted >= w->slots;
}

void check_refused(const struct world *w, uint64_t gpa, size_t len, bool write, int error,
		   uint64_t slots)
{
	bool excused = false;

	for (uint64_t page = gpa / MODEL_PAGE; page <= (gpa + len - 1) / MODEL_PAGE; page++)
		excused |= model_may_fail(&w->model, page, write);
	switch (error) {
	case EFAULT:
	case EACCES:
		must(excused);
		break;
	case EAGAIN:
	case ENOMEM:
		must(may_be_full(w, slots) || w->fault);
		break;
	default:
		must(error == EIO && w->fault);
	}
}

void check_served(const struct world *w, uint64_t gpa, size_t len, bool write)
{
	for (uint64_t page = gpa / MODEL_PAGE; page <= (gpa + len - 1) / MODEL_PAGE; page++)
		must(model_may_succeed(&w->model, page, write));
}

void note_looks(struct world *w, unsigned int slots)
{
	/* One look-up may take a slot to map it, one for all of a dense bucket, one for reading
	 * only, and a spare one. */
	if (w->depth[0] || w->depth[1])
		w->looks += 4 * slots;
}

void looked(struct world *w)
{
	if (!w->depth[0] && !w->depth[1]) {
		w->looks = 0;
		w->pins = false;
	}
}

void note_pin(struct world *w)
{
	w->pins |= w->depth[0] || w->depth[1];
}

uint64_t rest_of_bucket(const struct world *w, uint64_t gpa)
{
	uint64_t bucket = UINT64_C(1) << w->shift;

	return bucket - (gpa & (bucket - 1));
}
