/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of ioreqs, as a guest could send them, against a guest whose frames come and
 * go. Every request must be answered; the handler must get only what it can compute with; and
 * what mapcache_ioreq_copy() moves must be what is found item by item, without the cache.
 *
 * short run: 40000
 * longest input: 96
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lib/ioreq/ioreq.h>
#include <tests/xensim/xensim.h>

#include "input.h"

#define PAGES 32u
#define BUFFER 1024u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* The host lives as long as the process; its frames are put back after each input. */
struct world {
	struct xensim_domain *domain;
	struct mapcache *cache;
	struct mapcache_client *client;
	struct mapcache_ioreq server;
	struct ioreq slots[3]; /* the one in the middle is the vCPU's */
	struct ioreq_vcpu vcpus[4];
	struct buffered_iopage ring;
	uint64_t from_ring;
	uint64_t handed_on;
	struct mapcache_request last; /* what the handler was called with */
	enum { AT_ONCE, AFTERWARDS, FROM_INSIDE } when;
	bool holding; /* last was deferred */
	bool hole[PAGES];
};

/* ---- what the handler may count on, and what it must find ---------------------------------- */

static uint64_t item_gpa(const struct mapcache_request *request, uint32_t item)
{
	uint64_t distance = (uint64_t)item * request->size;

	return request->backwards ? request->data - distance : request->data + distance;
}

static void check_request(const struct mapcache_request *request)
{
	uint64_t further = (uint64_t)(request->count - 1) * request->size;

	must(request->size == 1 || request->size == 2 || request->size == 4 || request->size == 8);
	must(request->count >= 1 && (request->count == 1 || request->data_is_ptr));
	must(request->type <= MAPCACHE_IOREQ_PCI);
	must(request->addr + request->size > request->addr);
	if (request->type == MAPCACHE_IOREQ_MEMORY)
		must(request->backwards ? request->addr >= further
					: request->addr + further + request->size > request->addr);
	if (request->data_is_ptr)
		must(request->backwards ? request->data >= further
					: request->data + further + request->size > request->data);
}

/* How many items can be reached one by one. */
static uint32_t reachable(struct world *world, const struct mapcache_request *request,
			  uint32_t first, uint32_t count)
{
	uint64_t item;
	uint32_t i;

	for (i = 0; i < count; i++)
		if (xensim_guest_read(world->domain, item_gpa(request, first + i), &item,
				      request->size))
			break;
	return i;
}

static void check_copy(struct world *world, const struct mapcache_request *request, uint32_t first,
		       uint32_t count)
{
	uint8_t buffer[BUFFER], item[8];
	uint32_t expected = reachable(world, request, first, count);
	int64_t moved;

	for (uint32_t i = 0; i < count * request->size; i++)
		buffer[i] = (uint8_t)(i * 7 + request->addr);
	moved = mapcache_ioreq_copy(world->client, request, first, count, buffer);
	must(expected == 0 ? moved < 0 : moved == expected);
	for (uint32_t i = 0; i < expected; i++) {
		must(!xensim_guest_read(world->domain, item_gpa(request, first + i), item,
					request->size));
		must(!memcmp(item, buffer + i * request->size, request->size));
	}
}

/* The second and later items of a request are next to the one before and have its value. */
static void check_item(struct world *world, const struct mapcache_request *request)
{
	uint64_t distance = request->type == MAPCACHE_IOREQ_MEMORY ? request->size : 0;

	must(request->id != 0 && request->vcpu == 1 && !request->buffered);
	if (world->handed_on > 0) {
		must(request->id > world->last.id && request->data == world->last.data);
		must(request->addr == (request->backwards ? world->last.addr - distance
							  : world->last.addr + distance));
	}
	world->last = *request;
}

