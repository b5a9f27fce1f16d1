/* SPDX-License-Identifier: MIT */
/* ioreq servers: pages, ports, restriction, death. */
#include <errno.h>
#include <sys/mman.h>

#define __XEN_TOOLS__ 1
#include "test_xensim.h"
#include <xentoolcore.h>
#include <xen/memory.h>

#define RW (PROT_READ | PROT_WRITE)

static int read_device(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_mmio_read(vcpu, MMIO, 4, argument);
}

static void emulator_death_frees_the_vcpu(void **state)
{
	uint64_t value = 0;
	struct call call = { .run = read_device, .argument = &value };
	struct model model;
	ioservid_t id;

	(void)state;
	model_open(&model);
	xendevicemodel_map_io_range_to_ioreq_server(model.dmod, (domid_t)guest_id, model.id, 1,
						    MMIO, MMIO + 0xfff);
	call_start(&call, 0);
	assert_int_equal(model_take(&model, 20000, NULL), 0);
	assert_int_equal(xensim_emulator_death(guest, model.id), 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(value, 0xffffffff);
	assert_int_equal(xendevicemodel_create_ioreq_server(model.dmod, (domid_t)guest_id, 0, &id),
			 -1);
	assert_int_equal(errno, EBADF);
	model_close(&model);
	/* The page lives for as long as it was mapped, not longer. */
	assert_int_equal(totals_now().foreign_mappings, 0);
	assert_int_equal(totals_now().pages_held, 0);
}

static void ports_are_valid_once_enabled(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	xenforeignmemory_resource_handle *resource;
	struct shared_iopage *page;
	void *address = NULL;
	ioservid_t id;
	size_t size;

	(void)state;
	assert_int_equal(xendevicemodel_create_ioreq_server(dmod, (domid_t)guest_id,
							    HVM_IOREQSRV_BUFIOREQ_ATOMIC, &id),
			 0);
	assert_int_equal(xenforeignmemory_resource_size(fmem, (domid_t)guest_id,
							XENMEM_resource_ioreq_server, id, &size),
			 0);
	assert_int_equal(size, 2 * XENSIM_PAGE);
	resource = xenforeignmemory_map_resource(
		fmem, (domid_t)guest_id, XENMEM_resource_ioreq_server, id, 0, 2, &address, RW, 0);
	assert_non_null(resource);
	page = (void *)((char *)address + XENSIM_PAGE);
	assert_int_equal(page->vcpu_ioreq[1].vp_eport, 0);
	assert_int_equal(xendevicemodel_set_ioreq_server_state(dmod, (domid_t)guest_id, id, 1), 0);
	assert_int_not_equal(page->vcpu_ioreq[1].vp_eport, 0);
	assert_int_not_equal(page->vcpu_ioreq[1].vp_eport, page->vcpu_ioreq[2].vp_eport);
	xenforeignmemory_unmap_resource(fmem, resource);
	xendevicemodel_destroy_ioreq_server(dmod, (domid_t)guest_id, id);
	assert_int_equal(xendevicemodel_destroy_ioreq_server(dmod, (domid_t)guest_id, id), -1);
	assert_int_equal(errno, ENOENT);
	xendevicemodel_close(dmod);
}

static int start_old_xen(void **state)
{
	const struct xensim_options options = { .no_map_resource = true };

	(void)state;
	return start_with(&options);
}

static void an_older_xen_gives_a_frame_instead(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	struct shared_iopage *page;
	void *address = NULL;
	xen_pfn_t gfn = 0;
	ioservid_t id;
	int err;

	(void)state;
	xendevicemodel_create_ioreq_server(dmod, (domid_t)guest_id, 0, &id);
	assert_null(xenforeignmemory_map_resource(
		fmem, (domid_t)guest_id, XENMEM_resource_ioreq_server, id, 1, 1, &address, RW, 0));
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(xendevicemodel_get_ioreq_server_info(dmod, (domid_t)guest_id, id, &gfn,
							      NULL, NULL),
			 0);
	page = xenforeignmemory_map(fmem, guest_id, RW, 1, &gfn, &err);
	assert_int_equal(err, 0);
	assert_int_equal(page->vcpu_ioreq[0].vp_eport, 0);
	assert_int_equal(xendevicemodel_set_ioreq_server_state(dmod, (domid_t)guest_id, id, 1), 0);
	assert_int_not_equal(page->vcpu_ioreq[0].vp_eport, 0);
	/* Enabled: out of the guest's reach. */
	assert_int_equal(xensim_p2m(guest, gfn, NULL, NULL), XENSIM_HOLE);
	xenforeignmemory_unmap(fmem, page, 1);
	xendevicemodel_destroy_ioreq_server(dmod, (domid_t)guest_id, id);
	xendevicemodel_close(dmod);
}

static void restricted_handles_refuse_other_domains(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	unsigned int vcpus;
	ioservid_t id;

	(void)state;
	assert_int_equal(xendevicemodel_restrict(dmod, (domid_t)guest_id), 0);
	assert_int_equal(xendevicemodel_nr_vcpus(dmod, (domid_t)guest_id, &vcpus), 0);
	assert_int_equal(vcpus, VCPUS);
	assert_int_equal(xendevicemodel_create_ioreq_server(dmod, (domid_t)(guest_id + 1), 0, &id),
			 -1);
	assert_int_equal(errno, EPERM);
	xendevicemodel_close(dmod);
}

static void all_open_handles_can_be_restricted_at_once(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0), *later;
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	xen_pfn_t gfn = 0;
	unsigned int vcpus;

	(void)state;
	assert_int_equal(xentoolcore_restrict_all((domid_t)(guest_id + 1)), 0);
	later = xendevicemodel_open(NULL, 0);
	assert_null(xenforeignmemory_map(fmem, guest_id, RW, 1, &gfn, NULL));
	assert_int_equal(errno, EPERM);
	assert_int_equal(xendevicemodel_nr_vcpus(dmod, (domid_t)guest_id, &vcpus), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(xenevtchn_bind_interdomain(xce, guest_id, 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(xendevicemodel_nr_vcpus(later, (domid_t)guest_id, &vcpus), 0);
	assert_int_equal(xentoolcore_restrict_all((domid_t)guest_id), -1);
	xendevicemodel_close(later);
	xendevicemodel_close(dmod);
	xenevtchn_close(xce);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest server_tests[] = {
	TEST(emulator_death_frees_the_vcpu),
	TEST(ports_are_valid_once_enabled),
	cmocka_unit_test_setup_teardown(an_older_xen_gives_a_frame_instead, start_old_xen, stop),
	TEST(restricted_handles_refuse_other_domains),
	TEST(all_open_handles_can_be_restricted_at_once),
};
const size_t server_count = sizeof(server_tests) / sizeof(server_tests[0]);
