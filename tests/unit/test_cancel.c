/* SPDX-License-Identifier: MIT */
/*
 * Threads that are cancelled (pthread_cancel(3)) inside a call: no lock stays held, no bucket
 * busy, nothing half done. A call that has begun to change something comes to its end first; one
 * that only waits for others is left at once.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/cancellable.h>
#include <tests/support/gate.h>
#include <tests/support/locks.h>
#include <tests/support/peer.h>
#include <tests/support/spy.h>

#define GPA (5 * BED_PAGE)

/* ---- a call that has begun comes to its end ---------------------------------------------- */

struct scene {
	struct bed bed;
	struct spy spy;
	struct mapcache_client *client; /* of the thread that is cancelled */
	bool came_back;
	int result;
	void *pin;
};

static int cancellation_point(struct spy *spy, const struct spy_call *call)
{
	(void)spy;
	(void)call;
	pthread_testcancel();
	return 0;
}

static int report_cancellation_point(struct spy *spy)
{
	(void)spy;
	pthread_testcancel();
	return 0;
}

static void log_cancellation_point(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	(void)level;
	(void)message;
	pthread_testcancel();
}

static void notify_cancellation_point(void *data, enum mapcache_event event, uint64_t gpa,
				      void *address, uint64_t len)
{
	(void)data;
	(void)event;
	(void)gpa;
	(void)address;
	(void)len;
	pthread_testcancel();
}

static int translate_cancellation_point(void *data, uint64_t address, uint64_t len, uint64_t *gpa)
{
	(void)data;
	(void)len;
	*gpa = address;
	pthread_testcancel();
	return 0;
}

/* Whatever calls the library makes can be cancelled in. */
static void start_scene(struct scene *scene)
{
	*scene = (struct scene){ .spy = { .before = cancellation_point,
					  .report = report_cancellation_point } };
	bed_start(&scene->bed,
		  &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						    .bucket_shift = RIG_BUCKET_SHIFT,
						    .backend = &spy_backend,
						    .backend_data = &scene->spy,
						    .log = log_cancellation_point,
						    .notify = notify_cancellation_point,
						    .translate = translate_cancellation_point } });
	scene->client = scene->bed.other;
}

static void stop_scene(struct scene *scene)
{
	assert_int_equal(locks_held(scene->bed.cache), 0);
	bed_stop(&scene->bed);
}

static int look_up(struct scene *scene)
{
	int found;

	mapcache_begin(scene->client);
	found = mapcache_ptr(scene->client, GPA, 8, PROT_READ | PROT_WRITE) != NULL;
	return mapcache_end(scene->client) || !found;
}

static int copy(struct scene *scene)
{
	uint64_t word[2] = { 1, 2 };
	ssize_t len = sizeof(word);

	return mapcache_write(scene->client, BED_BUCKET - 8, word, sizeof(word)) != len ||
	       mapcache_read(scene->client, BED_BUCKET - 8, word, sizeof(word)) != len;
}

static int pin_and_unpin(struct scene *scene)
{
	size_t len = 8;
	void *pin = mapcache_pin(scene->client, GPA, &len, PROT_READ | PROT_WRITE, 0);

	return !pin || mapcache_unpin(scene->bed.cache, pin, 8);
}

static int pin_in_pieces(struct scene *scene)
{
	struct iovec iov[3];
	int count = mapcache_pin_iov(scene->client, 0, 3 * BED_BUCKET, PROT_READ, iov, 3);

	for (int i = 0; i < count; i++)
		mapcache_client_unpin(scene->client, iov[i].iov_base, 0);
	return count != 3;
}

static int pin_in_one_piece(struct scene *scene)
{
	size_t len = 2 * BED_BUCKET;
	void *pin = mapcache_pin(scene->client, 0, &len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);

	return !pin || mapcache_unpin(scene->bed.cache, pin, 0);
}

static int relocate(struct scene *scene)
{
	size_t len = 2 * BED_PAGE;
	void *pin = mapcache_pin(scene->client, 0, &len, PROT_READ, MAPCACHE_PIN_OWN_MAPPING);

	return !pin || mapcache_replace(scene->bed.cache, 0, BED_BUCKET, 2 * BED_PAGE) != 1 ||
	       mapcache_unpin(scene->bed.cache, pin, 0);
}

static int place_and_take_away(struct scene *scene)
{
	int error = mapcache_placeholder(scene->bed.cache, 4 * BED_BUCKET, BED_PAGE);

	/* Twice is refused. */
	return error || mapcache_placeholder(scene->bed.cache, 4 * BED_BUCKET, BED_PAGE) != -EEXIST;
}

static int reclaim(struct scene *scene)
{
	mapcache_invalidate(scene->bed.cache);
	/* Evicted and retired by range, too. */
	if (mapcache_invalidate_range(scene->bed.cache, 0, BED_BUCKET))
		return 1;
	for (int i = 0; i < 10; i++)
		mapcache_reclaim(scene->bed.cache, UINT64_MAX);
	return bed_stats(&scene->bed).mapped_bytes != 0;
}