/* By the handler itself or, once, by somebody else. */
static int answer(struct world *world, int error)
{
	if (world->when == AT_ONCE)
		return error;
	must(mapcache_ioreq_complete(&world->server, world->client, &world->last, 0) == -ENOENT);
	must(mapcache_ioreq_defer(&world->server, &world->last) == 0);
	must(mapcache_ioreq_defer(&world->server, &world->last) == -EINVAL);
	world->holding = true;
	if (world->when == AFTERWARDS)
		return -1;
	must(mapcache_ioreq_complete(&world->server, world->client, &world->last, error) == 0);
	must(mapcache_ioreq_complete(&world->server, world->client, &world->last, 0) == -ENOENT);
	world->holding = false;
	return error;
}

static int handle(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct world *world = data;
	uint32_t most = BUFFER / 8, first, count;

	must(client == world->client);
	check_request(request);
	if (request->buffered) {
		must(request->write && request->vcpu == MAPCACHE_IOREQ_NO_VCPU && !request->id);
		must(!request->data_is_ptr && request->count == 1);
		world->from_ring++;
		return -1;
	}
	check_item(world, request);
	world->handed_on++;
	if (!request->data_is_ptr)
		return answer(world, request->addr & 1 ? -1 : 0);
	/* The first items, and some at the end. */
	count = request->count < most ? request->count : most;
	check_copy(world, request, 0, count);
	first = request->count - (count + 1) / 2;
	check_copy(world, request, first, request->count - first);
	return answer(world, 0);
}

/* ---- the input --------------------------------------------------------------------------------- */

/* Near RAM, near the ends of the address space, or anywhere. */
static uint64_t take_address(struct input *input, unsigned int shape)
{
	switch (shape & 3) {
	case 0:
		return take(input, 3) % (PAGES * 4096 + 64);
	case 1:
		return UINT64_MAX - take(input, 2);
	case 2:
		return take(input, 2);
	default:
		return take(input, 8);
	}
}

/* Until the vCPU has its answer, item by item. */
static void serve(struct world *world, unsigned int when)
{
	struct mapcache_request stranger;
	int answered;

	world->when = when > FROM_INSIDE ? AT_ONCE : when;
	world->holding = false;
	answered = mapcache_ioreq_handle(&world->server, world->client, 1);
	while (answered == 0) {
		must(world->holding && world->slots[1].state == STATE_IOREQ_INPROCESS);
		must(mapcache_ioreq_handle(&world->server, world->client, 1) == 0);
		stranger = world->last;
		stranger.id++;
		must(mapcache_ioreq_complete(&world->server, world->client, &stranger, 0) ==
		     -ENOENT);
		world->holding = false;
		stranger = world->last;
		answered = mapcache_ioreq_complete(&world->server, world->client, &stranger, 0);
	}
	must(answered == 1 && !world->holding);
}

/* Slots with anything in them, or pointers that do not fit each other. */
static void fill_ring(struct world *world, struct input *input)
{
	uint32_t slots = (uint32_t)take(input, 1);
	uint64_t word;

	for (uint32_t i = 0; i < slots % 16; i++) {
		word = take(input, 8);
		memcpy(&world->ring.buf_ioreq[world->ring.write_pointer++ % IOREQ_BUFFER_SLOT_NUM],
		       &word, sizeof(word));
	}
	if (slots & 0x80)
		world->ring.write_pointer += (uint32_t)take(input, 4);
}

/* In bounded work, and all of it. */
static void empty_ring(struct world *world, int max)
{
	uint32_t filled = world->ring.write_pointer - world->ring.read_pointer;
	int served, total = 0;

	world->from_ring = 0;
	do {
		served = mapcache_ioreq_handle_buffered(&world->server, world->client, max);
		must(served >= 0 && served <= max);
		total += served;
	} while (world->ring.read_pointer != world->ring.write_pointer);
	must((uint32_t)total <= filled && total <= IOREQ_BUFFER_SLOT_NUM);
	must(world->from_ring <= (uint64_t)total);
}

