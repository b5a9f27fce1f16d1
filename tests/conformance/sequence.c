/* SPDX-License-Identifier: MIT */
#include "tests/conformance/sequence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bench/random.h>

#include "tests/conformance/rig.h"

#define PAGE ((size_t)GUEST_PAGE_SIZE)
/* The frames that come and go; their last is the guest's last. */
#define FRAMES 16u
#define FIRST (RIG_END - FRAMES)
#define SLOTS 6u
#define SLOT_PAGES 4u
#define VCPUS 2u

struct slot {
	char *pages;
	unsigned int count;
	int err[SLOT_PAGES];
};

static struct rig rig;
static struct slot slots[SLOTS];
static FILE *out;

struct step {
	unsigned int vcpu, server, slot, page, count;
	uint64_t gfn;
	uint32_t value, size;
};

static uint64_t random_of(uint64_t seed, uint64_t number)
{
	uint64_t state =
		seed * UINT64_C(0x9e3779b97f4a7c15) + number * UINT64_C(0xbf58476d1ce4e5b9);

	random_next(&state);
	return random_next(&state);
}

static struct step step_of(uint64_t word)
{
	return (struct step){
		.vcpu = word >> 8 & 1,
		.server = 1 + (word >> 9 & 1),
		.slot = (word >> 10 & 0xff) % SLOTS,
		.page = word >> 18 & (SLOT_PAGES - 1),
		.count = 1 + (word >> 20 & 1),
		.gfn = FIRST + (word >> 24 & 0xff) % FRAMES,
		.size = 1u << (word >> 32 & 3) % 3,
		.value = (uint32_t)(word >> 34) | 1,
	};
}

/* How often each server was told; a call of more than one frame may be interrupted. */
static void trace_told(bool exact)
{
	fprintf(out, " told");
	for (unsigned int server = 0; server < 3; server++) {
		unsigned int told = rig_told(&rig, server);

		fprintf(out, " %u", exact || told < 2 ? told : 1);
	}
}

/* What came to servers besides INVALIDATE. */
static void trace_requests(void)
{
	for (unsigned int i = 0; i < rig.logged; i++) {
		const struct request *request = &rig.log[i];

		if (request->type == IOREQ_TYPE_INVALIDATE)
			continue;
		fprintf(out, " [%u: vcpu %u type %u dir %u addr %llx size %u count %u ptr %u df %u",
			request->server, request->vcpu, request->type, request->dir,
			(unsigned long long)request->addr, request->size, request->count,
			request->data_is_ptr, request->df);
		/* A read's data is left over from anything. */
		if (request->dir == IOREQ_WRITE || request->data_is_ptr)
			fprintf(out, " data %llx", (unsigned long long)request->data);
		fprintf(out, "]");
	}
	rig.logged = 0;
}

static void end_call(bool exact)
{
	trace_told(exact);
	trace_requests();
}

/* New memory holds anything: from here on it is known. */
static void mark(uint64_t gfn, uint32_t value)
{
	if (rig_word(&rig, gfn) != ~0u || !errno)
		rig_set_word(&rig, gfn, value);
}

static unsigned int frame(uint64_t gfn)
{
	return (unsigned int)(gfn - FIRST);
}

/* ---- the guest --------------------------------------------------------------------- */

static void guest_decrease(const struct step *step)
{
	uint32_t count = step->gfn + step->count > RIG_END ? 1 : step->count;

	fprintf(out, "vcpu %u decrease %u+%u: %d", step->vcpu, frame(step->gfn), count,
		(int)rig_call(&rig, step->vcpu, COMMAND_DECREASE, (uint32_t)step->gfn, count));
	end_call(count == 1);
}

static void guest_populate(const struct step *step)
{
	int result = (int)rig_call(&rig, step->vcpu, COMMAND_POPULATE, (uint32_t)step->gfn, 1);

	if (result == 1)
		mark(step->gfn, step->value);
	fprintf(out, "vcpu %u populate %u: %d", step->vcpu, frame(step->gfn), result);
	end_call(true);
}

static void guest_remove(const struct step *step)
{
	fprintf(out, "vcpu %u remove %u: %d", step->vcpu, frame(step->gfn),
		(int)rig_call(&rig, step->vcpu, COMMAND_REMOVE, (uint32_t)step->gfn));
	end_call(true);
}

