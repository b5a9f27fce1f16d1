/* SPDX-License-Identifier: MIT */
/* What device models do to guest memory, each with its check. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "torture.h"

#define RW (PROT_READ | PROT_WRITE)
#define SECTION_LOOKS 64u
#define SECTION_LOOKS_LONG 4096u
#define SECTION_KEPT 8u

static uint64_t strict_of(struct worker *worker, uint64_t page)
{
	return __atomic_load_n(&worker->witness.domain->page[page].strict, __ATOMIC_ACQUIRE);
}

/* ---- sections ------------------------------------------------------------------------------ */

struct kept {
	uint64_t page, first;
	const void *pointer;
};

static bool look(struct worker *worker, uint64_t page, struct kept *kept)
{
	struct witness *witness = &worker->witness;
	uint64_t floor = page_floor(witness->domain, page);
	void *pointer = mapcache_ptr(worker->client, stamp_gpa(page), 8, PROT_READ);

	kept->pointer = pointer;
	if (!pointer) {
		int error = errno;

		judge_error(witness, page, floor, error, false);
		return error == EFAULT;
	}
	kept->page = page;
	kept->first = read_word(pointer);
	judge_value(witness, page, floor, kept->first);
	judge_told(witness, page, pointer);
	return true;
}

static void look_again(struct worker *worker, const struct kept *kept)
{
	uint64_t strict;

	if (!kept->pointer)
		return;
	strict = strict_of(worker, kept->page);
	judge_again(&worker->witness, kept->page, kept->first, read_word(kept->pointer), strict,
		    false);
}

void access_section(struct worker *worker)
{
	uint64_t *random = &worker->witness.random;
	unsigned int looks =
		1 + (unsigned int)random_below(random, one_in(random, 8) ? SECTION_LOOKS_LONG
									 : SECTION_LOOKS);
	struct kept kept[SECTION_KEPT] = { { .pointer = NULL } };
	uint64_t page = any_page(random);
	bool nested = one_in(random, 8);

	worker->witness.doing = "looking up in a section";
	mapcache_begin(worker->client);
	if (nested)
		mapcache_begin(worker->client);
	for (unsigned int i = 0; i < looks; i++) {
		if (one_in(random, 8))
			page = any_page(random);
		/* Who is refused ends his section, and with it what he holds. */
		if (!look(worker, page, &kept[i % SECTION_KEPT]))
			break;
	}
	if (one_in(random, 64))
		pause_us(random_below(random, 200));
	if (nested)
		must(!mapcache_end(worker->client));
	worker->witness.doing = "using what was looked up in a section";
	for (unsigned int i = 0; i < SECTION_KEPT; i++)
		look_again(worker, &kept[i]);
	must(!mapcache_end(worker->client));
}

/* ---- writes -------------------------------------------------------------------------------- */

static uint64_t mailbox(struct worker *worker, uint64_t *page)
{
	do
		*page = any_page(&worker->witness.random);
	while (page_use(*page) != PAGE_MAILBOX);
	return *page * PAGE + 8 * (worker->number + 1);
}

void access_write(struct worker *worker)
{
	struct witness *witness = &worker->witness;
	uint64_t page, gpa = mailbox(worker, &page), floor = page_floor(witness->domain, page);
	uint64_t value = worker_word(worker), log;
	void *pointer;
	int error;

	witness->doing = "writing in a section";
	log = log_begin(witness->device);
	mapcache_begin(worker->client);
	pointer = mapcache_ptr(worker->client, gpa, 8, RW);
	error = errno;
	if (pointer)
		write_word(pointer, value);
	must(!mapcache_end(worker->client));
	if (!pointer) {
		judge_error(witness, page, floor, error, true);
		return;
	}
	judge_reported(witness, log, page, 1);
	judge_write(witness, page, floor, gpa, value);
}

/* ---- copies -------------------------------------------------------------------------------- */

