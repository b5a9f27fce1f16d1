/* SPDX-License-Identifier: MIT */
/* The log of modified pages, grants, restricted handles, the end of a domain. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xengnttab.h>
#include <xentoolcore.h>

#include "tests/conformance/facts.h"

static struct rig rig;

static void say_result(int result)
{
	say("%d", result ? -errno : 0);
}

static void open_rig(void)
{
	rig_open(&rig, &(struct platform_options){ 0 });
}

/* ---- the log ----------------------------------------------------------------------- */

static void say_modified(uint64_t gfn, uint32_t pages)
{
	say_result(xendevicemodel_modified_memory(rig.model, rig.domid, gfn, pages));
}

void look_log_off(void)
{
	open_rig();
	say("a frame ");
	say_modified(RIG_GFN, 1);
	say(", far past the end ");
	say_modified(RIG_END + 5000, 1);
	rig_close(&rig);
}

void look_log_last(void)
{
	open_rig();
	if (platform_log(&rig.platform))
		rig_fail("switch the log on");
	platform_logged(&rig.platform, 0);
	say("last but one ");
	say_modified(RIG_END - 2, 1);
	say(" (logged %d), last ", platform_logged(&rig.platform, RIG_END - 2));
	say_modified(RIG_END - 1, 1);
	say(", both ");
	say_modified(RIG_END - 2, 2);
	say(" (logged %d), past the end ", platform_logged(&rig.platform, RIG_END - 2));
	say_modified(RIG_END, 1);
	rig_close(&rig);
}

void look_log_empty(void)
{
	open_rig();
	platform_log(&rig.platform);
	say("no frame ");
	say_modified(RIG_GFN, 0);
	say(", wrapping ");
	say_modified(~UINT64_C(0), 2);
	rig_close(&rig);
}

static void log_three(bool first)
{
	struct xen_dm_op_modified_memory_extent extents[] = {
		{ .nr = 1, .first_pfn = RIG_GFN },
		{ .nr = 1, .first_pfn = RIG_END + 100 },
		{ .nr = 1, .first_pfn = RIG_GFN + 2 },
	};

	say_result(xendevicemodel_modified_memory_bulk(rig.model, rig.domid, extents, 3));
	say(", the %s is %s", first ? "first" : "last",
	    platform_logged(&rig.platform, RIG_GFN + (first ? 0 : 2)) > 0 ? "logged"
									  : "not logged");
}

void look_log_bulk(void)
{
	open_rig();
	platform_log(&rig.platform);
	platform_logged(&rig.platform, 0);
	log_three(true);
	say("; ");
	log_three(false);
	rig_close(&rig);
}

/* ---- grants ------------------------------------------------------------------------ */

static void *map_grant(xengnttab_handle *table, uint32_t reference, int prot)
{
	errno = 0;
	return xengnttab_map_grant_ref(table, rig.domid, reference, prot);
}

void look_grant(void)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	volatile uint32_t *page;

	open_rig();
	rig_set_word(&rig, RIG_GFN, 81);
	page = map_grant(table, platform_grant(&rig.platform, RIG_GFN, false),
			 PROT_READ | PROT_WRITE);
	say("%s, shows %u, ", page ? "pointer" : "NULL", page ? *page : 0);
	if (page)
		*page = 82;
	say("a store is seen as %u, unmap ", rig_word(&rig, RIG_GFN));
	say_result(xengnttab_unmap(table, (void *)page, 1));
	xengnttab_close(table);
	rig_close(&rig);
}

void look_grant_read_only(void)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	uint32_t reference;
	void *page;

	open_rig();
	reference = platform_grant(&rig.platform, RIG_GFN, true);
	page = map_grant(table, reference, PROT_READ | PROT_WRITE);
	say("for writing %s", page ? "pointer" : "NULL");
	page = map_grant(table, reference, PROT_READ);
	say(", for reading %s", page ? "pointer" : "NULL");
	if (page)
		xengnttab_unmap(table, page, 1);
	xengnttab_close(table);
	rig_close(&rig);
}

void look_grant_wrong(void)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	void *page;

	open_rig();
	page = map_grant(table, platform_grant(&rig.platform, RIG_GFN, false) + 3, PROT_READ);
	say("%s, errno %d", page ? "pointer" : "NULL", errno);
	xengnttab_close(table);
	rig_close(&rig);
}

/* ---- restricted -------------------------------------------------------------------- */

