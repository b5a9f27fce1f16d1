/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <mapcache/ioreq.h>
#include <tests/fault/calls.h>
#include <tests/fault/scenario.h>
#include <tests/xensim/xensim.h>
#include <lib/cache.h>
#include <lib/reclaim/reclaim.h>

#define PAGE UINT64_C(4096)
#define BUCKET (UINT64_C(1) << 16)
#define BUCKET_PAGES (BUCKET / PAGE)
#define BUCKETS 64u /* of the guest's memory */
#define SLOTS 24u   /* of the cache */
#define RW (PROT_READ | PROT_WRITE)
#define HOLE (3 * BUCKET + 5 * PAGE)      /* its bucket has memory else */
#define READ_ONLY (5 * BUCKET + 2 * PAGE) /* so has its */
#define MMIO UINT64_C(0xe0000000)

struct scenario {
	const struct scenario_options *options;
	struct xensim_domain *domain;
	struct mapcache *cache;
	struct mapcache_client *client, *other;
	struct mapcache_ioreq *server;
	volatile uint64_t *pin; /* of page 0, from the beginning on */
	uint64_t epoch, clients;
	unsigned int steps;
	bool failed; /* the one failure there is has been met */
};

static uint64_t value_of(uint64_t gpa)
{
	return gpa / PAGE * UINT64_C(0x100010001) + 1;
}

/* What everybody can see is as before. */
static void check_unchanged(struct scenario *scenario)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	if (scenario->pin)
		assert_int_equal(*scenario->pin, value_of(0));
	if (!scenario->cache)
		return;
	assert_int_equal(mapcache_epoch(scenario->cache), scenario->epoch);
	assert_int_equal(mapcache_stats(scenario->cache, &stats), 0);
	assert_int_equal(stats.clients, scenario->clients);
}

/* Whether a step has to be done once more. */
static bool again(struct scenario *scenario, long result)
{
	if (result >= 0) {
		scenario->steps++;
		return false;
	}
	if (scenario->failed || !calls_failed())
		print_error("step %u: %s\n", scenario->steps, strerror((int)-result));
	assert_true(calls_failed());
	assert_false(scenario->failed);
	scenario->failed = true;
	assert_true(result == -ENOMEM || result == -EAGAIN || result == -EIO || result == -EACCES);
	check_unchanged(scenario);
	return true;
}

#define DO(call)                                                                                   \
	do {                                                                                       \
	} while (again(scenario, (call)))

/* ---- single accesses, as numbers -------------------------------------------------------- */

static int look(struct mapcache_client *client, uint64_t gpa, int prot)
{
	volatile uint64_t *pointer;
	int error;

	mapcache_begin(client);
	pointer = mapcache_ptr(client, gpa, 8, prot);
	error = pointer ? 0 : -errno;
	if (pointer)
		assert_int_equal(*pointer, value_of(gpa));
	if (pointer && prot & PROT_WRITE)
		*pointer = value_of(gpa);
	assert_int_equal(mapcache_end(client), 0);
	return error;
}

static int look_refused(struct mapcache_client *client, uint64_t gpa, int prot, int expected)
{
	int error = look(client, gpa, prot);

	assert_true(error != 0);
	return error == expected ? 0 : error;
}

/* A short count is what is left of an error. */
static long copied(ssize_t count, size_t len)
{
	return count == (ssize_t)len || count < 0 ? count : -EIO;
}

static long copy_out(struct scenario *scenario, uint64_t gpa, size_t len)
{
	char buffer[3 * BUCKET];
	long result = copied(mapcache_read(scenario->client, gpa, buffer, len), len);
	uint64_t first = (gpa + PAGE - 1) / PAGE * PAGE;

	for (; result > 0 && first + 8 <= gpa + len; first += PAGE) {
		uint64_t value;

		memcpy(&value, buffer + (first - gpa), sizeof(value));
		assert_int_equal(value, value_of(first));
	}
	return result;
}

