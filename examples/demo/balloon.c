/* SPDX-License-Identifier: MIT */
/*
 * The vCPU that balloons: gives free pages to Xen, and takes the ones of the round before
 * back, at a given rate. Every round's INVALIDATE makes it stand still until it is answered.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/random.h"
#include "demo.h"

#define BATCH 8u

struct balloon {
	struct demo *demo;
	struct xensim_vcpu *vcpu;
	uint64_t out[BATCH]; /* pages that are with Xen now */
	uint32_t out_count;
	uint64_t random;
	uint64_t waits; /* INVALIDATEs waited for so far */
};

/* Somebody else's data, as far as a buffer that is made of the page is concerned. */
static int scribble(struct balloon *balloon, uint64_t gfn)
{
	uint64_t page[PAGE_BYTES / sizeof(uint64_t)];
	uint32_t i;

	for (i = 0; i < sizeof(page) / sizeof(page[0]); i++)
		page[i] = random_next(&balloon->random);
	return xensim_store(balloon->vcpu, gfn * PAGE_BYTES, page, sizeof(page));
}

/* Take all pages back. Xen may have none to spare while old mappings hold them: try again. */
static int take_back(struct balloon *balloon)
{
	uint32_t done = 0, i;
	int error = 0;

	while (done < balloon->out_count) {
		int got = xensim_populate_physmap(balloon->vcpu, balloon->out + done,
						  balloon->out_count - done, 0);

		if (got < 0)
			return got;
		done += (uint32_t)got;
		if (!got) {
			balloon->demo->balloon_retries++;
			usleep(1000);
		}
	}
	for (i = 0; i < balloon->out_count && !error; i++)
		error = scribble(balloon, balloon->out[i]);
	pool_give(&balloon->demo->pool, balloon->out, balloon->out_count);
	balloon->out_count = 0;
	return error;
}

static void record_wait(struct balloon *balloon)
{
	struct xensim_wait wait;

	xensim_vcpu_wait(balloon->vcpu, &wait);
	if (wait.invalidates != balloon->waits)
		histogram_record(&balloon->demo->stood_still, wait.last_ns);
	balloon->waits = wait.invalidates;
}

static int one_round(struct balloon *balloon)
{
	uint32_t count = 1 + (uint32_t)random_below(&balloon->random, BATCH);
	uint64_t gfn[BATCH];
	int error = pool_take(&balloon->demo->pool, gfn, count), done;

	if (error)
		return 0; /* the disk has it all: nothing to give away now */
	done = xensim_decrease_reservation(balloon->vcpu, gfn, count, 0);
	if (done != (int)count)
		return done < 0 ? done : -EIO;
	record_wait(balloon);
	balloon->demo->ballooned += count;
	error = take_back(balloon);
	memcpy(balloon->out, gfn, sizeof(gfn));
	balloon->out_count = count;
	return error;
}

void balloon_program(struct xensim_vcpu *vcpu, void *data)
{
	struct demo *demo = data;
	struct balloon balloon = { .demo = demo, .vcpu = vcpu, .random = 2 };
	uint32_t rate = demo->options.balloon_rate;
	uint64_t period = rate ? CLOCK_SECOND / rate : 0, when = clock_now();
	int error = 0;

	while (!error && !demo_done(demo) && !xensim_vcpu_stopping(vcpu)) {
		if (!rate || demo_phase(demo) == DEMO_QUIET) {
			usleep(1000);
			when = clock_now();
			continue;
		}
		error = one_round(&balloon);
		when += period;
		if (when > clock_now())
			clock_sleep_until(when);
		else
			when = clock_now(); /* the guest cannot keep up: no burst later */
	}
	if (!error)
		error = take_back(&balloon);
	if (error && error != -ESHUTDOWN)
		demo_fail(demo, "the guest's balloon driver: %s", strerror(-error));
}