static void send_request(struct world *world, struct input *input)
{
	uint8_t shape = (uint8_t)take(input, 1), bits = (uint8_t)take(input, 1);
	struct ioreq raw = {
		.type = shape & 0x80 ? (uint8_t)take(input, 1) : shape >> 5 & 3,
		.dir = bits & 1,
		.data_is_ptr = bits >> 1 & 1,
		.df = bits >> 2 & 1,
		._pad1 = bits >> 3 & 1,
		.size = bits & 0x80 ? (uint32_t)take(input, 4) : 1u << (bits >> 4 & 3),
		.count = bits & 0x40 ? (uint32_t)take(input, 4) : (uint32_t)take(input, 1),
		.addr = take_address(input, shape),
		.data = take_address(input, shape >> 2),
		.vp_eport = 17,
		.state = STATE_IOREQ_READY,
	};
	uint64_t epoch = mapcache_epoch(world->cache);
	struct ioreq *slot = &world->slots[1];

	*slot = raw;
	world->handed_on = 0;
	serve(world, bits & 0x40 ? AT_ONCE : bits >> 4 & 3);
	must(slot->state == STATE_IORESP_READY);
	must(world->handed_on == 0 || raw.data_is_ptr || world->handed_on == raw.count);
	must(world->handed_on <= IOREQ_ITEMS_MAX);
	if (raw.type == IOREQ_TYPE_INVALIDATE)
		must(mapcache_epoch(world->cache) == epoch + 1 && world->handed_on == 0);
	else if (world->handed_on == 0 && raw.dir == IOREQ_READ)
		must(slot->data == UINT64_MAX);
	/* Nothing else in the page has changed. */
	raw.state = slot->state;
	raw.data = slot->data;
	must(!memcmp(&raw, slot, sizeof(raw)));
	must(world->slots[0].addr == 1 && world->slots[2].addr == 2);
}

/* A frame goes, or another page comes; Xen would tell about the first. */
static void change_frame(struct world *world, uint64_t gfn)
{
	if (world->hole[gfn]) {
		must(xensim_outside_populate(world->domain, &gfn, 1, 0) == 1);
	} else {
		must(xensim_outside_decrease(world->domain, &gfn, 1) == 1);
		mapcache_invalidate(world->cache);
	}
	world->hole[gfn] = !world->hole[gfn];
}

static void start(struct world *world)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = 14,
					    .flags = MAPCACHE_NO_RECLAIM_THREAD };

	must(!xensim_start(NULL));
	must(!xensim_domain_create(1, 0, PAGES, &world->domain));
	options.domid = xensim_domid(world->domain);
	must(!mapcache_open(&options, &world->cache));
	must(!mapcache_client_open(world->cache, &world->client));
	world->server = (struct mapcache_ioreq){
		.cache = world->cache,
		.caches = { world->cache },
		.options = { .vcpus = 3, .handler = handle, .handler_data = world },
		.link = { .slots = world->slots, .ring = &world->ring },
		.slots = 3,
		.vcpu = world->vcpus,
		.enabled_once = 1,
	};
	world->slots[0].addr = 1;
	world->slots[2].addr = 2;
}

static struct world world;

/* What all inputs together have left behind. */
static void stop(void)
{
	must(!mapcache_client_close(world.client));
	must(!mapcache_close(world.cache));
	must(!xensim_domain_destroy(world.domain));
	must(!xensim_stop(stderr));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = { .bytes = bytes, .len = len };

	if (world.cache == NULL) {
		start(&world);
		must(!atexit(stop));
	}
	while (input.len > 0) {
		uint8_t op = (uint8_t)take(&input, 1);

		if (op < 0x40)
			change_frame(&world, op % PAGES);
		else if (op < 0x48)
			mapcache_reclaim(world.cache, UINT64_MAX);
		else if (op < 0x58)
			fill_ring(&world, &input);
		else if (op < 0x60)
			empty_ring(&world, 1 + op % 8);
		else
			send_request(&world, &input);
	}
	empty_ring(&world, 100);
	for (uint64_t gfn = 0; gfn < PAGES; gfn++)
		if (world.hole[gfn])
			change_frame(&world, gfn);
	return 0;
}
