/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "exec/ramlist.h"
#include "hw/xen/xen.h"
#include "qemu/error-report.h"
#include "system/runstate.h"
#include "system/xen.h"

#include "qemu_stage.h"

#define STAGE_SECONDS 120

#ifdef __SANITIZE_THREAD__
/* These tests hold every lock of a cache at once, which are more than its search for deadlocks
 * can follow (64); the library's own tests keep that search. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}
#endif

struct stage stage;
uint32_t xen_domid;

void error_report(const char *format, ...)
{
	(void)format;
	__atomic_fetch_add(&stage.messages, 1, __ATOMIC_RELAXED);
}

bool runstate_check(RunState state)
{
	return (state == RUN_STATE_INMIGRATE) == stage.incoming;
}

bool xen_mr_is_grants(MemoryRegion *mr)
{
	return mr == STAGE_GRANTS;
}

/* As QEMU's list of notifiers: one caller at a time, which is the layer's to see to. */
void ram_block_notify_add(void *host, size_t size, size_t max_size)
{
	(void)host;
	stage.added += size == max_size ? size : 0;
}

void ram_block_notify_remove(void *host, size_t size, size_t max_size)
{
	(void)host;
	stage.removed += size == max_size ? size : 0;
}

static void failed(void *data, uint64_t address, uint64_t size, int error)
{
	struct stage *told = data;

	(void)address;
	(void)size;
	__atomic_fetch_add(&told->failures, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&told->failure, error, __ATOMIC_RELAXED);
}

void stage_start(uint64_t ram_pages, phys_offset_to_gaddr_t translate)
{
	alarm(STAGE_SECONDS);
	stage = (struct stage){ .domain = NULL };
	assert_int_equal(xensim_start(NULL), 0);
	assert_int_equal(xensim_domain_create(1, 0, ram_pages, &stage.domain), 0);
	for (uint64_t gfn = 0; gfn < ram_pages; gfn++) {
		uint64_t value = bed_value(gfn);

		assert_int_equal(xensim_guest_write(stage.domain, gfn * BED_PAGE, &value, 8), 0);
	}
	xen_domid = xensim_domid(stage.domain);
	xen_map_cache_on_failure(failed, &stage);
	assert_false(xen_map_cache_enabled());
	xen_map_cache_init(translate, NULL);
	assert_true(xen_map_cache_enabled());
	stage.cache = xen_map_cache_library();
}

void stage_stop(void)
{
	struct xensim_totals totals;

	assert_int_equal(xen_map_cache_close(), 0);
	assert_int_equal(stage.added, stage.removed);
	xensim_totals(&totals);
	assert_int_equal(totals.splits_refused, 0);
	assert_int_equal(totals.foreign_mappings, 0);
	assert_int_equal(xensim_domain_destroy(stage.domain), 0);
	assert_int_equal(xensim_stop(stderr), 0);
	alarm(0);
}

void stage_remove(uint64_t gfn)
{
	assert_int_equal(xensim_outside_remove(stage.domain, gfn), 1);
}

void stage_exchange(uint64_t gfn, uint64_t value)
{
	stage_remove(gfn);
	assert_int_equal(xensim_outside_populate(stage.domain, &gfn, 1, 0), 1);
	assert_int_equal(xensim_guest_write(stage.domain, gfn * BED_PAGE, &value, 8), 0);
}

struct mapcache_stats stage_stats(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	assert_int_equal(mapcache_stats(stage.cache, &stats), 0);
	return stats;
}

uint64_t stage_guest(uint64_t gpa)
{
	uint64_t value;

	assert_int_equal(xensim_guest_read(stage.domain, gpa, &value, 8), 0);
	return value;
}

uint64_t stage_word(const uint8_t *pointer)
{
	uint64_t value;

	assert_non_null(pointer);
	memcpy(&value, pointer, sizeof(value));
	return value;
}
