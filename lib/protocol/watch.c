/* SPDX-License-Identifier: MIT */
/*
 * Sections that do not end. A section holds back whatever was unpublished after it began, so one
 * that is open for long is told once, and can be found: the scans that it stops note since when.
 *
 * A client that begins one section after the other shows the same word as long as the stamp does
 * not move, so only a word older than the stamp is known to be one section.
 */
#include "lib/protocol/protocol.h"

#include "lib/base/base.h"
#include "lib/cache.h"

#define WATCH_LONG_NS NS_PER_SECOND

/* Clients lock held. Whether it is to be told now. */
static bool watch_client(struct mapcache_client *client, uint64_t stamp, uint64_t now)
{
	uint64_t section = mapcache_load_relaxed(&client->fast.section) & ~MAPCACHE_SECTION_SPECIAL;
	struct watched *watched = &client->watched;

	if (epoch_section_idle(section) || section == stamp) {
		watched->section = 0;
		return false;
	}
	if (watched->section != section) {
		*watched = (struct watched){ .section = section, .since_ns = now };
		return false;
	}
	if (watched->told || now - watched->since_ns < WATCH_LONG_NS)
		return false;
	watched->told = true;
	return true;
}

void watch_sections(struct mapcache *cache)
{
	struct clients *clients = &cache->protocol.clients;
	uint64_t stamp = mapcache_load_relaxed(&cache->shared.stamp), now = clock_ns();
	const struct mapcache_client *late = NULL;
	struct mapcache_client *client;
	int thread = 0;

	pthread_mutex_lock(&clients->lock);
	for (client = clients->first; client; client = client->next) {
		if (!watch_client(client, stamp, now))
			continue;
		late = client;
		thread = client->thread;
		mapcache_add_relaxed(&cache->protocol.long_sections, 1);
	}
	pthread_mutex_unlock(&clients->lock);
	if (late)
		log_message(cache, MAPCACHE_LOG_WARNING,
			    "a section of thread %d (client %p) has been open for more than a "
			    "second: nothing that is stale can be unmapped until it ends",
			    thread, (const void *)late);
}

void watch_show(struct mapcache *cache, struct show *show)
{
	struct clients *clients = &cache->protocol.clients;
	const struct mapcache_client *client;
	uint64_t now = clock_ns();

	watch_sections(cache);
	pthread_mutex_lock(&clients->lock);
	for (client = clients->first; client; client = client->next) {
		uint64_t section = mapcache_load_relaxed(&client->fast.section);
		bool held = client->watched.section &&
			    client->watched.section == (section & ~MAPCACHE_SECTION_SPECIAL);

		show_begin(show, "client", (uintptr_t)client);
		/* The kernel's number of whose sections they are; 0: nobody's yet. */
		show_number(show, "thread", (uint64_t)client->thread);
		show_flag(show, "in_section", !epoch_section_idle(section));
		show_number(show, "epoch", epoch_of(section));
		/* At least. */
		show_number(show, "holds_back_ms",
			    held ? (now - client->watched.since_ns) / NS_PER_MS : 0);
		show_end(show);
	}
	pthread_mutex_unlock(&clients->lock);
}
