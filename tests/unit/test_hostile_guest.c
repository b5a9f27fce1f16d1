/* SPDX-License-Identifier: MIT */
/*
 * A guest that does its worst to the process that serves it: the process stays as large as its
 * options say, says little, spends little on each request, and serves everybody else.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <bench/random.h>
#include <lib/ioreq.h>
#include <tests/support/rig.h>

#define PAGE UINT64_C(4096)
#define RAM_PAGES UINT64_C(2048)
#define SHIFT 16u
#define BUCKET (UINT64_C(1) << SHIFT)
#define SLOTS UINT64_C(24)
#define STALE_BUCKETS UINT64_C(8)
#define STORM_ROUNDS 6000u
#define TEARDOWNS 60u
#define REQUESTS 20000u
#define SEED UINT64_C(20)
#define TEST_SECONDS 120

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct scene {
	struct rig rig;
	struct rig_device device;
	uint64_t log_lines; /* atomic */
	uint64_t served;    /* atomic: requests that came to the handler */
	uint64_t moved;     /* atomic: items */
	bool stop;          /* atomic */
};

static void count_line(void *data, enum mapcache_log_level level, const char *message)
{
	struct scene *scene = data;

	(void)level, (void)message;
	__atomic_fetch_add(&scene->log_lines, 1, __ATOMIC_RELAXED);
}

/* A device that does what it is told to, in pieces, up to a bound of its own. */
static int obey(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct scene *scene = data;
	uint8_t buffer[8 * 64];
	int64_t moved;

	__atomic_fetch_add(&scene->served, 1, __ATOMIC_RELAXED);
	if (!request->data_is_ptr)
		return mapcache_read(client, request->addr ^ RIG_MMIO, buffer, 8) == 8 ? 0 : -EIO;
	memset(buffer, 0, sizeof(buffer));
	for (uint32_t first = 0; first < request->count && first < 1024; first += 64) {
		uint32_t count = request->count - first < 64 ? request->count - first : 64;

		moved = mapcache_ioreq_copy(client, request, first, count, buffer);
		if (moved < 0)
			return (int)moved;
		__atomic_fetch_add(&scene->moved, (uint64_t)moved, __ATOMIC_RELAXED);
		if (moved < count)
			return -EFAULT;
	}
	return 0;
}

static void start(struct scene *scene, uint32_t vcpus)
{
	struct rig_options options = {
		.vcpus = vcpus,
		.ram_pages = RAM_PAGES,
		.cache = { .bucket_shift = SHIFT,
			   .max_bytes = SLOTS * BUCKET,
			   .max_stale_bytes = STALE_BUCKETS * BUCKET,
			   .reclaim_ms = 4,
			   .log = count_line,
			   .log_data = scene },
	};

	alarm(TEST_SECONDS);
	memset(scene, 0, sizeof(*scene));
	rig_start(&scene->rig, &options);
}

static void serve(struct scene *scene, uint32_t threads)
{
	struct rig_device_options options = { .handler = obey,
					      .handler_data = scene,
					      .threads = threads };

	rig_device_open(&scene->device, &scene->rig, &options);
	rig_device_serve(&scene->device);
}

static void stop(struct scene *scene)
{
	rig_stop(&scene->rig);
	alarm(0);
}

static struct mapcache_stats stats_of(struct scene *scene)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	assert_int_equal(mapcache_stats(scene->rig.cache, &stats), 0);
	return stats;
}

/* What the options promise, at any moment. Clients' spare slots come on top. */
static void check_bounds(struct scene *scene, uint64_t since_ns)
{
	struct mapcache_stats stats = stats_of(scene);
	uint64_t seconds = (now_ns(CLOCK_MONOTONIC) - since_ns) / 1000000000u + 1;

	assert_true(stats.slots_used <= SLOTS);
	assert_true(stats.mapped_bytes <= (SLOTS + stats.clients + 1) * BUCKET);
	assert_true(stats.memory_bytes < (1u << 20));
	assert_true(__atomic_load_n(&scene->log_lines, __ATOMIC_RELAXED) <= 20 * seconds);
}

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
	start(&scene, 1);
	serve(&scene, 1);
	assert_int_equal(mapcache_client_open(scene.rig.cache, &client), 0);
	assert_int_equal(xensim_vcpu_start(scene.rig.domain, 0, balloon, &scene), 0);
	started = now_ns(CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < STORM_ROUNDS; i++) {
		uint64_t gpa = random_below(&random, RAM_PAGES * PAGE - sizeof(byte));

		refused += mapcache_read(client, gpa, byte, sizeof(byte)) < 0;
		if (i % 64 == 0)
			check_bounds(&scene, started);
	}
	__atomic_store_n(&scene.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(xensim_vcpu_join(scene.rig.domain, 0), 0);
	stats = stats_of(&scene);
	print_message("%lu INVALIDATEs, %u reads, %lu at holes or refused; at most %lu KiB stale, "
		      "%lu KiB of the library's own, %lu lines of log\n",
		      (unsigned long)stats.epoch, STORM_ROUNDS, (unsigned long)refused,
		      (unsigned long)stats.stale_bytes_max >> 10,
		      (unsigned long)stats.memory_bytes >> 10, (unsigned long)scene.log_lines);
	assert_true(refused < STORM_ROUNDS / 4);
	assert_true(stats.stale_bytes_max <= (SLOTS + 2) * BUCKET);
	assert_int_equal(mapcache_client_close(client), 0);
	rig_device_close(&scene.device);
	stop(&scene);
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
	start(&scene, 1);
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
	stop(&scene);
}

