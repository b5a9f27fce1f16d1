/* SPDX-License-Identifier: MIT */
/* What map calls do, and what may be done with a mapping. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/facts.h"

#define PAGE ((size_t)GUEST_PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)
#define HOLE (RIG_END + 16)

static struct rig rig;

static void open_rig(void)
{
	rig_open(&rig, &(struct platform_options){ 0 });
}

static void close_rig(void)
{
	rig_close(&rig);
}

/* ---- touching ---------------------------------------------------------------------- */

static sigjmp_buf escape;

static void on_signal(int number)
{
	siglongjmp(escape, number);
}

static void say_touch(volatile char *address, bool store)
{
	int number;

	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	number = sigsetjmp(escape, 1);
	if (!number && store)
		*address = 1;
	else if (!number)
		(void)*address;
	say("%s", number == SIGBUS ? "SIGBUS" : number == SIGSEGV ? "SIGSEGV" : "works");
}

/* An address that nobody has: a plain mmap may get it. */
static bool is_free(void *address)
{
	return msync(address, PAGE, MS_ASYNC) && errno == ENOMEM;
}

static void say_map(void *address)
{
	int error = errno;

	if (address)
		say("pointer, ");
	else
		say("NULL, ");
	say("errno %d", error);
}

static void *map_list(const xen_pfn_t *gfns, size_t count, int *err)
{
	for (size_t i = 0; err && i < count; i++)
		err[i] = 99;
	errno = 0;
	return xenforeignmemory_map(rig.memory, rig.domid, RW, count, gfns, err);
}

/* ---- errors ------------------------------------------------------------------------ */

void look_map_mixed(void)
{
	const xen_pfn_t gfns[] = { RIG_GFN, HOLE, RIG_GFN + 1, HOLE + 1 };
	char *page;
	int err[4];

	open_rig();
	page = map_list(gfns, 4, err);
	say_map(page);
	say(", err %d %d %d %d, good pages ", err[0], err[1], err[2], err[3]);
	say_touch(page + 2 * PAGE, true);
	close_rig();
}

void look_map_all_holes(void)
{
	const xen_pfn_t gfns[] = { HOLE, HOLE + 1 };
	int err[2];

	open_rig();
	say_map(map_list(gfns, 2, err));
	say(", err %d %d", err[0], err[1]);
	close_rig();
}

void look_map_no_errors_wanted(void)
{
	const xen_pfn_t gfns[] = { RIG_GFN, HOLE };

	open_rig();
	say_map(map_list(gfns, 2, NULL));
	close_rig();
}

void look_map_no_domain(void)
{
	const xen_pfn_t gfn = RIG_GFN;
	int err = 99;

	open_rig();
	errno = 0;
	say_map(xenforeignmemory_map(rig.memory, 4242, RW, 1, &gfn, &err));
	say(", err %d; without err[]: ", err);
	errno = 0;
	say_map(xenforeignmemory_map(rig.memory, 4242, RW, 1, &gfn, NULL));
	close_rig();
}

void look_map_nothing(void)
{
	const xen_pfn_t gfn = RIG_GFN;
	int err;

	open_rig();
	say_map(map_list(&gfn, 0, &err));
	close_rig();
}

void look_map_far(void)
{
	const xen_pfn_t gfns[] = { (xen_pfn_t)(UINT64_C(1) << 35), (xen_pfn_t)(UINT64_C(1) << 51),
				   ~(xen_pfn_t)0 };
	int err[3];

	open_rig();
	say_map(map_list(gfns, 3, err));
	say(", err %d %d %d", err[0], err[1], err[2]);
	close_rig();
}

void look_map_same_frame(void)
{
	const xen_pfn_t gfns[] = { RIG_GFN, RIG_GFN, RIG_GFN };
	volatile uint32_t *pages;
	int err[3];

	open_rig();
	pages = map_list(gfns, 3, err);
	pages[0] = 77;
	say("err %d %d %d, the third shows %u", err[0], err[1], err[2], pages[2 * PAGE / 4]);
	close_rig();
}

