/* SPDX-License-Identifier: MIT */
/* Pins: kept, handed to others, released there; segments; pins in one piece. */
#include <errno.h>
#include <sys/mman.h>

#include "torture.h"

#define RW (PROT_READ | PROT_WRITE)

static void check_parcel(struct worker *worker, const struct parcel *parcel)
{
	uint64_t gpa = 0;

	judge_again(&worker->witness, parcel->page, parcel->first, read_word(parcel->pointer), 0,
		    true);
	must(!mapcache_gpa(worker->witness.device->cache, parcel->pointer, &gpa));
	if (gpa != stamp_gpa(parcel->page))
		fail(&worker->witness, parcel->page, "mapcache_gpa", stamp_gpa(parcel->page), gpa);
}

void pin_release(struct worker *worker, void *pointer, uint64_t page, size_t written)
{
	struct witness *witness = &worker->witness;
	uint64_t log = log_begin(witness->device), pages = 0;
	bool inside = one_in(&witness->random, 3);

	/* A client's unpin in a section is reported at its end. */
	if (inside)
		mapcache_begin(worker->client);
	if (one_in(&witness->random, 2))
		must(!mapcache_unpin(witness->device->cache, pointer, written));
	else
		must(!mapcache_client_unpin(worker->client, pointer, written));
	if (inside)
		must(!mapcache_end(worker->client));
	if (written)
		pages = ((uintptr_t)pointer % PAGE + written - 1) / PAGE + 1;
	judge_reported(witness, log, page, pages);
}

static void release_parcel(struct worker *worker, struct parcel *parcel)
{
	check_parcel(worker, parcel);
	pin_release(worker, parcel->pointer, parcel->page, parcel->written);
	parcel->pointer = NULL;
}

void worker_release(struct worker *worker)
{
	worker->witness.doing = "releasing a pin";
	for (unsigned int i = 0; i < sizeof(worker->held) / sizeof(*worker->held); i++)
		if (worker->held[i].pointer)
			release_parcel(worker, &worker->held[i]);
}

/* Puts its parcel where another worker of the cache finds it, and takes what lies there. */
static struct parcel swap_parcels(struct worker *worker, struct parcel parcel)
{
	struct device *device = worker->witness.device;
	struct parcel *place = &device->parcel[random_below(&worker->witness.random, PARCELS)];
	struct parcel found;

	pthread_mutex_lock(&device->lock);
	found = *place;
	*place = parcel;
	pthread_mutex_unlock(&device->lock);
	return found;
}

static void keep_or_release(struct worker *worker, struct parcel parcel)
{
	uint64_t *random = &worker->witness.random;
	struct parcel *held = &worker->held[random_below(random, 4)], other;

	/* With little room few pins may stay, or nothing else would. */
	if (worker->witness.device->tight && !one_in(random, 4)) {
		release_parcel(worker, &parcel);
		return;
	}
	if (one_in(random, 3)) {
		other = swap_parcels(worker, parcel);
	} else {
		other = *held;
		*held = parcel;
	}
	if (other.pointer)
		release_parcel(worker, &other);
}

/* Told when the pin goes, or now: it may stay for long. */
static void write_and_tell(struct worker *worker, struct parcel *parcel, uint64_t at,
			   uint64_t value)
{
	struct witness *witness = &worker->witness;
	uint64_t log = log_begin(witness->device);
	bool inside = one_in(&witness->random, 3);

	write_word((char *)parcel->pointer + at, value);
	if (one_in(&witness->random, 2)) {
		parcel->written = at + 8;
		return;
	}
	if (inside)
		mapcache_begin(worker->client);
	must(!mapcache_modified(worker->client, parcel->pointer, at + 8));
	if (inside)
		must(!mapcache_end(worker->client));
	judge_reported(witness, log, parcel->page,
		       ((uintptr_t)parcel->pointer % PAGE + at + 7) / PAGE + 1);
}

