/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of calls on a cache, and of changes of the guest's memory beneath it, against a
 * plain model of what look-ups may show (cache_model.h). What a section or a pin has shown once
 * it must show until its end.
 *
 * short run: 4000
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "cache_model.h"
#include "input.h"

#define CLIENTS 2u
#define HELD_MAX 12u
#define RW (PROT_READ | PROT_WRITE)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Pages that a section or a pin shows, from one pointer on. */
struct held {
	char *pointer; /* NULL: none */
	uint64_t gpa;
	size_t len;
	uint64_t first_page;
	uint64_t name[4]; /* of those pages whose name it covers; 0: not covered */
};

struct world {
	struct model model;
	struct mapcache *cache;
	struct mapcache_client *client[CLIENTS];
	unsigned int depth[CLIENTS];          /* of open sections */
	struct held shown[CLIENTS][HELD_MAX]; /* in them */
	struct held pinned[HELD_MAX];
	unsigned int looks; /* while any section was open: what they may keep from others */
	uint64_t shift, slots, epoch;
	bool fault; /* the next map call may fail with EIO */
};

static struct world world;

/* ---- what is held --------------------------------------------------------------------------- */

static uint64_t word_at(const char *pointer)
{
	uint64_t value;

	memcpy(&value, pointer, sizeof(value));
	return value;
}

/* Where the name of the held range's nth page stands, or NULL. */
static char *name_of(const struct held *held, unsigned int n)
{
	uint64_t gpa = (held->first_page + n) * MODEL_PAGE + MODEL_NAME;

	if (n >= 4 || gpa < held->gpa || gpa + 8 > held->gpa + held->len)
		return NULL;
	return held->pointer + (gpa - held->gpa);
}

static struct held hold(struct world *w, char *pointer, uint64_t gpa, size_t len, bool fresh)
{
	struct held held = {
		.pointer = pointer, .gpa = gpa, .len = len, .first_page = gpa / MODEL_PAGE
	};

	for (unsigned int n = 0; n < 4; n++) {
		const char *name = name_of(&held, n);

		held.name[n] = name ? word_at(name) : 0;
		if (name && fresh)
			must(model_may_show(&w->model, held.first_page + n, held.name[n]));
	}
	return held;
}

/* What may be written can be, at either end; it stays what it is. */
static void touch(char *pointer, size_t len)
{
	volatile char *first = pointer, *last = pointer + len - 1;

	*first = *first;
	*last = *last;
}

static void check_held(const struct held *held)
{
	if (!held->pointer)
		return;
	for (unsigned int n = 0; n < 4; n++)
		if (held->name[n])
			must(word_at(name_of(held, n)) == held->name[n]);
}

static void check_all(struct world *w)
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

static unsigned int pins(const struct world *w)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < HELD_MAX; i++)
		count += w->pinned[i].pointer != NULL;
	return count;
}

/* ---- what may be the answer ------------------------------------------------------------------ */

/* Slots that sections and pins may keep, and those that eviction keeps free, leave too few. */
static bool may_be_full(const struct world *w)
{
	return pins(w) + w->looks + 2 * (w->slots / 8 + 1) + 1 >= w->slots;
}

/* An error of a look-up of the pages from first to last. */
static void check_refused(const struct world *w, uint64_t gpa, size_t len, bool write, int error)
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
		must(may_be_full(w) || w->fault);
		break;
	default:
		must(error == EIO && w->fault);
	}
}

static void check_served(const struct world *w, uint64_t gpa, size_t len, bool write)
{
	for (uint64_t page = gpa / MODEL_PAGE; page <= (gpa + len - 1) / MODEL_PAGE; page++)
		must(model_may_succeed(&w->model, page, write));
}

static uint64_t rest_of_bucket(const struct world *w, uint64_t gpa)
{
	uint64_t bucket = UINT64_C(1) << w->shift;

	return bucket - (gpa & (bucket - 1));
}

/* ---- operations ----------------------------------------------------------------------------- */

static uint64_t take_gpa(struct input *input)
{
	uint64_t page = take(input, 1), offset = take(input, 1);

	if (page >= 0xf8)
		return page == 0xff ? UINT64_MAX - offset : UINT64_C(1) << (32 + offset % 32);
	/* Often the beginning of a page, or just before its end. */
	offset = offset & 0x80 ? MODEL_PAGE - (offset & 0x7f) : offset & 0x40 ? offset & 0x3f : 0;
	return page % MODEL_PAGES * MODEL_PAGE + offset;
}

static size_t take_len(struct input *input)
{
	uint64_t shape = take(input, 1);

	return shape & 0x80 ? (shape & 0x7f) * 128 : shape & 0x40 ? shape & 0x3f : 8;
}

static void note_look(struct world *w)
{
	/* One look-up may take a slot to map it, one for reading only, and a spare one. */
	if (w->depth[0] || w->depth[1])
		w->looks += 3;
}

static void section(struct world *w, unsigned int c, bool begin)
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
	if (!w->depth[0] && !w->depth[1])
		w->looks = 0;
}

