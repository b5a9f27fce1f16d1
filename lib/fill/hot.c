/* SPDX-License-Identifier: MIT */
#include "lib/fill/hot.h"

#define HOT_LEVEL_MAX 7u
#define HOT_IDLE_MAX 64u
#define HOT_NONE UINT32_MAX
#define HOT_AGAIN 3u /* epochs until one that nobody asked for is tried again */

static uint32_t hot_place(const struct hots *hots, uint64_t granule)
{
	uint16_t number = granule < hots->granules ? hots->number[granule] : 0;

	return number ? number - 1u : HOT_NONE;
}

static void hot_remove(struct hots *hots, uint32_t place)
{
	hots->number[hots->all[place].granule] = 0;
	hots->count--;
	if (place == hots->count)
		return;
	hots->all[place] = hots->all[hots->count];
	hots->number[hots->all[place].granule] = (uint16_t)(place + 1);
}

bool hot_ask(struct hots *hots, uint64_t granule, uint64_t epoch)
{
	uint32_t place = hot_place(hots, granule);
	bool known = place != HOT_NONE;

	if (!known) {
		if (granule >= hots->granules || hots->count == HOT_MAX)
			return false;
		place = hots->count++;
		hots->all[place] = (struct hot){
			.granule = granule,
			.part = (uint8_t)(hots->newcomers * 255 / HOT_TRUST),
		};
		hots->number[granule] = (uint16_t)hots->count;
	}
	hots->all[place].asked = (uint32_t)epoch;
	hots->all[place].idle = 0;
	return known && !hots->all[place].refused;
}

void hot_refuse(struct hots *hots, uint64_t granule)
{
	uint32_t place = hot_place(hots, granule);

	if (place != HOT_NONE)
		hots->all[place].refused = true;
}

void hot_forget(struct hots *hots, uint64_t granule)
{
	uint32_t place = hot_place(hots, granule);

	if (place != HOT_NONE)
		hot_remove(hots, place);
}

/*
 * Whether something that is asked for in so many of all epochs costs less in a batch. Who maps it by
 * itself unmaps it by the same call; what a batch maps is to be unmapped, which takes about twice as long.
 */
static bool hot_pays(uint64_t part, uint64_t all, const struct hot_cost *cost)
{
	return part * (cost->call + 3 * cost->granule) > all * 3 * cost->granule;
}

/* It was left out of the last epoch: was it asked for? False: it goes. */
static bool hot_prove(struct hots *hots, struct hot *hot, const struct hot_cost *cost)
{
	bool asked = hot->asked == (uint32_t)hots->epoch;

	hot->part = (uint8_t)(hot->part + ((asked ? 255 : 0) - hot->part) / 4);
	if (!hot->level)
		hots->newcomers +=
			asked ? (HOT_TRUST - hots->newcomers) / 32 : -(hots->newcomers / 32);
	if (asked) {
		if (hot->level < HOT_LEVEL_MAX)
			hot->level++;
		hot->wait = (uint8_t)((1u << hot->level) - 1);
		return true;
	}
	if (hot->level > 1 && hot_pays(hot->part, 255, cost)) {
		hot->level = 2;
		hot->wait = HOT_AGAIN;
		return true;
	}
	hot->level = hot->wait = 0;
	return ++hot->idle < HOT_IDLE_MAX;
}

/*
 * Those that are due are left out, as long as their calls cost a quarter of what the batch does;
 * and those that have been asked for once or twice only, unless such have mostly been worth it: of
 * many that are asked for seldom some always were a moment ago.
 */
static void hot_leave_out(struct hots *hots, const struct hot_cost *cost)
{
	uint64_t most = 1 + hots->count * cost->granule / cost->call / 4, outs = 0;
	bool trusted = hot_pays(hots->newcomers, HOT_TRUST, cost);
	uint32_t place = hots->count ? hots->turn % hots->count : 0;

	for (uint32_t n = 0; n < hots->count;
	     n++, place = place + 1 < hots->count ? place + 1 : 0) {
		struct hot *hot = &hots->all[place];
		bool doubtful = hot->level < 2 && (!trusted || hot->idle);

		hot->out = doubtful || (!hot->wait && outs < most);
		if (hot->wait)
			hot->wait--;
		if (!hot->out || doubtful)
			continue;
		outs++;
		hots->turn = place + 1;
	}
}

void hot_begin(struct hots *hots, uint64_t epoch, const struct hot_cost *cost)
{
	for (uint32_t place = 0; place < hots->count;) {
		struct hot *hot = &hots->all[place];

		if (hot->out && !hot_prove(hots, hot, cost))
			hot_remove(hots, place);
		else
			place++;
	}
	hot_leave_out(hots, cost);
	hots->cursor = 0;
	hots->epoch = epoch;
}

unsigned int hot_take(struct hots *hots, uint64_t *granule, unsigned int room)
{
	unsigned int count = 0;

	for (; hots->cursor < hots->count && count < room; hots->cursor++) {
		struct hot *hot = &hots->all[hots->cursor];

		/* What has been asked for is mapped already. */
		if (!hot->out && !hot->refused && hot->asked != (uint32_t)hots->epoch)
			granule[count++] = hot->granule;
	}
	return count;
}
