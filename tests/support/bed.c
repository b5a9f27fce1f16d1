/* SPDX-License-Identifier: MIT */
/*
 * The cache of a test, and short forms of what every test does with it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define BED_SECONDS 120

void bed_start(struct bed *bed, const struct rig_options *options)
{
	uint64_t pages;

	alarm(BED_SECONDS);
	*bed = (struct bed){ .cache = NULL };
	rig_start(&bed->rig, options);
	bed->cache = bed->rig.cache;
	bed->domain = bed->rig.domain;
	assert_int_equal(mapcache_client_open(bed->cache, &bed->client), 0);
	assert_int_equal(mapcache_client_open(bed->cache, &bed->other), 0);
	pages = xensim_domain_pages(bed->domain);
	for (uint64_t gfn = 0; gfn < pages; gfn++) {
		uint64_t value = bed_value(gfn);

		assert_int_equal(
			xensim_guest_write(bed->domain, gfn * BED_PAGE, &value, sizeof(value)), 0);
	}
}

void bed_start_anywhere(struct bed *bed, struct spy *spy, struct mapcache_options cache)
{
	cache.backend = &spy_backend_anywhere;
	cache.backend_data = spy;
	bed_start(bed, &(struct rig_options){ .cache = cache });
}

void bed_stop(struct bed *bed)
{
	if (bed->client != NULL)
		assert_int_equal(mapcache_client_close(bed->client), 0);
	if (bed->other != NULL)
		assert_int_equal(mapcache_client_close(bed->other), 0);
	rig_close(&bed->rig);
	assert_int_equal(bed_totals().splits_refused, 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	rig_stop(&bed->rig);
	alarm(0);
}

uint64_t bed_value(uint64_t gfn)
{
	return (gfn + 1) * UINT64_C(0x0001000100010001);
}

void bed_remove(struct bed *bed, uint64_t gfn)
{
	assert_int_equal(xensim_outside_remove(bed->domain, gfn), 1);
}

void bed_populate(struct bed *bed, uint64_t gfn, uint64_t value)
{
	assert_int_equal(xensim_outside_populate(bed->domain, &gfn, 1, 0), 1);
	assert_int_equal(xensim_guest_write(bed->domain, gfn * BED_PAGE, &value, sizeof(value)), 0);
}

void bed_exchange(struct bed *bed, uint64_t gfn, uint64_t value)
{
	bed_remove(bed, gfn);
	bed_populate(bed, gfn, value);
}

int bed_error(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	int error = 0;

	mapcache_begin(client);
	if (mapcache_ptr(client, gpa, len, prot) == NULL)
		error = errno;
	assert_int_equal(mapcache_end(client), 0);
	return error;
}

volatile uint64_t *bed_ptr(struct mapcache_client *client, uint64_t gpa, int prot)
{
	void *pointer = mapcache_ptr(client, gpa, sizeof(uint64_t), prot);

	assert_non_null(pointer);
	return pointer;
}

uint64_t bed_read(struct mapcache_client *client, uint64_t gpa)
{
	uint64_t value;

	mapcache_begin(client);
	value = *bed_ptr(client, gpa, PROT_READ);
	assert_int_equal(mapcache_end(client), 0);
	return value;
}

void bed_write(struct mapcache_client *client, uint64_t gpa, uint64_t value)
{
	mapcache_begin(client);
	*bed_ptr(client, gpa, PROT_READ | PROT_WRITE) = value;
	assert_int_equal(mapcache_end(client), 0);
}

uint64_t bed_guest(struct bed *bed, uint64_t gpa)
{
	uint64_t value;

	assert_int_equal(xensim_guest_read(bed->domain, gpa, &value, sizeof(value)), 0);
	return value;
}

volatile uint64_t *bed_pin(struct mapcache_client *client, uint64_t gpa)
{
	return bed_pin_range(client, gpa, sizeof(uint64_t), PROT_READ | PROT_WRITE, 0);
}

volatile uint64_t *bed_pin_range(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
				 unsigned int flags)
{
	size_t got = len;
	void *pointer = mapcache_pin(client, gpa, &got, prot, flags);

	assert_non_null(pointer);
	assert_int_equal(got, len);
	return pointer;
}

struct mapcache_stats bed_stats(struct bed *bed)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	assert_int_equal(mapcache_stats(bed->cache, &stats), 0);
	return stats;
}

struct xensim_totals bed_totals(void)
{
	struct xensim_totals totals;

	xensim_totals(&totals);
	return totals;
}

uint64_t bed_reclaim(struct bed *bed)
{
	(void)mapcache_reclaim(bed->cache, UINT64_MAX);
	return mapcache_reclaim(bed->cache, UINT64_MAX);
}