/* ---- requests made of nonsense ----------------------------------------------------------- */

static uint64_t hostile_address(uint64_t *random)
{
	switch (random_below(random, 5)) {
	case 0:
		return UINT64_MAX - random_below(random, 64);
	case 1:
		return random_below(random, RAM_PAGES * PAGE + 4096);
	case 2:
		return RAM_PAGES * PAGE - random_below(random, 64);
	case 3:
		return random_next(random);
	default:
		return (UINT64_C(1) << random_below(random, 64)) - random_below(random, 16);
	}
}

static struct ioreq hostile_request(uint64_t *random)
{
	static const uint32_t counts[] = { 0,         1, 2, 511, 65536, INT32_MAX, UINT32_MAX - 1,
					   UINT32_MAX };
	static const uint32_t sizes[] = { 0, 1, 2, 3, 4, 8, 16, INT32_MAX, UINT32_MAX };

	return (struct ioreq){
		.type = (uint8_t)random_below(random, 12),
		.dir = random_below(random, 2) & 1,
		.df = random_below(random, 2) & 1,
		.data_is_ptr = random_below(random, 2) & 1,
		.size = sizes[random_below(random, 9)],
		.count = counts[random_below(random, 8)],
		.addr = hostile_address(random),
		.data = hostile_address(random),
		.vp_eport = 1,
		.state = STATE_IOREQ_READY,
	};
}

/* On the test's own thread, so that the time spent is known. */
static void every_request_is_answered_at_a_bounded_cost(void **state)
{
	struct scene scene;
	struct mapcache_client *client;
	struct ioreq slot;
	struct mapcache_ioreq server = { .options = { .vcpus = 1, .handler = obey },
					 .xen.slots = &slot,
					 .enabled_once = 1 };
	uint64_t random = SEED, started = now_ns(CLOCK_MONOTONIC), most = 0, sum = 0;

	(void)state;
	start(&scene, 1);
	server.cache = scene.rig.cache;
	server.options.handler_data = &scene;
	assert_int_equal(mapcache_client_open(scene.rig.cache, &client), 0);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		uint64_t before = now_ns(CLOCK_THREAD_CPUTIME_ID), spent;

		slot = hostile_request(&random);
		assert_int_equal(mapcache_ioreq_handle(&server, client, 0), 1);
		assert_int_equal(slot.state, STATE_IORESP_READY);
		spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - before;
		most = spent > most ? spent : most;
		sum += spent;
		if (i % 256 == 0)
			check_bounds(&scene, started);
	}
	print_message("seed %lu: %u requests, %lu handed on; CPU us per request: %.1f on average, "
		      "%.1f at most; %lu lines of log\n",
		      (unsigned long)SEED, REQUESTS, (unsigned long)scene.served,
		      (double)sum / REQUESTS / 1e3, (double)most / 1e3,
		      (unsigned long)scene.log_lines);
	assert_true(scene.served > REQUESTS / 100);
	/* One request costs its device 16 pieces, each a map call or two at worst. */
	assert_true(most < 100000000u);
	assert_int_equal(mapcache_client_close(client), 0);
	stop(&scene);
}

static void ask_for_all(struct xensim_vcpu *vcpu, void *data)
{
	uint16_t server = *(uint16_t *)data;
	struct ioreq request = { .type = IOREQ_TYPE_COPY,
				 .data_is_ptr = 1,
				 .size = 8,
				 .count = UINT32_MAX,
				 .addr = UINT64_C(1) << 40,
				 .data = 0x800 };
	uint64_t answer;

	for (unsigned int i = 0; i < 64; i++) {
		request.dir = i & 1;
		request.df = i >> 1 & 1;
		request.data = i & 4 ? RAM_PAGES * PAGE - 0x1000 : UINT64_C(1) << 41;
		(void)xensim_raw_request(vcpu, server, &request, &answer);
	}
}

static void four_billion_items_are_a_request_like_any_other(void **state)
{
	struct scene scene;
	uint16_t server;
	uint64_t started;

	(void)state;
	start(&scene, 1);
	serve(&scene, 1);
	server = rig_device_id(&scene.device);
	started = now_ns(CLOCK_MONOTONIC);
	rig_run(&scene.rig, 0, ask_for_all, &server);
	print_message("64 requests of 2^32 - 1 items: %lu items moved, %.1f ms\n",
		      (unsigned long)scene.moved,
		      (double)(now_ns(CLOCK_MONOTONIC) - started) / 1e6);
	assert_true(scene.moved > 0);
	check_bounds(&scene, started);
	rig_device_close(&scene.device);
	stop(&scene);
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
	start(&scene, 2);
	for (uint32_t vcpu = 0; vcpu < 2; vcpu++)
		assert_int_equal(xensim_vcpu_start(scene.rig.domain, vcpu, keep_asking, &scene), 0);
	started = now_ns(CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < TEARDOWNS; i++) {
		serve(&scene, 1 + i % 2);
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
	check_bounds(&scene, started);
	stop(&scene);
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
	start(&scene, 2);
	serve(&scene, 2);
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
	check_bounds(&scene, started);
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
	stop(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_balloon_storm_leaves_memory_and_log_bounded),
		cmocka_unit_test(dma_ends_exactly_where_the_memory_ends),
		cmocka_unit_test(every_request_is_answered_at_a_bounded_cost),
		cmocka_unit_test(four_billion_items_are_a_request_like_any_other),
		cmocka_unit_test(a_server_may_go_while_it_is_asked),
		cmocka_unit_test(a_map_that_hangs_for_ever_hangs_its_caller_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
