/* SPDX-License-Identifier: MIT */
/* What base keeps of a cache. Its own files only. */
#ifndef MAPCACHE_BASE_STATE_H
#define MAPCACHE_BASE_STATE_H

#include <pthread.h>

#include <mapcache/mapcache.h>

/* Bytes mapped, and of which epoch how many are current. */
struct accounts {
	pthread_mutex_t lock; /* protects what follows but for memory_bytes; struct log */
	mapcache_atomic_u64 mapped_bytes; /* read by whoever has mapped something, too */
	uint64_t current_epoch;           /* current_bytes is about this epoch */
	uint64_t current_bytes;
	mapcache_atomic_u64 stale_bytes_max;
	mapcache_atomic_u64 memory_bytes;
};

/* What the embedder gave: any room may call it, with no lock held (G). */
struct embedder {
	struct mapcache_backend backend_known; /* the given one, completed */
	const struct mapcache_backend *backend;
	void *backend_state;
	struct mapcache_options options; /* its callbacks; numbers are in the settings */
	mapcache_atomic_u32 gone_told;
};

struct log {
	uint64_t window_ns;  /* when the current second began */
	uint32_t written;    /* messages in it */
	uint32_t suppressed; /* messages left out since the last one written */
};

#endif
