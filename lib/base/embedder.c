/* SPDX-License-Identifier: MIT */
/* What the embedder is told: messages, what shows guest memory, that the guest is gone. */
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/base.h"
#include "lib/cache.h"

#define LOG_PER_SECOND 10u

/* Whether one more message may go out now; *suppressed: how many did not since the last. */
static bool log_admit(struct mapcache *cache, uint32_t *suppressed)
{
	struct log *log = &cache->log;
	uint64_t now = clock_ns();
	bool admit;

	pthread_mutex_lock(&cache->accounts.lock);
	if (now - log->window_ns >= NS_PER_SECOND) {
		log->window_ns = now;
		log->written = 0;
	}
	admit = log->written < LOG_PER_SECOND;
	if (admit) {
		log->written++;
		*suppressed = log->suppressed;
		log->suppressed = 0;
	} else {
		log->suppressed++;
	}
	pthread_mutex_unlock(&cache->accounts.lock);
	return admit;
}

void log_message(struct mapcache *cache, enum mapcache_log_level level, const char *format, ...)
{
	const struct mapcache_options *options = &cache->embedder.options;
	char text[256];
	uint32_t suppressed;
	va_list arguments;
	int length;

	if (!options->log || !log_admit(cache, &suppressed))
		return;
	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (suppressed && length >= 0 && (size_t)length < sizeof(text))
		snprintf(text + length, sizeof(text) - (size_t)length,
			 " (%u messages left out before this one)", suppressed);
	options->log(options->log_data, level, text);
}

void notify(struct mapcache *cache, enum mapcache_event event, uint64_t gpa, void *address,
	    uint64_t len)
{
	const struct mapcache_options *options = &cache->embedder.options;

	if (options->notify)
		options->notify(options->notify_data, event, gpa, address, len);
}

void notify_gone(struct mapcache *cache)
{
	uint32_t told = 0;

	if (!mapcache_replace_acq_rel(&cache->embedder.gone_told, &told, 1))
		return;
	log_message(cache, MAPCACHE_LOG_WARNING,
		    "domain %u is gone: what it had stays mapped here until it is unmapped",
		    cache->settings.domid);
	if (cache->embedder.options.gone)
		cache->embedder.options.gone(cache->embedder.options.gone_data);
}