void look_restrict_memory(void)
{
	xenforeignmemory_handle *handle = xenforeignmemory_open(NULL, 0);
	xen_pfn_t gfn = RIG_GFN;
	int err = 99;
	void *page;

	open_rig();
	say_result(xenforeignmemory_restrict(handle, rig.domid));
	page = xenforeignmemory_map(handle, rig.domid, PROT_READ, 1, &gfn, &err);
	say(", its domain %s %d", page ? "pointer" : "NULL", err);
	errno = 0;
	page = xenforeignmemory_map(handle, rig.domid + 1u, PROT_READ, 1, &gfn, &err);
	say(", another %s, errno %d; to another ", page ? "pointer" : "NULL", errno);
	say_result(xenforeignmemory_restrict(handle, (domid_t)(rig.domid + 1)));
	xenforeignmemory_close(handle);
	rig_close(&rig);
}

void look_restrict_model(void)
{
	xendevicemodel_handle *handle = xendevicemodel_open(NULL, 0);
	unsigned int vcpus = 0;

	open_rig();
	say_result(xendevicemodel_restrict(handle, rig.domid));
	say(", its domain ");
	say_result(xendevicemodel_nr_vcpus(handle, rig.domid, &vcpus));
	say(", another ");
	say_result(xendevicemodel_nr_vcpus(handle, (domid_t)(rig.domid + 1), &vcpus));
	xendevicemodel_close(handle);
	rig_close(&rig);
}

void look_restrict_all(void)
{
	xen_pfn_t gfn = RIG_GFN;
	unsigned int vcpus = 0;
	int err = 99;
	void *page;

	open_rig();
	say_result(xentoolcore_restrict_all(rig.domid));
	page = xenforeignmemory_map(rig.memory, rig.domid, PROT_READ, 1, &gfn, &err);
	say(", its memory %s, its vCPUs ", page ? "pointer" : "NULL");
	say_result(xendevicemodel_nr_vcpus(rig.model, rig.domid, &vcpus));
	errno = 0;
	page = xenforeignmemory_map(rig.memory, rig.domid + 1u, PROT_READ, 1, &gfn, &err);
	say(", another's memory %s, errno %d", page ? "pointer" : "NULL", errno);
	/* With what the platform has left. */
	platform_destroy(&rig.platform);
}

/* ---- the end ----------------------------------------------------------------------- */

/* The domain has given up all but what is mapped. */
static long pages_left(long wanted)
{
	long pages = -1;

	for (unsigned int i = 0; i < 200; i++) {
		pages = platform_pages(&rig.platform);
		if (pages == wanted)
			break;
		rig_settle(&rig);
	}
	return pages;
}

void look_death(void)
{
	volatile uint32_t *page;

	open_rig();
	rig_set_word(&rig, RIG_GFN, 91);
	page = rig_map(&rig, RIG_GFN, 2, NULL);
	rig_close_servers(&rig);
	platform_destroy(&rig.platform);
	say("mapped: %ld pages left, shows %u; ", pages_left(2), *page);
	munmap((void *)page, 2 * GUEST_PAGE_SIZE);
	say("unmapped: %s", pages_left(-1) == -1 ? "gone" : "still there");
	xendevicemodel_close(rig.model);
	xenforeignmemory_close(rig.memory);
}

void look_death_calls(void)
{
	unsigned int vcpus = 0;
	void *page;
	int err = 99;

	open_rig();
	page = rig_map(&rig, RIG_GFN, 1, NULL);
	rig_close_servers(&rig);
	platform_destroy(&rig.platform);
	pages_left(1);
	errno = 0;
	say("dying: map %s ", rig_map(&rig, RIG_GFN, 1, &err) ? "pointer" : "NULL");
	say("err %d, vCPUs ", err);
	say_result(xendevicemodel_nr_vcpus(rig.model, rig.domid, &vcpus));
	munmap(page, GUEST_PAGE_SIZE);
	pages_left(-1);
	say("; gone: map %s ", rig_map(&rig, RIG_GFN, 1, &err) ? "pointer" : "NULL");
	say("err %d, vCPUs ", err);
	say_result(xendevicemodel_nr_vcpus(rig.model, rig.domid, &vcpus));
}

void look_death_model(void)
{
	open_rig();
	rig_map(&rig, RIG_GFN, 1, NULL);
	rig_close_servers(&rig);
	platform_destroy(&rig.platform);
	pages_left(1);
	say("modified_memory ");
	say_result(xendevicemodel_modified_memory(rig.model, rig.domid, RIG_GFN, 1));
	say(", a server's state ");
	say_result(xendevicemodel_set_ioreq_server_state(rig.model, rig.domid, 0, 1));
}

void look_vcpus(void)
{
	unsigned int vcpus = 0;

	rig_open(&rig, &(struct platform_options){ .vcpus = 2 });
	say_result(xendevicemodel_nr_vcpus(rig.model, rig.domid, &vcpus));
	say(", %u", vcpus);
	rig_close(&rig);
}
