/* SPDX-License-Identifier: MIT */
/*
 * A guest that does its worst to the process that serves it: the process stays as large as its
 * options say, says little, and serves everybody else.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <bench/random.h>

#include "hostile_scene.h"

#define STORM_ROUNDS 6000u
#define TEARDOWNS 60u

/* ---- an endless balloon storm ------------------------------------------------------------ */

static void balloon(struct xensim_vcpu *vcpu, void *data)
{
	struct scene *scene = data;
	uint64_t random = SEED;

	while (!__atomic_load_n(&scene->stop, __ATOMIC_ACQUIRE)) {
		uint64_t gfn = random_below(&random, RAM_PAGES);

		if (xensim_decrease_reservation(vcpu, &gfn, 1, 0) == 1)
			xensim_populate_physmap(vcpu, &gfn, 1, 0);
	}
}

static void a_balloon_storm_leaves_memory_and_log_bounded(void **state)
{
	struct scene scene;
	struct mapcache_client *client;
	struct mapcache_stats stats;
	uint64_t random = SEED, started, refused = 0;
	char byte[64];

	(void)state;
	scene_start(&scene, 1);
	scene_serve(&scene, 1);
	assert_int_equal(mapcache_client_open(scene.rig.cache, &client), 0);
	assert_int_equal(xensim_vcpu_start(scene.rig.domain, 0, balloon, &scene), 0);
	started = now_ns(CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < STORM_ROUNDS; i++) {
		uint64_t gpa = random_below(&random, RAM_PAGES * PAGE - sizeof(byte));

		refused += mapcache_read(client, gpa, byte, sizeof(byte)) < 0;
		if (i % 64 == 0)
			scene_check_bounds(&scene, started);
	}
	__atomic_store_n(&scene.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(xensim_vcpu_join(scene.rig.domain, 0), 0);
	stats = scene_stats(&scene);
	print_message("%lu INVALIDATEs, %u reads, %lu at holes or refused; at most %lu KiB stale, "
		      "%lu KiB of the library's own, %lu lines of log\n",
		      (unsigned long)stats.epoch, STORM_ROUNDS, (unsigned long)refused,
		      (unsigned long)stats.stale_bytes_max >> 10,
		      (unsigned long)stats.memory_bytes >> 10, (unsigned long)scene.log_lines);
	assert_true(refused < STORM_ROUNDS / 4);
	assert_true(stats.stale_bytes_max <= (SLOTS + 2) * BUCKET);
	assert_int_equal(mapcache_client_close(client), 0);
	rig_device_close(&scene.device);
	scene_stop(&scene);
}

/* ---- DMA everywhere ---------------------------------------------------------------------- */

/* How much of the range can be reached, page by page, without the cache. */
static size_t reachable(struct scene *scene, uint64_t gpa, size_t len)
{
	size_t done = 0;
	char byte;

	while (done < len && gpa + done >= gpa &&
	       !xensim_guest_read(scene->rig.domain, gpa + done, &byte, 1)) {
		size_t page = PAGE - (gpa + done) % PAGE;

		done += page < len - done ? page : len - done;
	}
	return done;
}

static void check_dma(struct scene *scene, struct mapcache_client *client, uint64_t gpa, size_t len)
{
	static char buffer[4 * BUCKET], guest[4 * BUCKET];
	size_t expected = reachable(scene, gpa, len);
	ssize_t got = mapcache_read(client, gpa, buffer, len);

	if (expected == 0) {
		assert_true(got == -EFAULT || got == -ERANGE);
		assert_true(mapcache_write(client, gpa, buffer, len) < 0);
		return;
	}
	assert_int_equal(got, expected);
	assert_int_equal(xensim_guest_read(scene->rig.domain, gpa, guest, expected), 0);
	assert_memory_equal(buffer, guest, expected);
	memset(buffer, (int)gpa, expected);
	assert_int_equal(mapcache_write(client, gpa, buffer, len), expected);
	assert_int_equal(xensim_guest_read(scene->rig.domain, gpa, guest, expected), 0);
	assert_memory_equal(buffer, guest, expected);
}

static void dma_ends_exactly_where_the_memory_ends(void **state)
{
	static const uint64_t holes[] = { 5, 15, 16, 31, 47, 48, 49, 100 };
	static const size_t lengths[] = { 1, 8, 4095, 4096, 4097, BUCKET, 2 * BUCKET + 3 };
	struct scene scene;
	struct mapcache_client *client;

	(void)state;
	scene_start(&scene, 1);
	assert_int_equal(mapcache_client_open(scene.rig.cache, &client), 0);
	for (unsigned int i = 0; i < sizeof(holes) / sizeof(*holes); i++)
		assert_int_equal(xensim_outside_remove(scene.rig.domain, holes[i]), 1);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		size_t len = lengths[i];

		for (uint64_t page = 0; page <= 64; page++)
			for (int off = -1; off <= 1; off++)
				check_dma(&scene, client, page * PAGE + (uint64_t)(page ? off : 0),
					  len);
		check_dma(&scene, client, RAM_PAGES * PAGE - len, len);
		check_dma(&scene, client, RAM_PAGES * PAGE - 1, len);
		check_dma(&scene, client, RAM_PAGES * PAGE, len);
		check_dma(&scene, client, (UINT64_C(1) << 43) - 1, len);
		check_dma(&scene, client, UINT64_C(1) << 62, len);
		check_dma(&scene, client, UINT64_MAX - len + 1, len);
		check_dma(&scene, client, UINT64_MAX - len / 2, len);
	}
	assert_int_equal(mapcache_client_close(client), 0);
	scene_stop(&scene);
}

