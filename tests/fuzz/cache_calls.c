/* SPDX-License-Identifier: MIT */
/* Calls on a cache, but for pins. */
#include "cache_world.h"

#include <errno.h>
#include <string.h>

uint64_t take_gpa(struct input *input)
{
	uint64_t page = take(input, 1), offset = take(input, 1);

	if (page >= 0xf8)
		return page == 0xff ? UINT64_MAX - offset : UINT64_C(1) << (32 + offset % 32);
	/* Often the beginning of a page, or just before its end. */
	offset = offset & 0x80 ? MODEL_PAGE - (offset & 0x7f) : offset & 0x40 ? offset & 0x3f : 0;
	return page % MODEL_PAGES * MODEL_PAGE + offset;
}

size_t take_len(struct input *input)
{
	uint64_t shape = take(input, 1);

	return shape & 0x80 ? (shape & 0x7f) * 128 : shape & 0x40 ? shape & 0x3f : 8;
}

void section(struct world *w, unsigned int c, bool begin)
{
	if (begin) {
		if (w->depth[c] < 3) {
			mapcache_begin(w->client[c]);
			w->depth[c]++;
		}
		return;
	}
	must(mapcache_end(w->client[c]) == (w->depth[c] ? 0 : -EINVAL));
	w->depth[c] -= w->depth[c] != 0;
	if (!w->depth[c])
		memset(w->shown[c], 0, sizeof(w->shown[c]));
	looked(w);
}

void look(struct world *w, struct input *input, unsigned int c)
{
	uint64_t gpa = take_gpa(input);
	size_t len = take_len(input);
	bool write = take(input, 1) & 1, own = !w->depth[c];
	char *pointer;
	int error;

	if (own)
		section(w, c, true);
	note_looks(w, 1);
	pointer = mapcache_ptr(w->client[c], gpa, len, write ? RW : PROT_READ);
	error = errno;
	if (len == 0) {
		must(!pointer && error == EINVAL);
	} else if (gpa + (len - 1) < gpa || gpa >= GUEST_LIMIT) {
		must(!pointer && error == ERANGE);
	} else if (len > rest_of_bucket(w, gpa)) {
		must(!pointer && error == E2BIG);
	} else if (!pointer) {
		check_refused(w, gpa, len, write, error, 1);
		/* The first look-up of a section has the client's own slot, if nothing else. */
		must(!own || any_pin(w) || w->pins || w->fault ||
		     (error != EAGAIN && error != ENOMEM));
	} else {
		check_served(w, gpa, len, write);
		if (write)
			touch(pointer, len);
		w->shown[c][take(input, 1) % HELD_MAX] = hold(w, pointer, gpa, len, true);
	}
	check_all(w);
	if (own)
		section(w, c, false);
}

void read_bytes(struct world *w, struct input *input, unsigned int c)
{
	static char buffer[127 * 128];
	uint64_t gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE);
	size_t len = take_len(input);
	ssize_t got;

	note_looks(w, 1);
	w->looks += 4 * (unsigned int)(len / MODEL_PAGE);
	got = mapcache_read(w->client[c], gpa, buffer, len);
	if (len == 0) {
		must(got == -EINVAL);
	} else if (got > 0) {
		must((size_t)got <= len);
		check_served(w, gpa, (size_t)got, false);
		(void)hold(w, buffer, gpa, (size_t)got, true);
	}
	/* Where it ended there was a reason. */
	if (got < 0 && len)
		check_refused(w, gpa, 1, false, (int)-got, 1);
	else if ((size_t)got < len && !w->fault && !may_be_full(w, 1))
		check_refused(w, gpa + (size_t)got, 1, false, EFAULT, 1);
	looked(w);
}

/* A word of the present page must reach the guest unless the cache may show an older one. */
void write_word(struct world *w, struct input *input, unsigned int c)
{
	uint64_t page = take(input, 1) % MODEL_PAGES, gpa = page * MODEL_PAGE + MODEL_WORD;
	uint64_t value = take(input, 2), found;
	const struct model_page *it = &w->model.page[page];
	ssize_t done;

	note_looks(w, 1);
	xensim_dirty_clear(w->model.domain);
	done = mapcache_write(w->client[c], gpa, &value, sizeof(value));
	if (done < 0) {
		check_refused(w, gpa, 8, true, (int)-done, 1);
		return;
	}
	must(done == sizeof(value));
	check_served(w, gpa, 8, true);
	if (it->past_count != 1 || it->hole)
		return;
	must(!xensim_guest_read(w->model.domain, gpa, &found, sizeof(found)));
	must(found == value);
	/* In a section it is reported at the end. */
	if (w->logging && !w->depth[c])
		must(xensim_dirty(w->model.domain, page));
}

void invalidate(struct world *w)
{
	w->epoch = mapcache_invalidate(w->cache);
	model_invalidate(&w->model, 0, MODEL_PAGES - 1);
}

void invalidate_range(struct world *w, struct input *input)
{
	uint64_t gpa = take_gpa(input), len = take_len(input), bucket = UINT64_C(1) << w->shift;
	int error = mapcache_invalidate_range(w->cache, gpa, len);

	if (len == 0) {
		must(error == -EINVAL);
	} else if (gpa + (len - 1) < gpa) {
		must(error == -ERANGE);
	} else {
		must(error == 0);
		model_invalidate(&w->model, (gpa & ~(bucket - 1)) / MODEL_PAGE,
				 ((gpa + len - 1) | (bucket - 1)) / MODEL_PAGE);
	}
}

void drain(struct world *w, unsigned int flags)
{
	int error = mapcache_drain(w->cache, w->epoch, 0, flags & 1 ? MAPCACHE_DRAIN_PINS : 0);

	if (w->depth[0] || w->depth[1])
		must(error == -EDEADLK);
	else
		must(error == 0 || (error == -ETIMEDOUT && flags & 1 && any_pin(w)));
	must(mapcache_drain(w->cache, w->epoch + 1, 0, 0) == -EINVAL);
}

/* Through a pin that stays; or all pins. */
void report(struct world *w, struct input *input, unsigned int c)
{
	const struct held *held = &w->pinned[take(input, 1) % HELD_MAX];
	size_t len = take_len(input);
	int error;

	must(!mapcache_modified_pins(w->cache));
	if (!held->pointer) {
		must(mapcache_modified(w->client[c], &error, len) == -EINVAL);
		return;
	}
	len = len < held->len ? len : held->len;
	xensim_dirty_clear(w->model.domain);
	must(!mapcache_modified(w->client[c], held->pointer, len));
	if (!w->logging || w->depth[c] || !len)
		return;
	for (uint64_t page = held->gpa / MODEL_PAGE; page <= (held->gpa + len - 1) / MODEL_PAGE;
	     page++) {
		if (page < MODEL_PAGES && !w->model.page[page].hole)
			must(xensim_dirty(w->model.domain, page));
	}
}

void log_modified(struct world *w, bool on)
{
	int error = mapcache_dirty_log(w->cache, on);

	if (w->depth[0] || w->depth[1]) {
		must(error == -EDEADLK);
		return;
	}
	must(!error);
	w->logging = on;
}
