/* SPDX-License-Identifier: MIT */
/* What the cache asks of a backend, a backend of one's own, and the one for Xen by itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/spy.h>

/* ---- one of one's own: anonymous memory, every page tells its frame ---------------------------- */

struct plain {
	unsigned int opens, closes, maps;
	uint64_t holes_from; /* frame */
};

static int plain_open(void *data, uint32_t domid, void **state)
{
	struct plain *plain = data;

	plain->opens++;
	*state = plain;
	return domid == 42 ? 0 : -ENOENT;
}

static void plain_close(void *state)
{
	struct plain *plain = state;

	plain->closes++;
}

static void *plain_map(void *state, void *address, uint64_t gfn, size_t pages, int prot, int *error)
{
	struct plain *plain = state;
	char *base = mmap(address, pages * BED_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | (address ? MAP_FIXED : 0), -1, 0);

	assert_ptr_not_equal(base, MAP_FAILED);
	assert_true(prot == PROT_READ || prot == (PROT_READ | PROT_WRITE));
	plain->maps++;
	for (size_t i = 0; i < pages; i++) {
		*(uint64_t *)(base + i * BED_PAGE) = bed_value(gfn + i);
		error[i] = gfn + i >= plain->holes_from ? -EFAULT : 0;
	}
	return base;
}

static int plain_unmap(void *state, void *address, size_t pages, int keep)
{
	(void)state;
	if (!keep)
		return munmap(address, pages * BED_PAGE) ? -errno : 0;
	return mmap(address, pages * BED_PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED
		       ? -errno
		       : 0;
}

static const struct mapcache_backend plain_backend = {
	.size = sizeof(struct mapcache_backend),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = plain_open,
	.close = plain_close,
	.map = plain_map,
	.unmap = plain_unmap,
};

static void a_cache_works_on_any_backend(void **state)
{
	struct plain plain = { .holes_from = 5000 };
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = 42,
					    .backend = &plain_backend,
					    .backend_data = &plain };
	struct mapcache_client *client;
	struct mapcache *cache;

	(void)state;
	assert_int_equal(mapcache_open(&options, &cache), 0);
	assert_int_equal(mapcache_client_open(cache, &client), 0);
	for (unsigned int epoch = 0; epoch < 3; epoch++) {
		for (uint64_t gfn = 0; gfn < 5000; gfn += 33)
			assert_int_equal(bed_read(client, gfn * BED_PAGE), bed_value(gfn));
		assert_int_equal(bed_error(client, 5000 * BED_PAGE, 8, PROT_READ), EFAULT);
		assert_int_equal(bed_error(client, 9000 * BED_PAGE, 8, PROT_READ), EFAULT);
		mapcache_invalidate(cache);
	}
	assert_int_equal(mapcache_client_close(client), 0);
	assert_int_equal(mapcache_close(cache), 0);
	assert_int_equal(plain.opens, 1);
	assert_int_equal(plain.closes, 1);
	options.domid = 43;
	assert_int_equal(mapcache_open(&options, &cache), -ENOENT);
	assert_int_equal(plain.closes, 1);
}

/* ---- what is asked of it ------------------------------------------------------------------------ */

struct asked {
	struct bed *bed;
	uint64_t wrong, calls;
};

static int check_call(struct spy *spy, const struct spy_call *call)
{
	struct asked *asked = spy->data;
	bool wrong = call->pages == 0 || (uintptr_t)call->address % BED_PAGE != 0;

	if (!asked)
		return 0;
	asked->calls++;
	if (call->map) {
		wrong |= !call->address || call->pages > 256 || !call->error;
		wrong |= !call->list && call->gfn / 256 != (call->gfn + call->pages - 1) / 256;
		wrong |= call->prot != PROT_READ && call->prot != (PROT_READ | PROT_WRITE);
		/* A slot is as aligned as its bucket. */
		wrong |= ((uintptr_t)call->address / BED_PAGE - (call->list ? 0 : call->gfn)) %
				 256 !=
			 0;
	} else {
		wrong |= !call->keep;
	}
	asked->wrong += wrong;
	return 0;
}

