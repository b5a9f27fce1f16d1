/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STAND_INS_OF_MY_OWN
#include "exec/cpu-common.h"
#include "exec/ramlist.h"
#include "hw/xen/xen.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
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

/* It wants the main thread, which who maps need not be. */
void ram_block_notify_add(void *host, size_t size, size_t max_size)
{
	(void)host;
	(void)size;
	(void)max_size;
	__atomic_fetch_add(&stage.notified, 1, __ATOMIC_RELAXED);
}

void ram_block_notify_remove(void *host, size_t size, size_t max_size)
{
	ram_block_notify_add(host, size, max_size);
}

/* ---- RAM blocks ------------------------------------------------------------------------------- */

void *qemu_ram_get_host_addr(RAMBlock *rb)
{
	return rb->host;
}

ram_addr_t qemu_ram_get_offset(RAMBlock *rb)
{
	return rb->offset;
}

ram_addr_t qemu_ram_get_max_length(RAMBlock *rb)
{
	return rb->size;
}

int qemu_ram_foreach_block(RAMBlockIterFunc func, void *opaque)
{
	int result = 0;

	for (int i = 0; i < STAGE_BLOCKS && !result; i++) {
		if (stage.blocks[i].size)
			result = func(&stage.blocks[i], opaque);
	}
	return result;
}

static struct RAMBlock *block_at(uint64_t offset)
{
	for (int i = 0; i < STAGE_BLOCKS; i++) {
		if (stage.blocks[i].size && stage.blocks[i].offset == offset)
			return &stage.blocks[i];
	}
	return NULL;
}

void stage_block_add(uint64_t offset, uint64_t size)
{
	int i = 0;

	while (i < STAGE_BLOCKS && stage.blocks[i].size)
		i++;
	assert_in_range(i, 0, STAGE_BLOCKS - 1);
	stage.blocks[i] = (struct RAMBlock){ .offset = offset, .size = size };
}

void stage_block_mapped(uint64_t offset, void *host)
{
	assert_non_null(block_at(offset));
	block_at(offset)->host = host;
}

void stage_block_remove(uint64_t offset)
{
	assert_non_null(block_at(offset));
	block_at(offset)->size = 0;
}

/* ---- main loop, RCU, run state ------------------------------------------------------------------ */

static struct QEMUBH bottom_half;
static struct {
	struct rcu_head *head;
	RCUCBFunc *func;
} grace;
static struct {
	VMChangeStateHandler *cb;
	void *opaque;
	int priority;
} handlers[4];
static unsigned int handler_count;

QEMUBH *qemu_bh_new(QEMUBHFunc *cb, void *opaque)
{
	bottom_half = (struct QEMUBH){ .cb = cb, .opaque = opaque };
	return &bottom_half;
}

void qemu_bh_schedule(QEMUBH *bh)
{
	(void)bh;
	__atomic_store_n(&stage.scheduled, true, __ATOMIC_SEQ_CST);
}

void stage_main_loop(void)
{
	if (__atomic_exchange_n(&stage.scheduled, false, __ATOMIC_SEQ_CST))
		bottom_half.cb(bottom_half.opaque);
}

void call_rcu1(struct rcu_head *head, RCUCBFunc *func)
{
	assert_null(grace.func);
	grace.head = head;
	grace.func = func;
}

void stage_grace_period(void)
{
	RCUCBFunc *func = grace.func;

	grace.func = NULL;
	if (func)
		func(grace.head);
}

VMChangeStateEntry *qemu_add_vm_change_state_handler_prio(VMChangeStateHandler *cb, void *opaque,
							  int priority)
{
	assert_in_range(handler_count, 0, 3);
	handlers[handler_count].cb = cb;
	handlers[handler_count].opaque = opaque;
	handlers[handler_count++].priority = priority;
	return NULL;
}

void stage_runs(bool running)
{
	for (unsigned int i = 0; i < handler_count; i++)
		handlers[i].cb(handlers[i].opaque, running,
			       running ? RUN_STATE_RUNNING : RUN_STATE_INMIGRATE);
}

/* ---- the stage ---------------------------------------------------------------------------------- */

static void failed(void *data, uint64_t address, uint64_t size, int error)
{
	struct stage *told = data;

	(void)address;
	(void)size;
	__atomic_fetch_add(&told->failures, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&told->failure, error, __ATOMIC_RELAXED);
}

static void stamp(uint64_t gfn, uint64_t pages)
{
	for (uint64_t end = gfn + pages; gfn < end; gfn++) {
		uint64_t value = bed_value(gfn);

		assert_int_equal(xensim_guest_write(stage.domain, gfn * BED_PAGE, &value, 8), 0);
	}
}

void stage_populate(uint64_t gpa, uint64_t len)
{
	for (uint64_t at = gpa; at < gpa + len; at += BED_PAGE) {
		uint64_t gfn = at / BED_PAGE;

		assert_int_equal(xensim_outside_populate(stage.domain, &gfn, 1, 0), 1);
	}
	stamp(gpa / BED_PAGE, len / BED_PAGE);
}

void stage_start(uint64_t ram_pages, phys_offset_to_gaddr_t translate)
{
	alarm(STAGE_SECONDS);
	stage = (struct stage){ .domain = NULL };
	assert_int_equal(xensim_start(NULL), 0);
	assert_int_equal(xensim_domain_create(1, 0, ram_pages, &stage.domain), 0);
	stamp(0, ram_pages);
	stage_block_add(0, ram_pages * BED_PAGE);
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
	stage_grace_period();
	assert_int_equal(stage.notified, 0);
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
