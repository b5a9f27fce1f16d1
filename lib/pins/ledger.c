/* SPDX-License-Identifier: MIT */
#include "lib/pins/pins.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/base.h"

struct ledger_entry {
	struct ledger_entry *next;
	const char *pointer;
	size_t len;
	const void *caller;
	int thread;
};

void ledger_destroy(struct ledger *ledger)
{
	while (ledger->first) {
		struct ledger_entry *entry = ledger->first;

		ledger->first = entry->next;
		free(entry);
	}
	pthread_mutex_destroy(&ledger->lock);
}

void ledger_pin(struct mapcache_client *client, const void *pointer, size_t len, const void *caller)
{
	struct ledger *ledger = &client->cache->pins.ledger;
	struct ledger_entry *entry = malloc(sizeof(*entry));

	pthread_mutex_lock(&ledger->lock);
	if (entry) {
		*entry = (struct ledger_entry){ .next = ledger->first,
						.pointer = pointer,
						.len = len,
						.caller = caller,
						.thread = client->thread };
		ledger->first = entry;
	} else {
		ledger->incomplete = true;
	}
	pthread_mutex_unlock(&ledger->lock);
}

bool ledger_unpin(struct mapcache *cache, const void *pointer, const void *caller)
{
	struct ledger *ledger = &cache->pins.ledger;
	struct ledger_entry **link, *entry;
	bool known;

	pthread_mutex_lock(&ledger->lock);
	for (link = &ledger->first; (entry = *link); link = &entry->next) {
		if ((uintptr_t)pointer - (uintptr_t)entry->pointer < entry->len)
			break;
	}
	if (entry)
		*link = entry->next;
	known = entry || ledger->incomplete;
	pthread_mutex_unlock(&ledger->lock);
	free(entry);
	if (!known)
		log_message(
			cache, MAPCACHE_LOG_ERROR,
			"misuse at %p: no pin that is held covers %p, given back once more than "
			"it was pinned?",
			caller, pointer);
	return known;
}

void ledger_look_up(struct mapcache_client *client, uint64_t gpa, int prot, const void *caller)
{
	struct mapcache *cache = client->cache;
	int thread = (int)syscall(SYS_gettid);

	if (!mapcache_inside_inline(client))
		log_message(cache, MAPCACHE_LOG_ERROR,
			    "misuse at %p: a pointer to 0x%llx is asked for outside of a section",
			    caller, (unsigned long long)gpa);
	else if (client->thread && client->thread != thread)
		log_message(cache, MAPCACHE_LOG_ERROR,
			    "misuse at %p: thread %d uses a client whose section is thread %d's",
			    caller, thread, client->thread);
	if (prot == 0 || (prot & ~(PROT_READ | PROT_WRITE)))
		log_message(cache, MAPCACHE_LOG_ERROR,
			    "misuse at %p: prot 0x%x for 0x%llx is neither reading nor writing",
			    caller, (unsigned int)prot, (unsigned long long)gpa);
}

void ledger_show(struct mapcache *cache, struct show *show)
{
	struct ledger *ledger = &cache->pins.ledger;
	const struct ledger_entry *entry;

	pthread_mutex_lock(&ledger->lock);
	for (entry = ledger->first; entry; entry = entry->next) {
		show_begin(show, "address", (uintptr_t)entry->pointer);
		show_number(show, "len", entry->len);
		show_hex(show, "caller", (uintptr_t)entry->caller);
		show_number(show, "thread", (uint64_t)entry->thread);
		show_end(show);
	}
	pthread_mutex_unlock(&ledger->lock);
}