static long copy_in(struct scenario *scenario, uint64_t gpa)
{
	char buffer[2048], check[2048];
	long result;

	memset(buffer, 0x5a, sizeof(buffer));
	result = copied(mapcache_write(scenario->client, gpa, buffer, sizeof(buffer)),
			sizeof(buffer));
	if (result > 0) {
		assert_int_equal(xensim_guest_read(scenario->domain, gpa, check, sizeof(check)), 0);
		assert_memory_equal(buffer, check, sizeof(check));
	}
	return result;
}

static int pin(struct scenario *scenario, struct mapcache_client *client, uint64_t gpa,
	       void **pointer)
{
	size_t len = 8;

	(void)scenario;
	*pointer = mapcache_pin(client, gpa, &len, RW, 0);
	if (!*pointer)
		return -errno;
	assert_int_equal(*(uint64_t *)*pointer, value_of(gpa));
	return 0;
}

static void invalidate(struct scenario *scenario)
{
	scenario->epoch = mapcache_invalidate(scenario->cache);
}

/* ---- steps ------------------------------------------------------------------------------- */

static int open_cache(struct scenario *scenario)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = xensim_domid(scenario->domain),
		.bucket_shift = 16,
		.granule_shift = scenario->options->anywhere ? 16 : 12,
		.stripes = 2,
		.max_bytes = SLOTS * BUCKET,
		.reclaim_ms = 1,
		.flags = scenario->options->reclaim_thread ? 0 : MAPCACHE_NO_RECLAIM_THREAD,
	};
	struct mapcache_backend anywhere = mapcache_backend_xen;
	int error;

	anywhere.flags &= ~MAPCACHE_BACKEND_FIXED;
	if (scenario->options->anywhere)
		options.backend = &anywhere;
	error = mapcache_open(&options, &scenario->cache);
	if (error) {
		scenario->cache = NULL;
		return error;
	}
	return 0;
}

static int open_client(struct scenario *scenario, struct mapcache_client **client)
{
	int error = mapcache_client_open(scenario->cache, client);

	scenario->clients += !error;
	return error;
}

static void set_up(struct scenario *scenario)
{
	void *pointer;

	DO(open_cache(scenario));
	scenario->epoch = 1;
	DO(open_client(scenario, &scenario->client));
	DO(open_client(scenario, &scenario->other));
	DO(pin(scenario, scenario->client, 0, &pointer));
	scenario->pin = pointer;
}

/* Buckets that are whole, have a hole, can be read only. */
static void look_at_all_kinds(struct scenario *scenario)
{
	DO(look(scenario->client, BUCKET, PROT_READ));
	DO(look(scenario->client, HOLE - PAGE, PROT_READ));
	DO(look_refused(scenario->client, HOLE, PROT_READ, -EFAULT));
	DO(look(scenario->client, HOLE + PAGE, RW));
	DO(look(scenario->client, READ_ONLY, PROT_READ));
	DO(look_refused(scenario->client, READ_ONLY, RW, -EACCES));
	DO(look(scenario->client, READ_ONLY + PAGE, RW));
}

/* In place, in a fresh slot, beside what is there, whole because it is dense. */
static void refresh(struct scenario *scenario)
{
	invalidate(scenario);
	for (unsigned int page = 0; page < BUCKET_PAGES; page++)
		DO(look(scenario->client, BUCKET + page * PAGE, RW));
	for (unsigned int round = 0; round < 3; round++) {
		invalidate(scenario);
		DO(look(scenario->client, BUCKET, PROT_READ));
		DO(look(scenario->other, BUCKET + 9 * PAGE, PROT_READ));
		DO(look(scenario->client, HOLE + PAGE, PROT_READ));
		DO(look(scenario->client, READ_ONLY, PROT_READ));
	}
	look_at_all_kinds(scenario);
}