static void look(struct world *w, struct input *input, unsigned int c)
{
	uint64_t gpa = take_gpa(input);
	size_t len = take_len(input);
	bool write = take(input, 1) & 1, own = !w->depth[c];
	char *pointer;
	int error;

	if (own)
		section(w, c, true);
	note_look(w);
	pointer = mapcache_ptr(w->client[c], gpa, len, write ? RW : PROT_READ);
	error = errno;
	if (len == 0) {
		must(!pointer && error == EINVAL);
	} else if (gpa + (len - 1) < gpa || gpa >= MODEL_PAGES * MODEL_PAGE * 1024) {
		must(!pointer && error == ERANGE);
	} else if (len > rest_of_bucket(w, gpa)) {
		must(!pointer && error == E2BIG);
	} else if (!pointer) {
		check_refused(w, gpa, len, write, error);
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

static void pin(struct world *w, struct input *input, unsigned int c)
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
	note_look(w);
	pointer = mapcache_pin(w->client[c], gpa, &len, write ? RW : PROT_READ, 0);
	if (wanted == 0 || gpa >= MODEL_PAGES * MODEL_PAGE * 1024) {
		must(!pointer && (errno == EINVAL || errno == ERANGE));
		return;
	}
	part = rest_of_bucket(w, gpa);
	part = part < wanted ? part : wanted;
	if (!pointer) {
		uint64_t page = MODEL_PAGE - gpa % MODEL_PAGE;

		/* The first page alone would have done. */
		check_refused(w, gpa, page < part ? page : part, write, errno);
		return;
	}
	must(len == part || len == MODEL_PAGE - gpa % MODEL_PAGE);
	check_served(w, gpa, len, write);
	if (write)
		touch(pointer, len);
	*held = hold(w, pointer, gpa, len, true);
}

static void pin_segments(struct world *w, struct input *input, unsigned int c)
{
	struct iovec iov[6];
	uint64_t gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE), at = gpa;
	size_t len = take_len(input);
	int room = (int)(take(input, 1) % 7), count;

	note_look(w);
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
		check_refused(w, gpa, len, false, -count);
	}
	if (!w->depth[0] && !w->depth[1])
		w->looks = 0;
}

static void read_bytes(struct world *w, struct input *input, unsigned int c)
{
	static char buffer[127 * 128];
	uint64_t gpa = take_gpa(input) % (MODEL_PAGES * MODEL_PAGE);
	size_t len = take_len(input);
	ssize_t got;

	note_look(w);
	w->looks += 3 * (unsigned int)(len / MODEL_PAGE);
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
		check_refused(w, gpa, 1, false, (int)-got);
	else if ((size_t)got < len && !w->fault && !may_be_full(w))
		check_refused(w, gpa + (size_t)got, 1, false, EFAULT);
	if (!w->depth[0] && !w->depth[1])
		w->looks = 0;
}

/* A word of the present page must reach the guest unless the cache may show an older one. */
static void write_word(struct world *w, struct input *input, unsigned int c)
{
	uint64_t page = take(input, 1) % MODEL_PAGES, gpa = page * MODEL_PAGE + MODEL_WORD;
	uint64_t value = take(input, 2), found;
	const struct model_page *it = &w->model.page[page];
	ssize_t done;

	note_look(w);
	done = mapcache_write(w->client[c], gpa, &value, sizeof(value));
	if (done < 0) {
		check_refused(w, gpa, 8, true, (int)-done);
		return;
	}
	must(done == sizeof(value));
	check_served(w, gpa, 8, true);
	if (it->past_count != 1 || it->hole)
		return;
	must(!xensim_guest_read(w->model.domain, gpa, &found, sizeof(found)));
	must(found == value);
}

static void invalidate(struct world *w)
{
	w->epoch = mapcache_invalidate(w->cache);
	model_invalidate(&w->model, 0, MODEL_PAGES - 1);
}

static void invalidate_range(struct world *w, struct input *input)
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

static void change(struct world *w, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t page = take(input, 1) % MODEL_RAM;

	switch (how & 3) {
	case 0:
		model_remove(&w->model, page);
		break;
	case 1:
	case 2:
		model_replace(&w->model, page);
		break;
	default:
		model_set_read_only(&w->model, page, how & 4);
	}
	/* As Xen tells it, or silently. */
	if (how & 0x10)
		invalidate(w);
}

static void drain(struct world *w, unsigned int flags)
{
	int error = mapcache_drain(w->cache, w->epoch, 0, flags & 1 ? MAPCACHE_DRAIN_PINS : 0);

	if (w->depth[0] || w->depth[1])
		must(error == -EDEADLK);
	else
		must(error == 0 || (error == -ETIMEDOUT && flags & 1 && pins(w)));
	must(mapcache_drain(w->cache, w->epoch + 1, 0, 0) == -EINVAL);
}

