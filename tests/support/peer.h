/* SPDX-License-Identifier: MIT */
/*
 * Another thread with a client of its own that does one thing after the other when it is told
 * to, so that a test of several threads runs in the order that it is written in. Jobs run on
 * the peer's thread: they return what they find, and the test's thread asserts.
 */
#ifndef TESTS_SUPPORT_PEER_H
#define TESTS_SUPPORT_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <mapcache/mapcache.h>

struct peer;
typedef int (*peer_job)(struct peer *peer, void *data);

struct peer {
	struct mapcache *cache;
	struct mapcache_client *client;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t changed;
	peer_job job;
	void *data;
	int result;
	bool busy, stop;
};

void peer_open(struct peer *peer, struct mapcache *cache);
void peer_close(struct peer *peer);

void peer_start(struct peer *peer, peer_job job, void *data);
/* What the job returned. */
int peer_wait(struct peer *peer);
bool peer_busy(struct peer *peer);
int peer_run(struct peer *peer, peer_job job, void *data);

/* Jobs. data is a struct peer_look; begin and end leave it alone. */
struct peer_look {
	uint64_t gpa;
	int prot; /* 0: PROT_READ */
	volatile uint64_t *pointer;
	uint64_t value;
};
int peer_begin(struct peer *peer, void *data);
int peer_end(struct peer *peer, void *data);
/* In the section that is open: 0 and pointer and the word there, or -errno. */
int peer_ptr(struct peer *peer, void *data);
/* The same in a section of its own. */
int peer_read(struct peer *peer, void *data);
int peer_pin(struct peer *peer, void *data);
int peer_unpin(struct peer *peer, void *data);

/* Wait until it holds, half a minute at most; whether it does. */
bool eventually(bool (*holds)(void *data), void *data);

#endif
