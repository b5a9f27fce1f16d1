/* SPDX-License-Identifier: MIT */
/* Workers: threads of a device model, each with a client, that do everything at random. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "torture.h"

#define SLOW_STEPS 1500u
#define SLOW_NS 2000000u

static void watch(struct worker *worker)
{
	struct mapcache *cache = worker->witness.device->cache;
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t epoch = mapcache_epoch(cache);

	must(!mapcache_stats(cache, &stats));
	must(stats.epoch >= epoch);
	must(stats.slots_used <= worker->witness.device->options.max_bytes >>
	     worker->witness.device->options.bucket_shift);
	if (one_in(&worker->witness.random, 16)) {
		FILE *file = fopen("/dev/null", "w");

		must(file && !mapcache_dump(cache, file) && !mapcache_dump_json(cache, file));
		fclose(file);
	}
}

/* A pin of our own older than the epoch is one that a drain must wait for (F). */
static void drain(struct worker *worker)
{
	struct mapcache *cache = worker->witness.device->cache;
	uint64_t *random = &worker->witness.random, epoch;
	size_t len = 8;
	void *pin;
	int error;

	worker->witness.doing = "draining";
	mapcache_begin(worker->client);
	must(mapcache_drain(cache, mapcache_epoch(cache), 0, 0) == -EDEADLK);
	must(!mapcache_end(worker->client));
	error = mapcache_drain(cache, mapcache_epoch(cache), (int)random_below(random, 3), 0);
	must(!error || error == -ETIMEDOUT);
	must(mapcache_drain(cache, mapcache_epoch(cache) + 1000000, 0, 0) == -EINVAL);
	pin = mapcache_pin(worker->client, stamp_gpa(any_page(random)), &len, PROT_READ,
			   one_in(random, 2) ? MAPCACHE_PIN_OWN_MAPPING : 0);
	epoch = mapcache_invalidate(cache);
	must(mapcache_epoch(cache) >= epoch);
	if (!pin)
		return;
	must(mapcache_drain(cache, epoch, 0, MAPCACHE_DRAIN_PINS) == -ETIMEDOUT);
	must(!mapcache_client_unpin(worker->client, pin, 0));
	error = mapcache_drain(cache, epoch, (int)random_below(random, 3), MAPCACHE_DRAIN_PINS);
	must(!error || error == -ETIMEDOUT);
}

/* Not while anybody holds a part of it, ourselves included. */
static void unmap(struct worker *worker)
{
	struct device *device = worker->witness.device;
	uint64_t *random = &worker->witness.random, gpa = any_page(random) * PAGE;
	size_t len = 8;
	void *pin;
	int error;

	worker->witness.doing = "unmapping at once";
	pin = mapcache_pin(worker->client, gpa, &len, PROT_READ,
			   one_in(random, 2) ? MAPCACHE_PIN_OWN_MAPPING : 0);
	if (pin) {
		must(mapcache_unmap(device->cache, gpa, 8, 0) == -ETIMEDOUT);
		must(!mapcache_client_unpin(worker->client, pin, 0));
	}
	error = mapcache_unmap(device->cache, gpa, 1 + random_below(random, 8 * PAGE),
			       (int)random_below(random, 3));
	must(!error || error == -ETIMEDOUT);
	mapcache_begin(worker->client);
	must(mapcache_unmap(device->cache, gpa, 8, -1) == -EDEADLK);
	must(!mapcache_end(worker->client));
}

static void invalidate_something(struct worker *worker)
{
	struct mapcache *cache = worker->witness.device->cache;
	uint64_t page = any_page(&worker->witness.random);

	must(!mapcache_invalidate_range(cache, page * PAGE, 1 + page % 64 * PAGE));
	must(mapcache_invalidate_range(cache, UINT64_MAX - 4, 8) == -ERANGE);
	if (one_in(&worker->witness.random, 16))
		must(!mapcache_invalidate_range(cache, 0, UINT64_MAX));
}

static void open_client(struct worker *worker)
{
	struct mapcache *cache = worker->witness.device->cache;

	if (!worker->thread_client) {
		must(!mapcache_client_open(cache, &worker->client));
		return;
	}
	worker->client = mapcache_thread_client(cache);
	must(worker->client && mapcache_thread_client(cache) == worker->client);
}