static void reopen(struct world *w, unsigned int c)
{
	if (w->depth[c]) {
		must(mapcache_client_close(w->client[c]) == -EBUSY);
		return;
	}
	must(mapcache_close(w->cache) == -EBUSY);
	must(!mapcache_client_close(w->client[c]));
	must(!mapcache_client_open(w->cache, &w->client[c]));
}

static void inject(struct world *w, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);

	w->fault = true;
	if (how & 1)
		xensim_fail(XENSIM_CALL_MAP, 1 + (how >> 1 & 3), EIO);
	else
		xensim_fail_pages(1 + (how >> 1 & 3), 1 + (how >> 3 & 7), EIO);
	if (how & 0x80)
		xensim_fail(XENSIM_CALL_UNMAP, 1 + (how >> 5 & 3), ENOMEM);
}

static void calm(struct world *w)
{
	xensim_fail(XENSIM_CALL_MAP, 0, 0);
	xensim_fail(XENSIM_CALL_UNMAP, 0, 0);
	xensim_fail_pages(0, 1, 0);
	w->fault = false;
}

static void step(struct world *w, struct input *input)
{
	uint8_t op = (uint8_t)take(input, 1);
	unsigned int c = op >> 7;

	switch (op & 0x1f) {
	case 0:
	case 1:
		section(w, c, true);
		break;
	case 2:
	case 3:
		section(w, c, false);
		break;
	case 4:
		invalidate(w);
		break;
	case 5:
		invalidate_range(w, input);
		break;
	case 6:
	case 7:
	case 8:
		change(w, input);
		break;
	case 9:
	case 10:
	case 11:
		pin(w, input, c);
		break;
	case 12:
		pin_segments(w, input, c);
		break;
	case 13:
	case 14:
		read_bytes(w, input, c);
		break;
	case 15:
	case 16:
		write_word(w, input, c);
		break;
	case 17:
		(void)mapcache_reclaim(w->cache, take(input, 1) << 12);
		break;
	case 18:
		drain(w, op >> 5);
		break;
	case 19:
		reopen(w, c);
		break;
	case 20:
		inject(w, input);
		return;
	default:
		look(w, input, c);
	}
	calm(w);
	check_all(w);
}

/* ---- an input from its beginning to its end -------------------------------------------------- */

static void open_cache(struct world *w, struct input *input)
{
	static const uint32_t shifts[] = { 12, 13, 14, 16, 18 };
	uint8_t a = (uint8_t)take(input, 1), b = (uint8_t)take(input, 1);
	struct mapcache_options options = { .size = sizeof(options) };

	w->shift = shifts[a % 5];
	w->slots = 4 + b % 29;
	options.domid = xensim_domid(w->model.domain);
	options.bucket_shift = (uint32_t)w->shift;
	options.granule_shift = 12 + (uint32_t)(b >> 5) % (uint32_t)(w->shift - 11);
	options.stripes = 1u << (a >> 5 & 3);
	options.flags = MAPCACHE_NO_RECLAIM_THREAD | (a & 0x80 ? MAPCACHE_NO_MEMBARRIER : 0);
	options.max_bytes = w->slots << w->shift;
	options.guest_limit = MODEL_PAGES * MODEL_PAGE * 1024;
	if (a & 0x10) {
		options.max_stale_bytes = UINT64_C(4) << w->shift;
		options.max_vmas = 64;
	}
	must(!mapcache_open(&options, &w->cache));
	for (unsigned int c = 0; c < CLIENTS; c++)
		must(!mapcache_client_open(w->cache, &w->client[c]));
	w->epoch = 1;
}

static void close_cache(struct world *w)
{
	struct xensim_totals totals;

	calm(w);
	for (unsigned int c = 0; c < CLIENTS; c++) {
		while (w->depth[c])
			section(w, c, false);
		must(!mapcache_client_close(w->client[c]));
	}
	for (unsigned int i = 0; i < HELD_MAX; i++) {
		if (!w->pinned[i].pointer)
			continue;
		check_held(&w->pinned[i]);
		must(mapcache_close(w->cache) == -EBUSY);
		must(!mapcache_unpin(w->cache, w->pinned[i].pointer, 0));
		w->pinned[i].pointer = NULL;
	}
	mapcache_invalidate(w->cache);
	must(mapcache_reclaim(w->cache, UINT64_MAX) == 0);
	must(!mapcache_close(w->cache));
	xensim_totals(&totals);
	must(totals.foreign_mappings == 0 && totals.pages_held == 0);
	must(totals.splits_refused == 0);
}

static void stop(void)
{
	must(!xensim_domain_destroy(world.model.domain));
	must(!xensim_stop(stderr));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = { .bytes = bytes, .len = len };

	if (!world.model.domain) {
		must(!xensim_start(NULL));
		must(!xensim_domain_create(1, 0, MODEL_PAGES, &world.model.domain));
		must(!atexit(stop));
	}
	model_reset(&world.model);
	open_cache(&world, &input);
	while (input.len > 0)
		step(&world, &input);
	close_cache(&world);
	return 0;
}