void look_map_many(void)
{
	static xen_pfn_t gfns[4096];
	static int err[4096];
	int first = 0;

	open_rig();
	for (size_t i = 0; i < 4096; i++)
		gfns[i] = RIG_GFN + i % 256;
	say_map(map_list(gfns, 4096, err));
	for (size_t i = 4096; i--;)
		first = err[i] ? err[i] : first;
	say(", err %d", first);
	close_rig();
}

/* ---- using ------------------------------------------------------------------------- */

void look_map_read_only(void)
{
	const xen_pfn_t gfn = RIG_GFN;

	open_rig();
	say_touch(xenforeignmemory_map(rig.memory, rig.domid, PROT_READ, 1, &gfn, NULL), true);
	close_rig();
}

void look_touch_hole(void)
{
	const xen_pfn_t gfns[] = { RIG_GFN, HOLE };
	char *page;
	int err[2];

	open_rig();
	page = map_list(gfns, 2, err);
	say("load ");
	say_touch(page + PAGE, false);
	say(", store ");
	say_touch(page + PAGE, true);
	close_rig();
}

void look_coherent(void)
{
	volatile uint32_t *page;

	open_rig();
	rig_run(&rig);
	page = rig_map(&rig, RIG_GFN, 1, NULL);
	rig_call(&rig, 0, COMMAND_WRITE, GUEST_DATA, 11);
	say("a guest's store %u, ", *page);
	*page = 12;
	say("a load of ours %u", rig_call(&rig, 0, COMMAND_READ, GUEST_DATA));
	say(", another mapping %u", rig_word(&rig, RIG_GFN));
	close_rig();
}

