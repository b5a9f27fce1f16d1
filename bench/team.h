/* SPDX-License-Identifier: MIT */
/* A few threads that start together, each on a CPU of its own where there are enough. */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

struct team;

typedef void (*team_member)(struct team *team, unsigned int index, void *data);

/* Runs member on that many new threads and waits for all of them. 0 or -errno. */
int team_run(unsigned int threads, team_member member, void *data);

/* All members meet here. */
void team_meet(struct team *team);

#endif