/* A granule that is left beside one in use: marked and then unmapped, or unmapped at once. */
static void trim_parts(struct scenario *scenario)
{
	for (unsigned int round = 0; round < 2; round++) {
		invalidate(scenario);
		DO(look(scenario->client, BUCKET, PROT_READ));
		DO(look(scenario->client, BUCKET + 9 * PAGE, PROT_READ));
		invalidate(scenario);
		DO(look(scenario->client, BUCKET, PROT_READ));
		if (round == 0)
			(void)trim_mark(scenario->cache);
		else
			(void)mapcache_reclaim(scenario->cache, UINT64_MAX);
		(void)trim(scenario->cache, UINT64_MAX, true, true);
		DO(look(scenario->client, BUCKET, RW));
	}
}

static void pin_here_release_there(struct scenario *scenario)
{
	struct iovec iov[2 * BUCKET_PAGES];
	void *pointer;
	size_t len = 0;
	int count = 0;

	DO(pin(scenario, scenario->other, 7 * BUCKET, &pointer));
	invalidate(scenario);
	DO(look(scenario->client, 7 * BUCKET, PROT_READ));
	assert_int_equal(*(uint64_t *)pointer, value_of(7 * BUCKET));
	assert_int_equal(mapcache_client_unpin(scenario->client, pointer, 0), 0);
	DO(count = mapcache_pin_iov(scenario->client, 8 * BUCKET, 2 * BUCKET + PAGE, RW, iov,
				    2 * BUCKET_PAGES));
	while (count-- > 0) {
		len += iov[count].iov_len;
		assert_int_equal(mapcache_unpin(scenario->cache, iov[count].iov_base, 0), 0);
	}
	assert_int_equal(len, 2 * BUCKET + PAGE);
}

static int pin_contiguous(struct scenario *scenario)
{
	size_t len = 2 * BUCKET + PAGE;
	char *pointer =
		mapcache_pin(scenario->client, 8 * BUCKET, &len, RW, MAPCACHE_PIN_CONTIGUOUS);

	if (!pointer)
		return -errno;
	for (uint64_t offset = 0; offset < len; offset += PAGE)
		assert_int_equal(*(uint64_t *)(pointer + offset), value_of(8 * BUCKET + offset));
	return mapcache_unpin(scenario->cache, pointer + BUCKET, 0);
}

/* Across the end of a bucket, some of it for reading only. */
static int pin_for_reading(struct scenario *scenario)
{
	size_t len = BUCKET;
	char *pointer = mapcache_pin(scenario->client, READ_ONLY - PAGE, &len, PROT_READ,
				     MAPCACHE_PIN_CONTIGUOUS);

	if (!pointer)
		return -errno;
	assert_int_equal(*(uint64_t *)(pointer + PAGE), value_of(READ_ONLY));
	return mapcache_client_unpin(scenario->client, pointer, 0);
}

/* What is missing of a request's buffers. */
static int pin_a_list(struct scenario *scenario)
{
	static const struct mapcache_range ranges[] = { { 10 * BUCKET, PAGE },
							{ 12 * BUCKET + 3 * PAGE, 2 * PAGE },
							{ 14 * BUCKET, 8 } };
	struct iovec iov[3];
	int count = mapcache_pin_sgl(scenario->client, ranges, 3, RW, iov, 3);

	if (count < 0)
		return count;
	assert_int_equal(count, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(*(uint64_t *)iov[i].iov_base, value_of(ranges[i].gpa));
		assert_int_equal(mapcache_unpin(scenario->cache, iov[i].iov_base, 0), 0);
	}
	return 0;
}