static void guest_exchange(const struct step *step)
{
	int result = (int)rig_call(&rig, step->vcpu, COMMAND_EXCHANGE, (uint32_t)step->gfn);

	if (!result)
		mark(step->gfn, step->value);
	fprintf(out, "vcpu %u exchange %u: %d", step->vcpu, frame(step->gfn), result);
	end_call(true);
}

static void guest_store(const struct step *step)
{
	rig_call(&rig, step->vcpu, COMMAND_WRITE, (uint32_t)(step->gfn * PAGE), step->value);
	fprintf(out, "vcpu %u store %u %x", step->vcpu, frame(step->gfn), step->value);
	end_call(true);
}

static void guest_load(const struct step *step)
{
	fprintf(out, "vcpu %u load %u: %x", step->vcpu, frame(step->gfn),
		rig_call(&rig, step->vcpu, COMMAND_READ, (uint32_t)(step->gfn * PAGE)));
	end_call(true);
}

static uint32_t device(const struct step *step)
{
	return RIG_DEVICE(step->server) + (step->value & 0xf80);
}

static void guest_out(const struct step *step)
{
	rig_call(&rig, step->vcpu, COMMAND_ACCESS, device(step), step->size, 1, step->value);
	fprintf(out, "vcpu %u device store %u", step->vcpu, step->server);
	end_call(true);
}

static void guest_in(const struct step *step)
{
	fprintf(out, "vcpu %u device load %u: %x", step->vcpu, step->server,
		rig_call(&rig, step->vcpu, COMMAND_ACCESS, device(step), step->size, 0));
	end_call(true);
}

#ifndef __aarch64__
static void guest_stos(const struct step *step)
{
	rig_call(&rig, step->vcpu, COMMAND_REP_STOS, device(step) + 0x80 - 4 * step->size,
		 5 + step->page, step->size, step->value, step->count - 1);
	fprintf(out, "vcpu %u rep stos %u", step->vcpu, step->server);
	end_call(true);
}

static void guest_movs(const struct step *step)
{
	uint32_t memory = GUEST_DATA + 0x1000 - 2 * step->size;

	rig_call(&rig, step->vcpu, COMMAND_REP_MOVS, step->page & 1 ? memory : device(step),
		 step->page & 1 ? device(step) : memory, 4, step->size, step->count - 1);
	fprintf(out, "vcpu %u rep movs %u", step->vcpu, step->server);
	end_call(true);
}
#endif

/* ---- the device model -------------------------------------------------------------- */

static void model_unmap(const struct step *step)
{
	struct slot *slot = &slots[step->slot];

	if (!slot->pages)
		return;
	fprintf(out, "unmap %u: %d", step->slot, munmap(slot->pages, slot->count * PAGE));
	slot->pages = NULL;
}

static void model_map(const struct step *step)
{
	struct slot *slot = &slots[step->slot];

	if (slot->pages) {
		model_unmap(step);
		return;
	}
	/* The last ones reach beyond the guest's memory. */
	slot->count = SLOT_PAGES;
	slot->pages = rig_map(&rig, step->gfn, SLOT_PAGES, slot->err);
	fprintf(out, "map %u at %u: %s", step->slot, frame(step->gfn), slot->pages ? "" : "NULL");
	for (unsigned int i = 0; i < SLOT_PAGES; i++)
		fprintf(out, " %d", slot->err[i]);
}

static volatile uint32_t *mapped_word(const struct step *step)
{
	const struct slot *slot = &slots[step->slot];

	return slot->pages && !slot->err[step->page]
		       ? (volatile uint32_t *)(void *)(slot->pages + step->page * PAGE)
		       : NULL;
}

static void model_load(const struct step *step)
{
	volatile uint32_t *word = mapped_word(step);

	if (word)
		fprintf(out, "mapping %u.%u shows %x", step->slot, step->page, *word);
}

static void model_store(const struct step *step)
{
	volatile uint32_t *word = mapped_word(step);

	if (!word)
		return;
	*word = step->value;
	fprintf(out, "mapping %u.%u gets %x", step->slot, step->page, step->value);
}