/* ---- a server that goes while it is asked ------------------------------------------------ */

static void keep_asking(struct xensim_vcpu *vcpu, void *data)
{
	struct scene *scene = data;
	uint64_t random = SEED + xensim_vcpu_id(vcpu), value;

	while (!__atomic_load_n(&scene->stop, __ATOMIC_ACQUIRE)) {
		uint64_t gfn = xensim_vcpu_id(vcpu) * 512 + random_below(&random, 512);

		if (xensim_decrease_reservation(vcpu, &gfn, 1, 0) == 1)
			xensim_populate_physmap(vcpu, &gfn, 1, 0);
		(void)xensim_mmio_read(vcpu, RIG_MMIO + 8 * random_below(&random, 16), 8, &value);
		(void)xensim_rep(vcpu, 0, RIG_PORT, gfn * PAGE, 4, 2000, true, false);
	}
}

static void a_server_may_go_while_it_is_asked(void **state)
{
	struct scene scene;
	uint64_t started;

	(void)state;
	scene_start(&scene, 2);
	for (uint32_t vcpu = 0; vcpu < 2; vcpu++)
		assert_int_equal(xensim_vcpu_start(scene.rig.domain, vcpu, keep_asking, &scene), 0);
	started = now_ns(CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < TEARDOWNS; i++) {
		scene_serve(&scene, 1 + i % 2);
		usleep(1000 + i % 7 * 300);
		/* From the halt to the close nobody answers, and requests come in. */
		rig_device_halt(&scene.device);
		usleep(i % 5 * 200);
		rig_device_close(&scene.device);
	}
	__atomic_store_n(&scene.stop, true, __ATOMIC_RELEASE);
	for (uint32_t vcpu = 0; vcpu < 2; vcpu++)
		assert_int_equal(xensim_vcpu_join(scene.rig.domain, vcpu), 0);
	print_message("%u servers came and went, %lu requests served\n", TEARDOWNS,
		      (unsigned long)scene.served);
	assert_true(scene.served > 0);
	scene_check_bounds(&scene, started);
	scene_stop(&scene);
}

/* ---- a map that hangs for ever ----------------------------------------------------------- */

#define HUNG_PAGE UINT64_C(0x700)