/* More than are kept: the first has gone when it is used again. */
static void use_buffers_in_turn(struct scenario *scenario)
{
	for (unsigned int i = 0; i < 6; i++) {
		uint64_t gpa = (10 + i) * BUCKET - PAGE;
		size_t len = 2 * PAGE;
		char *pointer = NULL;

		DO((pointer =
			    mapcache_pin(scenario->client, gpa, &len, RW, MAPCACHE_PIN_CONTIGUOUS))
			   ? 0
			   : -errno);
		assert_int_equal(*(uint64_t *)(pointer + PAGE), value_of(gpa + PAGE));
		assert_int_equal(mapcache_client_unpin(scenario->client, pointer, 0), 0);
	}
}

/* To another offset in a bucket and back to that of before, in whole and in other parts. */
static void relocate(struct scenario *scenario)
{
	static const uint64_t places[] = { 20 * BUCKET + 3 * PAGE, 30 * BUCKET + PAGE,
					   30 * BUCKET + 4 * PAGE, 40 * BUCKET + 3 * PAGE };
	size_t len = BUCKET;
	char *pointer = NULL;

	DO((pointer = mapcache_pin(scenario->client, places[0], &len, RW, MAPCACHE_PIN_OWN_MAPPING))
		   ? 0
		   : -errno);
	for (unsigned int i = 1; i < 4; i++) {
		int done;

		do {
			done = mapcache_replace(scenario->cache, places[i - 1], places[i], len);
			/* A call that fails has changed nothing. */
			assert_int_equal(*(uint64_t *)(pointer + len - PAGE),
					 value_of(places[done < 0 ? i - 1 : i] + len - PAGE));
		} while (again(scenario, done));
		for (uint64_t offset = 0; offset < len; offset += PAGE)
			assert_int_equal(*(uint64_t *)(pointer + offset),
					 value_of(places[i] + offset));
	}
	assert_int_equal(mapcache_unpin(scenario->cache, pointer, 0), 0);
}

/* For a while, since membarrier(2) may be what fails. */
static int give_back(struct scenario *scenario)
{
	int error = mapcache_unmap(scenario->cache, 8 * BUCKET, 3 * BUCKET, 1000);

	return error == -ETIMEDOUT ? -EAGAIN : error;
}

/* What the thread needs not open, and gives back here. */
static int open_own_client(struct scenario *scenario)
{
	struct mapcache_client *client = mapcache_thread_client(scenario->cache);

	if (!client)
		return -errno;
	assert_ptr_equal(mapcache_thread_client(scenario->cache), client);
	scenario->clients++;
	return 0;
}

static void use_own_client(struct scenario *scenario)
{
	DO(open_own_client(scenario));
	DO(look(mapcache_thread_client(scenario->cache), 9 * BUCKET, PROT_READ));
	assert_int_equal(mapcache_client_close(mapcache_thread_client(scenario->cache)), 0);
	scenario->clients--;
}

/* More buckets than there is room for, sections that hold more than one. */
static void evict(struct scenario *scenario)
{
	for (unsigned int i = 0; i < BUCKETS; i++)
		if (i != HOLE / BUCKET && i != READ_ONLY / BUCKET)
			DO(look(scenario->client, i * BUCKET, PROT_READ));
	DO(copy_out(scenario, 20 * BUCKET - 3 * PAGE, 2 * BUCKET));
	DO(copy_in(scenario, 30 * BUCKET - 1024));
	assert_int_equal(mapcache_invalidate_range(scenario->cache, 20 * BUCKET, 3 * BUCKET), 0);
	DO(look(scenario->client, 21 * BUCKET, PROT_READ));
	invalidate(scenario);
	(void)mapcache_reclaim(scenario->cache, UINT64_MAX);
	DO(look(scenario->other, 40 * BUCKET, PROT_READ));
	assert_int_equal(mapcache_client_unpin(scenario->client, (void *)scenario->pin, 0), 0);
	scenario->pin = NULL;
}

/* The library may refuse it as long as membarrier(2) is. */
static int drain(struct scenario *scenario)
{
	int error = mapcache_drain(scenario->cache, scenario->epoch, calls_failed() ? 100 : 0, 0);

	return error == -ETIMEDOUT ? -EAGAIN : error;
}