static int log_and_write(struct scene *scene)
{
	int error = mapcache_dirty_log(scene->bed.cache, true);

	if (error || look_up(scene) || copy(scene) || pin_and_unpin(scene))
		return 1;
	return mapcache_dirty_log(scene->bed.cache, false);
}

static int come_and_go(struct scene *scene)
{
	struct mapcache_client *client;

	return mapcache_client_open(scene->bed.cache, &client) || mapcache_client_close(client);
}

static int open_and_close(struct scene *scene)
{
	struct spy spy = { .before = cancellation_point };
	const struct mapcache_range first = { 0, BED_BUCKET };
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = scene->bed.rig.domid,
					    .backend = &spy_backend,
					    .backend_data = &spy,
					    .whole = &first,
					    .whole_count = 1 };
	struct mapcache *cache;

	return mapcache_open(&options, &cache) || mapcache_close(cache);
}

static int drain(struct scene *scene)
{
	uint64_t epoch = mapcache_invalidate(scene->bed.cache);

	return mapcache_drain(scene->bed.cache, epoch, -1, MAPCACHE_DRAIN_PINS);
}

static int (*const calls[])(struct scene *scene) = {
	look_up,          copy,        pin_and_unpin,       pin_in_pieces,
	pin_in_one_piece, relocate,    place_and_take_away, reclaim,
	log_and_write,    come_and_go, open_and_close,      drain,
};

struct cancelled {
	struct scene *scene;
	int (*call)(struct scene *scene);
};

static void *cancelled_before(void *data)
{
	struct cancelled *cancelled = data;

	pthread_cancel(pthread_self());
	cancelled->scene->result = cancelled->call(cancelled->scene);
	cancelled->scene->came_back = true;
	pthread_testcancel();
	return NULL;
}

static void run_cancelled(struct scene *scene, int (*call)(struct scene *scene))
{
	struct cancelled cancelled = { scene, call };
	pthread_t thread;
	void *result;

	scene->came_back = false;
	assert_int_equal(pthread_create(&thread, NULL, cancelled_before, &cancelled), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
}

/* Once with nothing mapped, once after an invalidation. */
static void a_call_that_has_begun_comes_to_its_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct scene scene;

		start_scene(&scene);
		for (int round = 0; round < 2; round++) {
			run_cancelled(&scene, calls[i]);
			if (!scene.came_back)
				print_error("call %zu did not come back\n", i);
			assert_true(scene.came_back);
			/* The second placeholder is there already. */
			assert_true(scene.result == 0 || calls[i] == place_and_take_away);
			mapcache_invalidate(scene.bed.cache);
		}
		assert_int_equal(bed_read(scene.bed.client, 8 * BED_PAGE), bed_value(8));
		stop_scene(&scene);
	}
}

/* ---- one that waits for others is left --------------------------------------------------- */

struct waiter {
	struct mapcache *cache;
	struct mapcache_client *client;
};

static void *open_and_look(void *data)
{
	struct waiter *waiter = data;

	if (mapcache_client_open(waiter->cache, &waiter->client))
		return NULL;
	mapcache_begin(waiter->client);
	(void)!mapcache_ptr(waiter->client, GPA, 8, PROT_READ);
	(void)mapcache_end(waiter->client);
	for (;;)
		pthread_testcancel();
}

static void *open_and_copy(void *data)
{
	struct waiter *waiter = data;
	char buffer[8];

	if (mapcache_client_open(waiter->cache, &waiter->client))
		return NULL;
	(void)!mapcache_read(waiter->client, GPA, buffer, sizeof(buffer));
	for (;;)
		pthread_testcancel();
}

static void *open_and_pin(void *data)
{
	struct waiter *waiter = data;
	size_t len = 8;

	if (mapcache_client_open(waiter->cache, &waiter->client))
		return NULL;
	(void)!mapcache_pin(waiter->client, GPA, &len, PROT_READ, 0);
	for (;;)
		pthread_testcancel();
}

static bool somebody_waits(void *bed)
{
	return bed_stats(bed).waits != 0;
}

static void cancel_and_join(pthread_t thread)
{
	void *result;

	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
}

static void check_cancelled_wait(void *(*wait)(void *), bool own_section)
{
	struct waiter waiter;
	struct gate gate = GATE;
	struct peer_look look = { .gpa = GPA };
	struct peer mapper;
	pthread_t thread;
	struct bed bed;

	bed_start(&bed, BED_QUIET);
	waiter = (struct waiter){ bed.cache, NULL };
	peer_open(&mapper, bed.cache);
	gate_close(&gate, GPA / BED_PAGE, false);
	peer_start(&mapper, peer_read, &look);
	gate_wait(&gate, 1);
	assert_int_equal(pthread_create(&thread, NULL, wait, &waiter), 0);
	assert_true(eventually(somebody_waits, &bed));
	/* While the map call hangs. */
	cancel_and_join(thread);
	assert_int_equal(locks_held(bed.cache), 0);
	gate_open(&gate);
	assert_int_equal(peer_wait(&mapper), 0);
	assert_int_equal(look.value, bed_value(5));
	/* Its section is its new owner's to end, if it began one itself. */
	if (own_section) {
		assert_int_equal(mapcache_client_close(waiter.client), -EBUSY);
		assert_int_equal(mapcache_end(waiter.client), 0);
	}
	assert_int_equal(mapcache_client_close(waiter.client), 0);
	peer_close(&mapper);
	bed_stop(&bed);
}