/* Its device model's thread never comes back from this one. */
static void ask_for_what_hangs(struct xensim_vcpu *vcpu, void *data)
{
	(void)data;
	(void)xensim_rep(vcpu, 1, RIG_MMIO, HUNG_PAGE * PAGE, 8, 4, true, false);
}

struct bystander {
	struct scene *scene;
	uint64_t most_ns, invalidates;
	unsigned int errors;
};

static void go_on(struct xensim_vcpu *vcpu, void *data)
{
	struct bystander *bystander = data;
	uint64_t value = 0, before;
	struct xensim_wait wait;

	for (uint64_t i = 0; i < 300; i++) {
		uint64_t gfn = i * 16 % 0x600;

		before = now_ns(CLOCK_MONOTONIC);
		bystander->errors += xensim_decrease_reservation(vcpu, &gfn, 1, 0) != 1;
		bystander->errors += xensim_populate_physmap(vcpu, &gfn, 1, 0) != 1;
		bystander->errors += xensim_mmio_read(vcpu, RIG_MMIO ^ (i * 8 % 4096), 8, &value);
		bystander->errors += xensim_rep(vcpu, 1, RIG_MMIO, gfn * PAGE, 8, 64, true, false);
		before = now_ns(CLOCK_MONOTONIC) - before;
		bystander->most_ns = before > bystander->most_ns ? before : bystander->most_ns;
	}
	xensim_vcpu_wait(vcpu, &wait);
	bystander->invalidates = wait.invalidates;
}

static void a_map_that_hangs_for_ever_hangs_its_caller_only(void **state)
{
	struct scene scene;
	struct bystander bystander = { .scene = &scene };
	struct mapcache_client *client;
	uint64_t started, moved;
	char buffer[64];

	(void)state;
	scene_start(&scene, 2);
	scene_serve(&scene, 2);
	xensim_hang(scene.rig.domain, HUNG_PAGE);
	assert_int_equal(xensim_vcpu_start(scene.rig.domain, 0, ask_for_what_hangs, NULL), 0);
	while (xensim_hanging() == 0)
		sched_yield();
	started = now_ns(CLOCK_MONOTONIC);
	rig_run(&scene.rig, 1, go_on, &bystander);
	assert_int_equal(bystander.errors, 0);
	assert_true(bystander.invalidates >= 300);
	/* A client of its own gets everywhere else, and what is stale is given back (E). */
	assert_int_equal(mapcache_client_open(scene.rig.cache, &client), 0);
	for (uint64_t page = 0; page < 0x600; page += 5)
		assert_int_equal(mapcache_read(client, page * PAGE, buffer, sizeof(buffer)),
				 sizeof(buffer));
	assert_int_equal(mapcache_drain(scene.rig.cache, mapcache_invalidate(scene.rig.cache), 1,
					0),
			 -ETIMEDOUT);
	assert_int_equal(mapcache_close(scene.rig.cache), -EBUSY);
	scene_check_bounds(&scene, started);
	print_message("one map hung; 300 rounds of balloon, MMIO and DMA beside it took %.1f ms, "
		      "the longest %.2f ms\n",
		      (double)(now_ns(CLOCK_MONOTONIC) - started) / 1e6,
		      (double)bystander.most_ns / 1e6);
	assert_int_equal(xensim_hanging(), 1);
	moved = scene.moved;
	xensim_unhang();
	assert_int_equal(xensim_vcpu_join(scene.rig.domain, 0), 0);
	assert_true(scene.moved > moved);
	assert_int_equal(mapcache_client_close(client), 0);
	rig_device_close(&scene.device);
	scene_stop(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_balloon_storm_leaves_memory_and_log_bounded),
		cmocka_unit_test(dma_ends_exactly_where_the_memory_ends),
		cmocka_unit_test(a_server_may_go_while_it_is_asked),
		cmocka_unit_test(a_map_that_hangs_for_ever_hangs_its_caller_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
