/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include <tests/support/gate.h>
#include <tests/xensim/xensim.h>

static void gate_hook(void *data, bool end, uint64_t gfn, size_t pages)
{
	struct gate *gate = data;

	pthread_mutex_lock(&gate->lock);
	if (gate->closed && end == gate->end && gate->gfn - gfn < pages) {
		gate->stopped++;
		pthread_cond_broadcast(&gate->changed);
		while (gate->closed)
			pthread_cond_wait(&gate->changed, &gate->lock);
	}
	pthread_mutex_unlock(&gate->lock);
}

void gate_close(struct gate *gate, uint64_t gfn, bool end)
{
	pthread_mutex_lock(&gate->lock);
	gate->gfn = gfn;
	gate->end = end;
	gate->closed = true;
	gate->stopped = 0;
	pthread_mutex_unlock(&gate->lock);
	xensim_set_map_hook(gate_hook, gate);
}

void gate_wait(struct gate *gate, unsigned int calls)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->stopped < calls)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
	xensim_set_map_hook(NULL, NULL);
	pthread_mutex_lock(&gate->lock);
	gate->closed = false;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}