/* From stamp to stamp, over pages in which no device model writes. */
void access_read(struct worker *worker)
{
	struct witness *witness = &worker->witness;
	uint64_t floor[RUN_PAGES], page, buffer[(RUN_PAGES - 1) * PAGE / 8 + 1];
	ssize_t done;

	do
		page = any_run(worker, floor);
	while (page % 4 != 3 || page_use(page) != PAGE_PLAIN || page_use(page + 2) != PAGE_PLAIN ||
	       page_use(page + 1) != PAGE_PLAIN);
	witness->doing = "reading";
	done = mapcache_read(worker->client, stamp_gpa(page), buffer, sizeof(buffer));
	if (done < 0) {
		judge_run_error(witness, page, floor, 1, (int)-done);
		return;
	}
	for (unsigned int i = 0; i < RUN_PAGES && i * PAGE + 8 <= (size_t)done; i++)
		judge_value(witness, page + i, floor[i], buffer[i * PAGE / 8]);
}

/*
 * Across the boundary of two buckets, whatever their size, in pages that no other device model
 * uses: written, read back, and compared with what the guest has.
 */
static void copy_across(struct worker *worker, uint64_t page, uint64_t gpa, size_t len)
{
	struct witness *witness = &worker->witness;
	uint64_t floor[2] = { page_floor(witness->domain, page),
			      page_floor(witness->domain, page + 1) };
	unsigned char out[1024], in[1024], guest[1024];
	uint64_t log;
	ssize_t written, got;
	int error;

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)(worker->written + i * 7);
	worker->written++;
	log = log_begin(witness->device);
	written = mapcache_write(worker->client, gpa, out, len);
	if (written > 0)
		judge_reported(witness, log, page, 1 + (gpa % PAGE + (uint64_t)written > PAGE));
	got = mapcache_read(worker->client, gpa, in, len);
	error = xensim_guest_read(witness->domain->guest, gpa, guest, len);
	if (!run_untouched(witness, page, floor, 2))
		return;
	if (written < 0 || got < 0) {
		judge_error(witness, page, floor[0], (int)(written < 0 ? -written : -got), true);
		return;
	}
	/* A fault or a budget came between. */
	if ((size_t)written != len || (size_t)got != len)
		return;
	witness->checked += 2;
	if (error || memcmp(out, guest, len))
		fail(witness, page, "a write across buckets is lost", out[0], guest[0]);
	if (memcmp(out, in, len))
		fail(witness, page, "a read across buckets is stale", out[0], in[0]);
}

void access_copy(struct worker *worker)
{
	uint64_t *random = &worker->witness.random;
	uint64_t boundary = 512 * (1 + random_below(random, RAM_PAGES / 512 - 1));
	size_t len = 16 + random_below(random, 1008);

	/* Workers of the domain share the boundaries out. */
	if (boundary / 512 % (CACHES * WORKERS + 1) != worker->number)
		return;
	worker->witness.doing = "copying across buckets";
	copy_across(worker, boundary - 1, boundary * PAGE - random_below(random, len - 1) - 1, len);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static int error_of(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;
	int error;

	mapcache_begin(client);
	pointer = mapcache_ptr(client, gpa, len, prot);
	error = pointer ? 0 : errno;
	must(!mapcache_end(client));
	return error;
}

void access_nonsense(struct worker *worker)
{
	struct device *device = worker->witness.device;
	uint64_t bucket = UINT64_C(1) << device->options.bucket_shift;
	int error;

	worker->witness.doing = "asking for what cannot be";
	must(error_of(worker->client, UINT64_MAX - 3, 8, PROT_READ) == ERANGE);
	must(error_of(worker->client, UINT64_C(1) << 60, 8, RW) == ERANGE);
	must(error_of(worker->client, bucket - 4, 8, PROT_READ) == E2BIG);
	must(error_of(worker->client, 0, 0, PROT_READ) == EINVAL);
	must(error_of(worker->client, UINT64_C(1) << 33, 8, 0) == EINVAL);
	must(!mapcache_ptr(worker->client, UINT64_C(1) << 61, 8, PROT_READ) && errno == EINVAL);
	must(mapcache_end(worker->client) == -EINVAL);
	must(mapcache_unpin(device->cache, worker, 0) == -EINVAL);
	must(mapcache_client_unpin(worker->client, &device->cache, 0) == -EINVAL);
	/* No guest has memory there. */
	error = error_of(worker->client, (RAM_PAGES + 4096) * PAGE, 8, PROT_READ);
	must(error == EFAULT || error == EAGAIN || error == ENOMEM ||
	     (device->domain->round->faults && error == EIO));
}