void access_pin(struct worker *worker)
{
	struct witness *witness = &worker->witness;
	struct parcel parcel = { .page = any_page(&witness->random) };
	uint64_t floor = page_floor(witness->domain, parcel.page), gpa = stamp_gpa(parcel.page);
	size_t wanted = 8 + random_below(&witness->random, 4 * PAGE) / 8 * 8, len = wanted;
	bool write = page_use(parcel.page) == PAGE_MAILBOX && one_in(&witness->random, 2);

	witness->doing = "pinning";
	parcel.pointer = mapcache_pin(worker->client, gpa, &len, write ? RW : PROT_READ, 0);
	if (!parcel.pointer) {
		judge_error(witness, parcel.page, floor, errno, write);
		return;
	}
	must(len >= 8 && len <= wanted);
	parcel.first = read_word(parcel.pointer);
	judge_value(witness, parcel.page, floor, parcel.first);
	judge_told(witness, parcel.page, parcel.pointer);
	if (write && len >= 8 * (worker->number + 2)) {
		uint64_t value = worker_word(worker), at = 8 * (worker->number + 1);

		write_and_tell(worker, &parcel, at, value);
		judge_write(witness, parcel.page, floor, gpa + at, value);
	}
	keep_or_release(worker, parcel);
}

bool run_untouched(struct witness *witness, uint64_t page, const uint64_t *floor,
		   unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (!page_untouched(witness->domain, page + i, floor[i]))
			return false;
	return true;
}

/* An error that any page of a run may have caused. */
void judge_run_error(struct witness *witness, uint64_t page, const uint64_t *floor,
		     unsigned int count, int error)
{
	/* Judged as the first page's, unless another one excuses it. */
	if ((error == EFAULT || error == EACCES) && !run_untouched(witness, page, floor, count)) {
		witness->checked++;
		witness->refused++;
		return;
	}
	judge_error(witness, page, floor[0], error, false);
}

static void check_segments(struct worker *worker, uint64_t page, const uint64_t *floor,
			   const struct iovec *iov, int count)
{
	uint64_t gpa = stamp_gpa(page);

	for (int i = 0; i < count; i++) {
		uint64_t next = (gpa + PAGE - 1 - STAMP_OFFSET) / PAGE * PAGE + STAMP_OFFSET;

		for (; next < gpa + iov[i].iov_len; next += PAGE)
			judge_value(&worker->witness, next / PAGE, floor[next / PAGE - page],
				    read_word((char *)iov[i].iov_base + (next - gpa)));
		gpa += iov[i].iov_len;
	}
	must(gpa == stamp_gpa(page) + (RUN_PAGES - 1) * PAGE + 8);
	for (int i = 0; i < count; i++)
		must(!mapcache_client_unpin(worker->client, iov[i].iov_base, 0));
}

/* Three pages, the last of which is the first of its bucket now and then. */
uint64_t any_run(struct worker *worker, uint64_t *floor)
{
	uint64_t page = any_page(&worker->witness.random) % (RAM_PAGES - RUN_PAGES);

	for (unsigned int i = 0; i < RUN_PAGES; i++)
		floor[i] = page_floor(worker->witness.domain, page + i);
	return page;
}

void access_iov(struct worker *worker)
{
	uint64_t floor[RUN_PAGES], page = any_run(worker, floor);
	struct iovec iov[RUN_PAGES];
	int room = one_in(&worker->witness.random, 8) ? 1 : (int)RUN_PAGES, count;

	worker->witness.doing = "pinning segments";
	count = mapcache_pin_iov(worker->client, stamp_gpa(page), (RUN_PAGES - 1) * PAGE + 8,
				 PROT_READ, iov, room);
	if (count > 0)
		check_segments(worker, page, floor, iov, count);
	else if (count != -EMSGSIZE || room > 1)
		judge_run_error(&worker->witness, page, floor, RUN_PAGES, -count);
}

/* Pages anywhere, as the buffers of one request. */
void access_sgl(struct worker *worker)
{
	struct witness *witness = &worker->witness;
	uint64_t *random = &witness->random, page[RUN_PAGES], floor[RUN_PAGES];
	struct mapcache_range ranges[RUN_PAGES];
	struct iovec iov[RUN_PAGES];
	int count;

	for (unsigned int i = 0; i < RUN_PAGES; i++) {
		page[i] = any_page(random);
		floor[i] = page_floor(witness->domain, page[i]);
		ranges[i] = (struct mapcache_range){ stamp_gpa(page[i]), 8 };
	}
	witness->doing = "pinning a list";
	count = mapcache_pin_sgl(worker->client, ranges, RUN_PAGES, PROT_READ, iov, RUN_PAGES);
	if (count < 0) {
		for (unsigned int i = 0; i < RUN_PAGES; i++)
			if (!page_untouched(witness->domain, page[i], floor[i]) &&
			    (count == -EFAULT || count == -EACCES))
				return;
		judge_error(witness, page[0], floor[0], -count, false);
		return;
	}
	must(count == RUN_PAGES);
	for (unsigned int i = 0; i < RUN_PAGES; i++) {
		uint64_t gpa = 0;

		judge_value(witness, page[i], floor[i], read_word(iov[i].iov_base));
		judge_told(witness, page[i], iov[i].iov_base);
		must(!mapcache_gpa(witness->device->cache, iov[i].iov_base, &gpa));
		must(gpa == stamp_gpa(page[i]));
		must(!mapcache_client_unpin(worker->client, iov[i].iov_base, 0));
	}
}

