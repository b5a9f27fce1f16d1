/* SPDX-License-Identifier: MIT */
/* What the tests of the simulated Xen share: a host with a guest, and a small device model. */
#ifndef TEST_XENSIM_H
#define TEST_XENSIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xen/hvm/ioreq.h>

#include "xensim.h"

#define RAM_PAGES 2048u
#define VCPUS 3u
#define MMIO 0xe0000000u

extern struct xensim_domain *guest;
extern uint32_t guest_id;
extern xenforeignmemory_handle *fmem;

/* cmocka fixtures: a host of 8192 pages, one guest, one handle. Teardown checks for leaks. */
int start_x86(void **state);
int start_arm(void **state);
int start_with(const struct xensim_options *options);
int stop(void **state);

/* A map of pages frames from gfn on; NULL as the library does. err may be NULL. */
void *map_range(uint64_t gfn, size_t pages, int prot, int *err);
uint64_t now_ms(void);
struct xensim_totals totals_now(void);
/* Wait until *word is at least value; fails the test after some seconds. */
void wait_for(const uint32_t *word, uint32_t value);

/* A device model with one ioreq server, every vCPU bound, served by the test itself. */
struct model {
	xendevicemodel_handle *dmod;
	xenevtchn_handle *xce;
	xenforeignmemory_resource_handle *resource;
	struct shared_iopage *page;
	ioservid_t id;
	int port[VCPUS];
};
void model_open(struct model *model);
void model_close(struct model *model);
/* The vCPU whose request waits within timeout_ms, its request in *copy and its slot
 * IN PROCESS; -1: none. */
int model_take(struct model *model, int timeout_ms, struct ioreq *copy);
/* Answer, and notify. */
void model_answer(struct model *model, int vcpu, uint64_t data);
void model_set_state(struct model *model, int vcpu, unsigned int state);
/* Take one request, check its type, answer it. */
void model_serve(struct model *model, uint8_t type, uint64_t data);
/* Nothing arrives for a while. */
void model_idle(struct model *model);

/* A guest program that makes one call and says when it has returned. */
struct call {
	int (*run)(struct xensim_vcpu *vcpu, void *argument);
	void *argument;
	uint32_t vcpu;
	int result;
	uint32_t done;
};
void call_start(struct call *call, uint32_t vcpu);
int call_finish(struct call *call);

/* One group a file. */
extern const struct CMUnitTest map_tests[];
extern const size_t map_count;
extern const struct CMUnitTest account_tests[];
extern const size_t account_count;
extern const struct CMUnitTest p2m_tests[];
extern const size_t p2m_count;
extern const struct CMUnitTest fault_tests[];
extern const size_t fault_count;
extern const struct CMUnitTest ioreq_tests[];
extern const size_t ioreq_count;
extern const struct CMUnitTest server_tests[];
extern const size_t server_count;
extern const struct CMUnitTest io_tests[];
extern const size_t io_count;
extern const struct CMUnitTest buffered_tests[];
extern const size_t buffered_count;
extern const struct CMUnitTest guest_tests[];
extern const size_t guest_count;
extern const struct CMUnitTest evtchn_tests[];
extern const size_t evtchn_count;
extern const struct CMUnitTest grants_tests[];
extern const size_t grants_count;
extern const struct CMUnitTest oracle_tests[];
extern const size_t oracle_count;
extern const struct CMUnitTest storm_tests[];
extern const size_t storm_count;

#endif
