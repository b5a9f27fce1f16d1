/* SPDX-License-Identifier: MIT */
/* A few threads that start together. */
#include "bench/team.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bench/machine.h"

struct team {
	pthread_barrier_t barrier;
	pthread_mutex_t gate; /* held until every thread was created, or one could not be */
	bool abandoned;
	team_member member;
	void *data;
};

struct seat {
	struct team *team;
	unsigned int index;
	pthread_t thread;
};

static void *seat_run(void *argument)
{
	struct seat *seat = argument;

	machine_pin_thread(seat->index);
	pthread_mutex_lock(&seat->team->gate);
	pthread_mutex_unlock(&seat->team->gate);
	if (!seat->team->abandoned) {
		team_meet(seat->team);
		seat->team->member(seat->team, seat->index, seat->team->data);
	}
	return NULL;
}

void team_meet(struct team *team)
{
	pthread_barrier_wait(&team->barrier);
}

int team_run(unsigned int threads, team_member member, void *data)
{
	struct team team = { .member = member, .data = data, .gate = PTHREAD_MUTEX_INITIALIZER };
	struct seat *seats = calloc(threads, sizeof(*seats));
	unsigned int started = 0;
	int error = 0;

	if (!seats)
		return -ENOMEM;
	if (pthread_barrier_init(&team.barrier, NULL, threads)) {
		free(seats);
		return -ENOMEM;
	}
	pthread_mutex_lock(&team.gate);
	for (; started < threads && !error; started += !error) {
		seats[started].team = &team;
		seats[started].index = started;
		error = -pthread_create(&seats[started].thread, NULL, seat_run, &seats[started]);
	}
	team.abandoned = error != 0;
	pthread_mutex_unlock(&team.gate);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(seats[i].thread, NULL);
	pthread_barrier_destroy(&team.barrier);
	free(seats);
	return error;
}