static int dump(struct scenario *scenario)
{
	FILE *file = tmpfile();
	int error;

	assert_non_null(file);
	error = mapcache_dump(scenario->cache, file);
	fclose(file);
	return error;
}

static int handle(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	(void)data, (void)client, (void)request;
	return 0;
}

static void serve(struct scenario *scenario)
{
	const struct mapcache_ioreq_options options = { .size = sizeof(options),
							.domid = xensim_domid(scenario->domain),
							.vcpus = 1,
							.handler = handle };

	DO(mapcache_ioreq_open(scenario->cache, &options, &scenario->server));
	DO(mapcache_ioreq_add_range(scenario->server, MAPCACHE_IOREQ_MEMORY, MMIO, MMIO + 0xfff));
	DO(mapcache_ioreq_enable(scenario->server, true));
	scenario->epoch++;
	DO(mapcache_ioreq_remove_range(scenario->server, MAPCACHE_IOREQ_MEMORY, MMIO,
				       MMIO + 0xfff));
	assert_int_equal(mapcache_ioreq_close(scenario->server), 0);
}

static void tear_down(struct scenario *scenario)
{
	uint64_t stale = 1;

	assert_int_equal(mapcache_client_close(scenario->other), 0);
	assert_int_equal(mapcache_client_close(scenario->client), 0);
	scenario->clients -= 2;
	invalidate(scenario);
	/* A failure in between costs one more try. */
	for (int i = 0; i < 1000 && stale; i++)
		stale = mapcache_reclaim(scenario->cache, UINT64_MAX);
	if (!scenario->options->reclaim_thread)
		assert_int_equal(stale, 0);
	assert_int_equal(mapcache_close(scenario->cache), 0);
}

/* ---- the guest --------------------------------------------------------------------------- */

static void start_guest(struct scenario *scenario)
{
	struct xensim_options host = { .no_map_resource = scenario->options->no_map_resource };

	assert_int_equal(xensim_start(&host), 0);
	assert_int_equal(xensim_domain_create(1, 0, BUCKETS * BUCKET_PAGES, &scenario->domain), 0);
	for (uint64_t gpa = 0; gpa < BUCKETS * BUCKET; gpa += PAGE) {
		uint64_t value = value_of(gpa);

		assert_int_equal(xensim_guest_write(scenario->domain, gpa, &value, 8), 0);
	}
	assert_int_equal(xensim_outside_remove(scenario->domain, HOLE / PAGE), 1);
	assert_int_equal(xensim_p2m_set_type(scenario->domain, READ_ONLY / PAGE, 1, XENSIM_DENIED),
			 0);
}

static void stop_guest(struct scenario *scenario)
{
	struct xensim_totals totals;

	assert_int_equal(xensim_domain_destroy(scenario->domain), 0);
	xensim_totals(&totals);
	assert_int_equal(totals.splits_refused, 0);
	assert_int_equal(xensim_stop(stderr), 0);
}

unsigned int scenario_run(const struct scenario_options *options)
{
	struct scenario scene = { .options = options }, *scenario = &scene;

	start_guest(scenario);
	set_up(scenario);
	look_at_all_kinds(scenario);
	refresh(scenario);
	trim_parts(scenario);
	pin_here_release_there(scenario);
	DO(pin_contiguous(scenario));
	DO(pin_for_reading(scenario));
	for (unsigned int round = 0; round < 2; round++) {
		invalidate(scenario);
		DO(pin_a_list(scenario));
		DO(pin_a_list(scenario));
	}
	use_buffers_in_turn(scenario);
	if (options->anywhere)
		DO(give_back(scenario));
	else
		relocate(scenario);
	use_own_client(scenario);
	evict(scenario);
	DO(drain(scenario));
	DO(dump(scenario));
	serve(scenario);
	tear_down(scenario);
	stop_guest(scenario);
	return scenario->steps;
}