static char *reserve(size_t pages)
{
	char *base = mmap(NULL, pages * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		rig_fail("reserve");
	return base;
}

static void *map_at(char *address, uint64_t first, size_t pages, int *err)
{
	const xen_pfn_t gfns[] = { first, first + 1, first + 2, first + 3 };

	errno = 0;
	return xenforeignmemory_map2(rig.memory, rig.domid, address, RW, MAP_FIXED, pages, gfns,
				     err);
}

void look_map_fixed(void)
{
	char *base = reserve(8);

	open_rig();
	rig_set_word(&rig, RIG_GFN, 5);
	say("%s, ",
	    map_at(base + 2 * PAGE, RIG_GFN, 2, NULL) == base + 2 * PAGE ? "there" : "elsewhere");
	say("shows %u, pages beside it ", *(uint32_t *)(base + 2 * PAGE));
	say("%s", is_free(base + PAGE) || is_free(base + 4 * PAGE) ? "free" : "still reserved");
	close_rig();
}

void look_map_fixed_over(void)
{
	char *base = reserve(8);

	open_rig();
	rig_set_word(&rig, RIG_GFN, 5);
	rig_set_word(&rig, RIG_GFN + 4, 6);
	map_at(base, RIG_GFN, 4, NULL);
	say("%s, ", map_at(base, RIG_GFN + 4, 4, NULL) == base ? "there" : "elsewhere");
	say("shows %u", *(uint32_t *)base);
	close_rig();
}

/* The last of two pages of a reservation had a foreign mapping before. */
static void say_range(char *base)
{
	say("; the range is %s, what was mapped there is %s, beside it %s",
	    is_free(base + PAGE) ? "free" : "taken", is_free(base + 2 * PAGE) ? "gone" : "there",
	    is_free(base) || is_free(base + 3 * PAGE) ? "free" : "still reserved");
}

void look_fixed_failed_hole(void)
{
	char *base = reserve(8);

	open_rig();
	map_at(base + 2 * PAGE, RIG_GFN, 1, NULL);
	say_map(map_at(base + PAGE, RIG_END - 1, 2, NULL));
	say_range(base);
	close_rig();
}

void look_fixed_failed_restricted(void)
{
	char *base = reserve(8);
	xenforeignmemory_handle *other = xenforeignmemory_open(NULL, 0);
	const xen_pfn_t gfns[] = { RIG_GFN, RIG_GFN + 1 };
	int err[2];

	open_rig();
	map_at(base + 2 * PAGE, RIG_GFN, 1, NULL);
	xenforeignmemory_restrict(other, (domid_t)(rig.domid + 1));
	errno = 0;
	say_map(xenforeignmemory_map2(other, rig.domid, base + PAGE, RW, MAP_FIXED, 2, gfns, err));
	say_range(base);
	xenforeignmemory_close(other);
	close_rig();
}

/* ---- whole mappings ---------------------------------------------------------------- */

static void say_result(int result)
{
	say("%d", result ? -errno : 0);
}

void look_unmap_part(void)
{
	char *pages;

	open_rig();
	pages = rig_map(&rig, RIG_GFN, 4, NULL);
	say_result(munmap(pages + PAGE, PAGE));
	say(", the rest ");
	say_touch(pages + 2 * PAGE, true);
	close_rig();
}

void look_unmap_several(void)
{
	char *base = reserve(8);

	open_rig();
	map_at(base + PAGE, RIG_GFN, 2, NULL);
	map_at(base + 3 * PAGE, RIG_GFN, 2, NULL);
	say_result(munmap(base, 8 * PAGE));
	close_rig();
}

void look_replace_whole(void)
{
	char *base = reserve(8);

	open_rig();
	map_at(base + PAGE, RIG_GFN, 4, NULL);
	say_result(mmap(base + PAGE, 4 * PAGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			0) == MAP_FAILED);
	close_rig();
}

void look_remap(void)
{
	char *pages;

	open_rig();
	pages = rig_map(&rig, RIG_GFN, 2, NULL);
	say_result(mremap(pages, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	close_rig();
}

void look_fork(void)
{
	char *page;
	int status;
	pid_t child;

	open_rig();
	page = rig_map(&rig, RIG_GFN, 1, NULL);
	child = fork();
	if (!child)
		_exit(is_free(page) ? 0 : 1);
	waitpid(child, &status, 0);
	say("the child's mapping is %s", status ? "there" : "not there");
	close_rig();
}

/* ---- what is behind it ------------------------------------------------------------- */

void look_read_only_memory(void)
{
	volatile uint32_t *page;

	open_rig();
	rig_run(&rig);
	rig_set_word(&rig, RIG_GFN, 1);
	say("set %d, ",
	    xendevicemodel_set_mem_type(rig.model, rig.domid, HVMMEM_ram_ro, RIG_GFN, 1));
	rig_call(&rig, 0, COMMAND_WRITE, GUEST_DATA, 2);
	say("after a guest's store %u, ", rig_call(&rig, 0, COMMAND_READ, GUEST_DATA));
	page = rig_map(&rig, RIG_GFN, 1, NULL);
	say("our store ");
	say_touch((char *)page, true);
	*page = 3;
	say(", the guest loads %u", rig_call(&rig, 0, COMMAND_READ, GUEST_DATA));
	close_rig();
}

void look_stale(void)
{
	volatile uint32_t *stale;

	open_rig();
	rig_run(&rig);
	rig_call(&rig, 0, COMMAND_WRITE, GUEST_DATA, 21);
	stale = rig_map(&rig, RIG_GFN, 1, NULL);
	rig_call(&rig, 0, COMMAND_DECREASE, RIG_GFN, 1);
	rig_call(&rig, 0, COMMAND_POPULATE, RIG_GFN, 1);
	rig_call(&rig, 0, COMMAND_WRITE, GUEST_DATA, 22);
	say("old mapping %u, new one %u, ", *stale, rig_word(&rig, RIG_GFN));
	*stale = 23;
	say("after a store to the old one the guest loads %u",
	    rig_call(&rig, 0, COMMAND_READ, GUEST_DATA));
	close_rig();
}

void look_held(void)
{
	long before;
	char *page;

	open_rig();
	rig_run(&rig);
	before = platform_pages(&rig.platform);
	page = rig_map(&rig, RIG_GFN, 1, NULL);
	rig_call(&rig, 0, COMMAND_DECREASE, RIG_GFN, 1);
	say("while mapped %ld, ", platform_pages(&rig.platform) - before);
	munmap(page, PAGE);
	say("after that %ld", platform_pages(&rig.platform) - before);
	close_rig();
}
