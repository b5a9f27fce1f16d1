/* SPDX-License-Identifier: MIT */
/*
 * Threads that are cancelled wherever they happen to be. Their client is the thread's own, whose
 * section ends with it; what they pin they give back without a moment in between at which they
 * could be cancelled. So nothing is left of them.
 */
#include <sys/mman.h>

#include <tests/support/cancellable.h>

#include "torture.h"

#define VICTIM_US 3000

struct victim {
	struct device *device;
	uint64_t random;
};

static void look_around(struct victim *victim, struct mapcache_client *client)
{
	mapcache_begin(client);
	for (int i = 0; i < 4; i++) {
		void *pointer =
			mapcache_ptr(client, stamp_gpa(any_page(&victim->random)), 8, PROT_READ);

		if (pointer)
			(void)read_word(pointer);
		pthread_testcancel();
	}
	must(!mapcache_end(client));
}

static void pin_and_unpin(struct victim *victim, struct mapcache_client *client)
{
	uint64_t page = any_page(&victim->random) % (RAM_PAGES - RUN_PAGES);
	size_t len = RUN_PAGES * PAGE;
	void *pin = mapcache_pin(client, page * PAGE, &len, PROT_READ,
				 one_in(&victim->random, 2) ? MAPCACHE_PIN_CONTIGUOUS : 0);

	if (pin)
		must(!mapcache_unpin(victim->device->cache, pin, 0));
}

static void *victim_run(void *data)
{
	struct victim *victim = data;
	struct mapcache *cache = victim->device->cache;
	char buffer[2 * PAGE];

	for (;;) {
		struct mapcache_client *client = mapcache_thread_client(cache);

		must(client);
		switch (random_below(&victim->random, 8)) {
		case 0:
			pin_and_unpin(victim, client);
			break;
		case 1:
			(void)!mapcache_read(client, any_page(&victim->random) * PAGE - PAGE / 2,
					     buffer, sizeof(buffer));
			break;
		case 2:
			(void)mapcache_reclaim(cache, PAGE);
			break;
		case 3:
			(void)!mapcache_drain(cache, mapcache_epoch(cache), -1, 0);
			break;
		case 4:
			must(!mapcache_client_close(client));
			break;
		default:
			look_around(victim, client);
		}
		pthread_testcancel();
	}
}

void cancel_somebody(struct worker *worker)
{
	struct victim victim = { worker->witness.device, random_next(&worker->witness.random) };
	pthread_t thread;
	void *result;

	if (!CANCELLABLE)
		return;
	worker->witness.doing = "cancelling a thread";
	must(!pthread_create(&thread, NULL, victim_run, &victim));
	pause_us(random_below(&worker->witness.random, VICTIM_US));
	must(!pthread_cancel(thread));
	must(!pthread_join(thread, &result));
	must(result == PTHREAD_CANCELED);
	worker->witness.checked++;
}