static void a_cancelled_wait_for_anothers_mapping_holds_nothing(void **state)
{
	(void)state;
	check_cancelled_wait(open_and_look, true);
}

static void a_cancelled_copy_or_pin_leaves_no_section_open(void **state)
{
	(void)state;
	check_cancelled_wait(open_and_copy, false);
	check_cancelled_wait(open_and_pin, false);
}

static void a_cancelled_map_call_is_finished_for_those_who_wait_for_it(void **state)
{
	struct waiter waiter;
	struct gate gate = GATE;
	struct peer_look look = { .gpa = GPA };
	struct peer other;
	pthread_t thread;
	void *result;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	waiter = (struct waiter){ bed.cache, NULL };
	peer_open(&other, bed.cache);
	gate_close(&gate, GPA / BED_PAGE, false);
	assert_int_equal(pthread_create(&thread, NULL, open_and_look, &waiter), 0);
	gate_wait(&gate, 1);
	assert_int_equal(pthread_cancel(thread), 0);
	peer_start(&other, peer_read, &look);
	assert_true(eventually(somebody_waits, &bed));
	gate_open(&gate);
	assert_int_equal(peer_wait(&other), 0);
	assert_int_equal(look.value, bed_value(5));
	assert_int_equal(bed_stats(&bed).map_calls, 1);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(mapcache_client_close(waiter.client), 0);
	peer_close(&other);
	bed_stop(&bed);
}

static void *drain_for_ever(void *cache)
{
	(void)!mapcache_drain(cache, mapcache_epoch(cache), -1, 0);
	return NULL;
}

static void *log_for_ever(void *cache)
{
	(void)!mapcache_dirty_log(cache, true);
	return NULL;
}

/* For a section that does not end. */
static void a_cancelled_wait_for_sections_holds_nothing(void **state)
{
	void *(*const waits[])(void *) = { drain_for_ever, log_for_ever };
	pthread_t thread;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&peer, bed.cache);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(peer_run(&peer, peer_begin, NULL), 0);
		mapcache_invalidate(bed.cache);
		assert_int_equal(pthread_create(&thread, NULL, waits[i], bed.cache), 0);
		cancel_and_join(thread);
		assert_int_equal(locks_held(bed.cache), 0);
		assert_int_equal(bed_read(bed.client, GPA), bed_value(5));
		assert_int_equal(peer_run(&peer, peer_end, NULL), 0);
	}
	assert_int_equal(mapcache_drain(bed.cache, mapcache_epoch(bed.cache), -1, 0), 0);
	assert_int_equal(mapcache_dirty_log(bed.cache, false), 0);
	peer_close(&peer);
	bed_stop(&bed);
}

/* ---- a request of the guest ---------------------------------------------------------------- */

static int cancel_the_server(void *data, struct mapcache_client *client,
			     struct mapcache_request *request)
{
	struct mapcache_client **served_by = data;

	*served_by = client;
	request->data = 0x5e;
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return 0;
}

static void read_register(struct xensim_vcpu *vcpu, void *data)
{
	(void)xensim_mmio_read(vcpu, RIG_MMIO, 4, data);
}

/* A vCPU waits for it, with all that it holds. */
static void a_request_that_was_taken_is_answered_by_a_cancelled_thread(void **state)
{
	struct mapcache_client *client = NULL;
	struct rig_device device;
	uint64_t value = 0;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	rig_device_open(&device, &bed.rig,
			&(struct rig_device_options){ .handler = cancel_the_server,
						      .handler_data = &client });
	rig_device_serve(&device);
	rig_run(&bed.rig, 0, read_register, &value);
	assert_int_equal(value, 0x5e);
	rig_device_close(&device);
	assert_int_equal(mapcache_client_close(client), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_has_begun_comes_to_its_end),
		cmocka_unit_test(a_cancelled_wait_for_anothers_mapping_holds_nothing),
		cmocka_unit_test(a_cancelled_copy_or_pin_leaves_no_section_open),
		cmocka_unit_test(a_cancelled_map_call_is_finished_for_those_who_wait_for_it),
		cmocka_unit_test(a_cancelled_wait_for_sections_holds_nothing),
		cmocka_unit_test(a_request_that_was_taken_is_answered_by_a_cancelled_thread),
	};

	if (!CANCELLABLE) {
		puts("AddressSanitizer cannot follow a thread that is cancelled");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