static void model_look(const struct step *step)
{
	uint32_t word = rig_word(&rig, step->gfn);

	fprintf(out, "fresh map of %u: %x %d", frame(step->gfn), word, errno);
}

static void model_modified(const struct step *step)
{
	int result = xendevicemodel_modified_memory(rig.model, rig.domid, step->gfn, step->count);

	fprintf(out, "modified %u+%u: %d", frame(step->gfn), step->count, result ? -errno : 0);
}

/* ---- servers and the toolstack ----------------------------------------------------- */

static void server_toggle(const struct step *step)
{
	struct server *server = &rig.server[step->server];

	rig_enable(&rig, server, !server->enabled);
	fprintf(out, "server %u %s", step->server, server->enabled ? "enabled" : "disabled");
}

static void server_range(const struct step *step)
{
	uint64_t start = RIG_DEVICE(step->server) + (step->value & 0xf80);
	ioservid_t id = rig.server[step->server].id;
	int result;

	if (step->page & 1)
		result = xendevicemodel_map_io_range_to_ioreq_server(rig.model, rig.domid, id, 1,
								     start, start + 0x7f);
	else
		result = xendevicemodel_unmap_io_range_from_ioreq_server(rig.model, rig.domid, id,
									 1, start, start + 0x7f);
	fprintf(out, "server %u %s range: %d", step->server, step->page & 1 ? "add" : "remove",
		result ? -errno : 0);
}

static void outside_take(const struct step *step)
{
	fprintf(out, "take %u: %d", frame(step->gfn), platform_take_page(&rig.platform, step->gfn));
	trace_told(true);
}

static void outside_give(const struct step *step)
{
	int result = platform_give_page(&rig.platform, step->gfn);

	if (!result)
		mark(step->gfn, step->value);
	fprintf(out, "give %u: %d", frame(step->gfn), result);
	trace_told(true);
}

static void outside_count(const struct step *step)
{
	(void)step;
	fprintf(out, "pages %+ld", platform_pages(&rig.platform) - (long)RIG_PAGES);
}

/* ---- the whole --------------------------------------------------------------------- */

static void (*const operations[])(const struct step *) = {
	guest_decrease, guest_decrease, guest_decrease, guest_populate, guest_populate,
	guest_populate, guest_remove,   guest_exchange, guest_store,    guest_store,
	guest_load,     guest_load,     guest_out,      guest_in,       model_map,
	model_map,      model_map,      model_load,     model_load,     model_load,
	model_store,    model_look,     server_toggle,  server_range,   outside_take,
	outside_take,   outside_give,   outside_give,   outside_count,  model_modified,
#ifndef __aarch64__
	guest_stos,     guest_movs,
#endif
};

static void run_step(const struct sequence *sequence, unsigned int number)
{
	uint64_t word = random_of(sequence->seed, number);
	struct step step = step_of(word);

	if (sequence->skip[number])
		return;
	fprintf(out, "%u ", number);
	operations[(word & 0xff) % (sizeof(operations) / sizeof(operations[0]))](&step);
	fprintf(out, "\n");
	fflush(out);
}

void sequence_run(const struct sequence *sequence, FILE *trace)
{
	out = trace;
	rig_open(&rig, &(struct platform_options){ .vcpus = VCPUS });
	for (unsigned int i = 1; i < 3; i++)
		rig_server(&rig, i, HVM_IOREQSRV_BUFIOREQ_OFF);
	rig_enable(&rig, &rig.server[1], true);
	platform_log(&rig.platform);
	rig_run(&rig);
	for (unsigned int i = 0; i < FRAMES; i++)
		mark(FIRST + i, 0x10000 + i);
	for (unsigned int i = 0; i < sequence->steps; i++)
		run_step(sequence, i);
	for (unsigned int i = 0; i < SLOTS; i++)
		if (slots[i].pages)
			munmap(slots[i].pages, slots[i].count * PAGE);
	rig_close(&rig);
}

/* FNV-1a. */
uint64_t sequence_hash(const char *trace)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *trace; trace++)
		hash = (hash ^ (unsigned char)*trace) * UINT64_C(0x100000001b3);
	return hash;
}
