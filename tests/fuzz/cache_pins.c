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

/* All of it or nothing, in slots of its own where it must be. */
void pin_contiguous(struct world *w, struct input *input, unsigned int c)
{
	struct held *held = &w->pinned[take(input, 1) % HELD_MAX];
	uint64_t gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE), slots, needed;
	size_t wanted = take_len(input), len = wanted;
	unsigned int how = (unsigned int)take(input, 1);
	unsigned int flags = how & 2 ? MAPCACHE_PIN_OWN : MAPCACHE_PIN_CONTIGUOUS;
	bool write = how & 1;
	void *pointer;

	if (held->pointer || wanted == 0)
		return;
	slots = ((gpa + len - 1) >> w->shift) - (gpa >> w->shift) + 1;
	/* What was evicted for it is still held by a section that is open. */
	needed = w->depth[0] || w->depth[1] ? w->slots : slots;
	note_looks(w, (unsigned int)slots);
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
}

void pin_segments(struct world *w, struct input *input, unsigned int c)
{
	struct iovec iov[6];
	uint64_t gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE), at = gpa;
	size_t len = take_len(input);
	int room = (int)(take(input, 1) % 7), count;

	note_looks(w, 1);
	w->looks += (unsigned int)(len / MODEL_PAGE) * 3;
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
		for (int i = 0; i < count; i++)
			must(!mapcache_unpin(w->cache, iov[i].iov_base, 0));
	} else if (count != -EMSGSIZE) {
		check_refused(w, gpa, len, false, -count, 1);
	}
	looked(w);
}