static void open_anew(struct worker *worker)
{
	struct mapcache *cache = worker->witness.device->cache;

	mapcache_begin(worker->client);
	must(mapcache_client_close(worker->client) == -EBUSY);
	must(!mapcache_end(worker->client));
	must(mapcache_close(cache) == -EBUSY);
	/* Its pins stay. */
	must(!mapcache_client_close(worker->client));
	open_client(worker);
}

/* For the last pass of a migration, the device stopped or not. */
static void report_pins(struct worker *worker)
{
	struct device *device = worker->witness.device;

	worker->witness.doing = "reporting what is pinned";
	must(!mapcache_modified_pins(device->cache));
}

static void rarely(struct worker *worker)
{
	switch (random_below(&worker->witness.random, 13)) {
	case 0:
		access_nonsense(worker);
		break;
	case 1:
		watch(worker);
		break;
	case 2:
		drain(worker);
		break;
	case 3:
	case 4:
		invalidate_something(worker);
		break;
	case 5:
		(void)mapcache_reclaim(worker->witness.device->cache,
				       random_below(&worker->witness.random, 64) * PAGE);
		break;
	case 6:
		worker_release(worker);
		break;
	case 7:
		unmap(worker);
		break;
	case 8:
	case 9:
		log_switch(worker->witness.device, one_in(&worker->witness.random, 2));
		break;
	case 10:
		cancel_somebody(worker);
		break;
	case 11:
		report_pins(worker);
		break;
	default:
		open_anew(worker);
	}
}

void worker_step(struct worker *worker)
{
	switch (random_below(&worker->witness.random, 32)) {
	case 0:
	case 1:
	case 2:
	case 3:
		access_write(worker);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		access_pin(worker);
		break;
	case 8:
		access_iov(worker);
		break;
	case 9:
		access_sgl(worker);
		break;
	case 10:
	case 11:
		access_read(worker);
		break;
	case 12:
	case 13:
		access_copy(worker);
		break;
	case 14:
		access_span(worker);
		break;
	case 15:
		if (one_in(&worker->witness.random, 4))
			access_replace(worker);
		break;
	case 16:
		if (one_in(&worker->witness.random, 4))
			rarely(worker);
		break;
	default:
		access_section(worker);
	}
}

static void account(struct worker *worker)
{
	struct round *round = worker->witness.domain->round;
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	__atomic_fetch_add(&round->checked, worker->witness.checked, __ATOMIC_RELAXED);
	round->refused += worker->witness.refused;
	histogram_merge(&round->late, &worker->witness.late);
	round->late_pins += worker->witness.late_pins;
	pthread_mutex_unlock(&lock);
}

/*
 * Those who get on well do more; everybody does his least. Where all wait for room, the round
 * ends before its time and another one makes up for it.
 */
static bool finished(struct worker *worker)
{
	struct round *round = worker->witness.domain->round;
	uint64_t news = worker->witness.checked - worker->told, done;

	if (is_set(&round->stop_workers))
		return true;
	if (worker->witness.checked < worker->least)
		return false;
	if (worker->witness.device->visitor)
		return true;
	worker->told += news;
	done = __atomic_add_fetch(&round->done, news, __ATOMIC_RELAXED);
	return done >= round->accesses ||
	       __atomic_load_n(&round->slow, __ATOMIC_RELAXED) > SLOW_STEPS;
}

static void step(struct worker *worker)
{
	uint64_t before = clock_now();

	worker_step(worker);
	if (clock_now() - before > SLOW_NS)
		__atomic_fetch_add(&worker->witness.domain->round->slow, 1, __ATOMIC_RELAXED);
}

void *worker_run(void *data)
{
	struct worker *worker = data;
	struct witness *witness = &worker->witness;

	worker->thread_client = one_in(&witness->random, 2);
	open_client(worker);
	while (!finished(worker))
		step(worker);
	worker_release(worker);
	/* The thread's own goes with it, or with the cache. */
	if (!worker->thread_client)
		must(!mapcache_client_close(worker->client));
	account(worker);
	return NULL;
}
