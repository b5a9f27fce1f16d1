/* SPDX-License-Identifier: MIT */
#include "tests/xen/marked.h"

#include "tests/xen/test.h"

void marked_start(struct marked *marked, uint32_t mark)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = 16,
					    .granule_shift = 12 };

	domain_create(&marked->domain, 1, 2048, 0);
	domain_write_marks(&marked->domain, MARKED_GFN, MARKED_PAGES, mark);
	options.domid = marked->domain.id;
	CHECK_EQUAL(mapcache_open(&options, &marked->cache), 0);
	CHECK_EQUAL(mapcache_client_open(marked->cache, &marked->client), 0);
}

void marked_finish(struct marked *marked)
{
	mapcache_invalidate(marked->cache);
	CHECK_EQUAL(marked_stats(marked).unmap_errors, 0);
	CHECK_EQUAL(marked_stats(marked).lost_ranges, 0);
	CHECK_EQUAL(mapcache_client_close(marked->client), 0);
	CHECK_EQUAL(mapcache_close(marked->cache), 0);
	domain_destroy(&marked->domain);
	CHECK(domain_wait_gone(&marked->domain, 5000));
}

uint64_t marked_gpa(uint32_t page)
{
	return GUEST_DATA + (uint64_t)page * GUEST_PAGE_SIZE;
}

struct mapcache_stats marked_stats(const struct marked *marked)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	CHECK_EQUAL(mapcache_stats(marked->cache, &stats), 0);
	return stats;
}
