/* SPDX-License-Identifier: MIT */
/*
 * The vCPU that does plain MMIO: registers that keep what is written to them, now and then a
 * whole block of them by a rep instruction from and to RAM. Reads are timed.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/random.h"
#include "demo.h"

#define BLOCK 256u /* bytes moved by one rep instruction */
#define PAUSE_US 50

static int one_register(struct xensim_vcpu *vcpu, struct demo *demo, uint64_t *random)
{
	uint64_t gpa = DEMO_SCRATCH_BASE + 8 * random_below(random, DEMO_SCRATCH_BYTES / 8);
	uint64_t value = random_next(random), found = 0, begin;
	bool ballooning = demo_phase(demo) != DEMO_QUIET;
	int error = xensim_mmio_write(vcpu, gpa, 8, value);

	begin = clock_now();
	if (!error)
		error = xensim_mmio_read(vcpu, gpa, 8, &found);
	if (error)
		return error;
	histogram_record(&demo->registers[ballooning], clock_now() - begin);
	if (value != found)
		demo_fail(demo, "a register held %#llx instead of %#llx", (unsigned long long)found,
			  (unsigned long long)value);
	return 0;
}

/* RAM to registers, registers to other RAM. */
static int block(struct xensim_vcpu *vcpu, struct demo *demo, uint64_t *random)
{
	uint64_t gfn[2], words[BLOCK / 8], found[BLOCK / 8];
	uint32_t i, offset = (uint32_t)random_below(random, PAGE_BYTES - BLOCK) & ~3u;
	int error = pool_take(&demo->pool, gfn, 2);

	if (error)
		return 0;
	for (i = 0; i < BLOCK / 8; i++)
		words[i] = random_next(random);
	error = xensim_store(vcpu, gfn[0] * PAGE_BYTES + offset, words, sizeof(words));
	if (!error)
		error = xensim_rep(vcpu, 1, DEMO_SCRATCH_BASE, gfn[0] * PAGE_BYTES + offset, 4,
				   BLOCK / 4, true, false);
	if (!error)
		error = xensim_rep(vcpu, 1, DEMO_SCRATCH_BASE, gfn[1] * PAGE_BYTES + offset, 4,
				   BLOCK / 4, false, false);
	if (!error)
		error = xensim_load(vcpu, gfn[1] * PAGE_BYTES + offset, found, sizeof(found));
	if (!error && memcmp(words, found, sizeof(words)))
		__atomic_fetch_add(&demo->stale, 1, __ATOMIC_RELAXED);
	pool_give(&demo->pool, gfn, 2);
	return error;
}

void registers_program(struct xensim_vcpu *vcpu, void *data)
{
	struct demo *demo = data;
	uint64_t random = 3;
	uint32_t round;
	int error = 0;

	for (round = 0; !error && !demo_done(demo) && !xensim_vcpu_stopping(vcpu); round++) {
		error = one_register(vcpu, demo, &random);
		if (!error && round % 16 == 0)
			error = block(vcpu, demo, &random);
		usleep(PAUSE_US);
	}
	if (error && error != -ESHUTDOWN)
		demo_fail(demo, "the guest's MMIO: %s", strerror(-error));
}
