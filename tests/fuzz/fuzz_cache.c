/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of calls on a cache, and of changes of the guest's memory beneath it, against a
 * plain model of what look-ups may show (cache_model.h). What a section or a pin has shown once
 * it must show until its end.
 *
 * short run: 20000
 * longest input: 64
 */
#include <errno.h>
#include <string.h>

#include "cache_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct world world;

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

/* The next one may be the thread's own, of which there is one. */
static void reopen(struct world *w, unsigned int c, bool own)
{
	if (w->depth[c]) {
		must(mapcache_client_close(w->client[c]) == -EBUSY);
		return;
	}
	must(mapcache_close(w->cache) == -EBUSY);
	if (w->client[c] == w->own)
		w->own = NULL;
	must(!mapcache_client_close(w->client[c]));
	if (own && !w->own) {
		w->client[c] = mapcache_thread_client(w->cache);
		must(w->client[c] && mapcache_thread_client(w->cache) == w->client[c]);
		w->own = w->client[c];
		return;
	}
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

/* While nobody uses anything, all that is stale can go. */
static void reclaim_all(struct world *w)
{
	if (!w->depth[0] && !w->depth[1] && !any_pin(w) && !w->fault)
		must(mapcache_reclaim(w->cache, UINT64_MAX) == 0);
}

static void step(struct world *w, struct input *input)
{
	uint8_t op = (uint8_t)take(input, 1);
	unsigned int c = op >> 7;

	switch (op & 0x1f) {
	case 0 ... 1:
		section(w, c, true);
		break;
	case 2 ... 3:
		section(w, c, false);
		break;
	case 4:
		invalidate(w);
		break;
	case 5:
		invalidate_range(w, input);
		break;
	case 6 ... 8:
		change(w, input);
		break;
	case 9 ... 11:
		pin(w, input, c);
		break;
	case 12:
		pin_in_segments(w, input, c);
		break;
	case 13 ... 14:
		read_bytes(w, input, c);
		break;
	case 15 ... 16:
		write_word(w, input, c);
		break;
	case 17:
		(void)mapcache_reclaim(w->cache, take(input, 1) << 12);
		reclaim_all(w);
		break;
	case 18:
		drain(w, op >> 5);
		break;
	case 19:
		reopen(w, c, op >> 5 & 1);
		break;
	case 20:
		inject(w, input);
		return;
	case 21 ... 22:
		pin_contiguous(w, input, c);
		break;
	case 23:
		log_modified(w, op >> 5 & 1);
		break;
	case 24:
		relocate(w, input);
		break;
	case 26:
		pin_list(w, input, c);
		break;
	case 25:
		report(w, input, c);
		break;
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
	options.guest_limit = GUEST_LIMIT;
	if (a & 0x10) {
		options.max_stale_bytes = UINT64_C(4) << w->shift;
		options.max_vmas = 64;
	}
	must(!mapcache_open(&options, &w->cache));
	for (unsigned int c = 0; c < CLIENTS; c++)
		must(!mapcache_client_open(w->cache, &w->client[c]));
	w->epoch = 1;
	w->logging = false;
}

static void close_cache(struct world *w)
{
	struct xensim_totals totals;

	calm(w);
	for (unsigned int c = 0; c < CLIENTS; c++) {
		while (w->depth[c])
			section(w, c, false);
		/* The thread's own goes with the cache. */
		if (w->client[c] != w->own)
			must(!mapcache_client_close(w->client[c]));
	}
	w->own = NULL;
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

static void start(void)
{
	struct xensim_options options = { .no_populate = true };
	struct xensim_domain *domain;

	must(!xensim_start(&options));
	must(!xensim_domain_create(1, 0, MODEL_PAGES, &domain));
	must(!atexit(stop));
	model_start(&world.model, domain);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = { .bytes = bytes, .len = len };

	if (world.model.domain)
		model_reset(&world.model);
	else
		start();
	open_cache(&world, &input);
	while (input.len > 0)
		step(&world, &input);
	close_cache(&world);
	return 0;
}