/* ---- pins in one piece --------------------------------------------------------------------- */

/* Each page of the run: what it shows, where it says it is, and the worker's word in a mailbox. */
static size_t check_run(struct worker *worker, char *pointer, uint64_t page, const uint64_t *floor,
			unsigned int pages, bool write)
{
	struct witness *witness = &worker->witness;
	size_t written = 0;

	for (unsigned int i = 0; i < pages; i++) {
		char *stamp = pointer + i * PAGE;
		uint64_t at = i * PAGE - STAMP_OFFSET + 8 * (worker->number + 1), value, gpa = 0;

		judge_value(witness, page + i, floor[i], read_word(stamp));
		judge_told(witness, page + i, stamp);
		must(!mapcache_gpa(witness->device->cache, stamp, &gpa));
		must(gpa == stamp_gpa(page + i));
		if (!write || i == 0 || page_use(page + i) != PAGE_MAILBOX)
			continue;
		value = worker_word(worker);
		write_word(pointer + at, value);
		written = at + 8;
		judge_write(witness, page + i, floor[i], stamp_gpa(page) + at, value);
	}
	return written;
}

/* The same again and again, so that areas that are kept are found, and are stale when they are. */
static uint64_t favourite_run(struct worker *worker, uint64_t *floor)
{
	uint64_t page = worker->favourite;

	if (!page || one_in(&worker->witness.random, 32))
		page = worker->favourite = any_run(worker, floor);
	for (unsigned int i = 0; i < RUN_PAGES; i++)
		floor[i] = page_floor(worker->witness.domain, page + i);
	return page;
}

/* Another pin of the same is somewhere else. */
static void check_own(struct worker *worker, const char *pointer, uint64_t page, size_t len)
{
	size_t wanted = len;
	char *other = mapcache_pin(worker->client, stamp_gpa(page), &len, PROT_READ,
				   MAPCACHE_PIN_OWN_MAPPING);

	if (!other)
		return;
	must(len == wanted);
	must(other + len <= pointer || pointer + len <= other);
	must(!mapcache_unpin(worker->witness.device->cache, other, 0));
}

/* A run of pages, most of them in one bucket, some across two or three. */
void access_span(struct worker *worker)
{
	static const unsigned int flags[] = { MAPCACHE_PIN_CONTIGUOUS, MAPCACHE_PIN_OWN_MAPPING,
					      MAPCACHE_PIN_CONTIGUOUS | MAPCACHE_PIN_OWN_MAPPING };
	struct witness *witness = &worker->witness;
	uint64_t *random = &witness->random, floor[RUN_PAGES];
	struct parcel parcel = { .page = favourite_run(worker, floor) };
	unsigned int pages = 1 + (unsigned int)random_below(random, RUN_PAGES);
	size_t wanted = (pages - 1) * PAGE + 8, len = wanted;
	unsigned int how = flags[random_below(random, 3)];
	bool write = one_in(random, 2);

	witness->doing = "pinning in one piece";
	parcel.pointer = mapcache_pin(worker->client, stamp_gpa(parcel.page), &len,
				      write ? RW : PROT_READ, how);
	if (!parcel.pointer) {
		judge_run_error(witness, parcel.page, floor, pages, errno);
		return;
	}
	must(len == wanted);
	if (how & MAPCACHE_PIN_OWN_MAPPING)
		check_own(worker, parcel.pointer, parcel.page, len);
	parcel.first = read_word(parcel.pointer);
	parcel.written = check_run(worker, parcel.pointer, parcel.page, floor, pages, write);
	keep_or_release(worker, parcel);
}
