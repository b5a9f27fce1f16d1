/* SPDX-License-Identifier: MIT */
/* One thread calls it, the others compute: each that is on a CPU has to be interrupted. */
#include "bench/barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/team.h"

#define CALLS 400

struct barrier_run {
	unsigned int others, running;
	bool stop;
	int error;
	double ns;
};

static void call(struct barrier_run *run)
{
	uint64_t begin;

	while (__atomic_load_n(&run->running, __ATOMIC_RELAXED) < run->others)
		sched_yield();
	begin = clock_now();
	for (unsigned int i = 0; i < CALLS && !run->error; i++)
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
			run->error = -errno;
	run->ns = (double)(clock_now() - begin) / CALLS;
	__atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
}

static void member(struct team *team, unsigned int index, void *data)
{
	struct barrier_run *run = data;

	team_meet(team);
	if (index == 0) {
		call(run);
		return;
	}
	__atomic_fetch_add(&run->running, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&run->stop, __ATOMIC_RELAXED))
		;
}

int barrier_measure(unsigned int others, double *ns)
{
	struct barrier_run run = { .others = others };
	int error;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return -errno;
	error = team_run(others + 1, member, &run);
	*ns = run.ns;
	return error ? error : run.error;
}
