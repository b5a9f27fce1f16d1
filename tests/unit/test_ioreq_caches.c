/* SPDX-License-Identifier: MIT */
/* A guest with several caches and one ioreq server: all of them are told, before the answer. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define GFN UINT64_C(300)
#define GPA (GFN * BED_PAGE)

struct company {
	struct bed bed;
	struct rig_device device;
	struct mapcache *cache; /* another one, of small buckets */
	struct mapcache_client *client;
};

static int ignore(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	(void)data, (void)client, (void)request;
	return 0;
}

static struct mapcache *open_cache(uint32_t domid)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = domid,
					    .bucket_shift = 14 };
	struct mapcache *cache;

	assert_int_equal(mapcache_open(&options, &cache), 0);
	return cache;
}

static void company_open(struct company *company, uint32_t flags)
{
	bed_start(&company->bed, NULL);
	company->cache = open_cache(company->bed.rig.domid);
	assert_int_equal(mapcache_client_open(company->cache, &company->client), 0);
	rig_device_open(
		&company->device, &company->bed.rig,
		&(struct rig_device_options){ .handler = ignore, .flags = flags, .drain_ms = 10 });
}

static void company_close(struct company *company)
{
	rig_device_close(&company->device);
	assert_int_equal(mapcache_client_close(company->client), 0);
	assert_int_equal(mapcache_close(company->cache), 0);
	bed_stop(&company->bed);
}

static void exchange(struct xensim_vcpu *vcpu, void *data)
{
	uint64_t gfn = GFN;

	(void)xensim_decrease_reservation(vcpu, &gfn, 1, 0);
	(void)xensim_populate_physmap(vcpu, &gfn, 1, 0);
	(void)xensim_store(vcpu, GPA, data, sizeof(uint64_t));
}

static void A_every_cache_of_the_guest_is_told_before_the_answer(void **state)
{
	struct company company;
	uint64_t word = 0xfee1;

	(void)state;
	company_open(&company, 0);
	assert_int_equal(mapcache_ioreq_add_cache(company.device.server, company.cache), 0);
	rig_device_serve(&company.device);
	for (uint64_t round = 0; round < 50; round++, word++) {
		(void)bed_read(company.bed.client, GPA);
		(void)bed_read(company.client, GPA);
		rig_run(&company.bed.rig, 0, exchange, &word);
		assert_int_equal(bed_read(company.bed.client, GPA), word);
		assert_int_equal(bed_read(company.client, GPA), word);
	}
	/* Not any more. */
	assert_int_equal(mapcache_ioreq_remove_cache(company.device.server, company.cache), 0);
	rig_run(&company.bed.rig, 0, exchange, &word);
	assert_int_equal(bed_read(company.bed.client, GPA), word);
	assert_int_equal(bed_read(company.client, GPA), word - 1);
	company_close(&company);
}

/* What was removed before it was told of. */
static void A_adding_and_enabling_invalidate_a_cache(void **state)
{
	struct company company;
	uint64_t epoch;

	(void)state;
	company_open(&company, 0);
	epoch = mapcache_epoch(company.cache);
	assert_int_equal(mapcache_ioreq_add_cache(company.device.server, company.cache), 0);
	assert_int_equal(mapcache_epoch(company.cache), epoch + 1);
	assert_int_equal(mapcache_ioreq_enable(company.device.server, true), 0);
	assert_int_equal(mapcache_epoch(company.cache), epoch + 2);
	company_close(&company);
}

static void with_drain_sections_of_every_cache_are_waited_for(void **state)
{
	struct company company;
	struct xensim_wait wait;
	uint64_t word = 1;

	(void)state;
	company_open(&company, MAPCACHE_IOREQ_DRAIN);
	assert_int_equal(mapcache_ioreq_add_cache(company.device.server, company.cache), 0);
	rig_device_serve(&company.device);
	mapcache_begin(company.client);
	(void)bed_ptr(company.client, GPA, PROT_READ);
	rig_run(&company.bed.rig, 0, exchange, &word);
	assert_int_equal(mapcache_end(company.client), 0);
	xensim_vcpu_wait(xensim_vcpu(company.bed.domain, 0), &wait);
	/* drain_ms of the one whose section stayed open. */
	assert_true(wait.max_ns >= UINT64_C(10000000));
	company_close(&company);
}

