/* SPDX-License-Identifier: MIT */
/* Messages to the embedder, rate-limited: a guest decides how often things go wrong. */
#ifndef LOG_H
#define LOG_H

#include <pthread.h>

#include <mapcache/mapcache.h>

struct log {
	void (*write)(void *data, enum mapcache_log_level level, const char *message);
	void *data;
	pthread_mutex_t lock; /* protects what follows */
	uint64_t window_ns;   /* when the current second began */
	uint32_t written;     /* messages in it */
	uint32_t suppressed;  /* messages left out since the last one written */
};

int log_init(struct log *log, const struct mapcache_options *options);
void log_destroy(struct log *log);

/* Any thread, no lock of the library held. The text has no newline. */
void log_message(struct mapcache *cache, enum mapcache_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