static void a_backend_is_only_asked_for_what_its_header_says(void **state)
{
	struct bed bed;
	struct asked asked = { &bed, 0, 0 };
	struct spy spy = { .before = check_call };

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .backend = &spy_backend,
							  .backend_data = &spy,
							  .bucket_shift = RIG_BUCKET_SHIFT,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	spy.data = &asked;
	assert_true(xensim_p2m_set_type(bed.domain, 700, 9, XENSIM_DENIED) >= 0);
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t gfn = i * 211 % 1000;

		(void)bed_error(bed.client, gfn * BED_PAGE, (1 + i % 20) * 4096, PROT_READ);
		if (i % 7 == 0)
			mapcache_invalidate(bed.cache);
		if (i % 31 == 0)
			mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	assert_true(asked.calls > 100);
	assert_int_equal(asked.wrong, 0);
	spy.data = NULL;
	bed_stop(&bed);
}

/* ---- the one for Xen ------------------------------------------------------------------------------ */

/* More frames than are kept on the stack; errors of either sign; nothing at all. */
static void the_backend_for_xen_maps_much_and_little_and_tells_errors(void **state)
{
	const size_t pages = 1500;
	int *error = calloc(pages, sizeof(*error));
	struct bed bed;
	void *xen;
	char *base;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = 1400 });
	assert_int_equal(mapcache_backend_xen.open(NULL, bed.rig.domid, &xen), 0);
	base = mapcache_backend_xen.map(xen, NULL, 0, pages, PROT_READ, error);
	assert_non_null(base);
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(error[i], i < 1400 ? 0 : -EFAULT);
	assert_int_equal(*(uint64_t *)(base + 1399 * BED_PAGE), bed_value(1399));
	/* It ends when it is mapped over, which is the cache's business. */
	assert_int_equal(mapcache_backend_xen.unmap(xen, base, pages, 1), 0);
	assert_int_equal(bed_totals().foreign_mappings, 1);
	assert_int_equal(munmap(base, pages * BED_PAGE), 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	base = mapcache_backend_xen.map(xen, NULL, 0, 10, PROT_READ, error);
	assert_non_null(base);
	assert_int_equal(mapcache_backend_xen.unmap(xen, base, 10, 0), 0);
	errno = 0;
	assert_null(mapcache_backend_xen.map(xen, NULL, 0, 0, PROT_READ, error));
	assert_int_equal(errno, EINVAL);
	xensim_fail(XENSIM_CALL_MAP, 1, ENOSPC);
	assert_null(mapcache_backend_xen.map(xen, NULL, 0, 10, PROT_READ, error));
	assert_int_equal(errno, ENOSPC);
	xensim_fail(XENSIM_CALL_UNMAP, 1, ENOMEM);
	base = mapcache_backend_xen.map(xen, NULL, 0, 10, PROT_READ, error);
	assert_non_null(base);
	assert_int_equal(mapcache_backend_xen.unmap(xen, base, 10, 0), -ENOMEM);
	/* As before: it can be tried again. */
	assert_int_equal(*(uint64_t *)(base + 9 * BED_PAGE), bed_value(9));
	assert_int_equal(mapcache_backend_xen.unmap(xen, base, 10, 0), 0);
	mapcache_backend_xen.close(xen);
	free(error);
	bed_stop(&bed);
}

/* Buckets of 4 MiB: 1024 frames a call. */
static void buckets_of_many_pages_are_mapped_whole(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = 2048, .cache.bucket_shift = 22 });
	for (uint64_t gfn = 0; gfn < 2048; gfn += 9)
		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
	assert_int_equal(bed_stats(&bed).map_calls, 2);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cache_works_on_any_backend),
		cmocka_unit_test(a_backend_is_only_asked_for_what_its_header_says),
		cmocka_unit_test(the_backend_for_xen_maps_much_and_little_and_tells_errors),
		cmocka_unit_test(buckets_of_many_pages_are_mapped_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