static void caches_that_are_none_of_its_guests_are_refused(void **state)
{
	struct mapcache *caches[15], *foreign;
	struct xensim_domain *other;
	struct company company;
	struct mapcache_ioreq *server;

	(void)state;
	company_open(&company, 0);
	server = company.device.server;
	assert_int_equal(xensim_domain_create(1, 0, 64, &other), 0);
	foreign = open_cache(xensim_domid(other));
	assert_int_equal(mapcache_ioreq_add_cache(NULL, company.cache), -EINVAL);
	assert_int_equal(mapcache_ioreq_add_cache(server, NULL), -EINVAL);
	assert_int_equal(mapcache_ioreq_remove_cache(NULL, company.cache), -EINVAL);
	assert_int_equal(mapcache_ioreq_remove_cache(server, NULL), -EINVAL);
	assert_int_equal(mapcache_ioreq_add_cache(server, foreign), -EINVAL);
	assert_int_equal(mapcache_ioreq_remove_cache(server, company.cache), -ENOENT);
	assert_int_equal(mapcache_ioreq_add_cache(server, company.bed.cache), -EEXIST);
	assert_int_equal(mapcache_ioreq_add_cache(server, company.cache), 0);
	assert_int_equal(mapcache_ioreq_add_cache(server, company.cache), -EEXIST);
	assert_int_equal(mapcache_ioreq_remove_cache(server, company.cache), 0);
	for (unsigned int i = 0; i < 15; i++) {
		caches[i] = open_cache(company.bed.rig.domid);
		assert_int_equal(mapcache_ioreq_add_cache(server, caches[i]), 0);
	}
	assert_int_equal(mapcache_ioreq_add_cache(server, company.cache), -ENOSPC);
	for (unsigned int i = 0; i < 15; i++) {
		assert_int_equal(mapcache_ioreq_remove_cache(server, caches[i]), 0);
		assert_int_equal(mapcache_close(caches[i]), 0);
	}
	assert_int_equal(mapcache_close(foreign), 0);
	assert_int_equal(xensim_domain_destroy(other), 0);
	company_close(&company);
}

#define MEETINGS 10000u

struct meeting {
	struct mapcache_ioreq *server;
	mapcache_atomic_u32 arrived; /* of both threads, at every round's beginning and end */
};

static void meet(struct meeting *meeting, uint32_t round)
{
	mapcache_add_release(&meeting->arrived, 1);
	for (uint32_t looks = 1; mapcache_load_acquire(&meeting->arrived) < 2 * round; looks++)
		if (looks % 1000 == 0)
			sched_yield();
}

static int add_again_and_again(struct peer *peer, void *data)
{
	struct meeting *meeting = data;
	int errors = 0;

	for (uint32_t round = 1; round <= MEETINGS; round++) {
		meet(meeting, 2 * round - 1);
		errors += mapcache_ioreq_add_cache(meeting->server, peer->cache) != 0;
		meet(meeting, 2 * round);
		errors += mapcache_ioreq_remove_cache(meeting->server, peer->cache) != 0;
	}
	return errors;
}

static void A_caches_that_are_added_at_once_have_places_of_their_own(void **state)
{
	struct company company;
	struct meeting meeting = { 0 };
	struct peer peers[2];

	(void)state;
	company_open(&company, 0);
	meeting.server = company.device.server;
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], open_cache(company.bed.rig.domid));
		peer_start(&peers[i], add_again_and_again, &meeting);
	}
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(peer_wait(&peers[i]), 0);
		peer_close(&peers[i]);
		assert_int_equal(mapcache_close(peers[i].cache), 0);
	}
	company_close(&company);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(A_every_cache_of_the_guest_is_told_before_the_answer),
		cmocka_unit_test(A_adding_and_enabling_invalidate_a_cache),
		cmocka_unit_test(with_drain_sections_of_every_cache_are_waited_for),
		cmocka_unit_test(caches_that_are_none_of_its_guests_are_refused),
		cmocka_unit_test(A_caches_that_are_added_at_once_have_places_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
