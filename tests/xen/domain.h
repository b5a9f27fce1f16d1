/* SPDX-License-Identifier: MIT */
/*
 * A small domain builder and the toolstack's part of the tests: an HVM guest with memory,
 * vCPUs and an interrupt controller, made with libxenctrl alone. Setting up and taking away only: what
 * the tests are about goes through libmapcache.
 */
#ifndef XEN_DOMAIN_H
#define XEN_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <xenctrl.h>

struct domain {
	xc_interface *control;
	uint32_t id;
	uint32_t vcpus;
	uint64_t pages; /* guest memory: so many from GUEST_RAM on */
};

/*
 * Create a paused domain with that many pages (in runs of 2^order: superpages for 9) and
 * put the guest's image in. A domain that cannot be had fails the test.
 */
void domain_create(struct domain *domain, uint32_t vcpus, uint64_t pages, unsigned int order);
void domain_unpause(const struct domain *domain);

/* Fail the test, with errno, unless the result is 0. */
void domain_require(int result, const char *what);

/* Xen frees it when its last mapping is gone. */
void domain_destroy(struct domain *domain);

/* As Xen counts them now: memory that the guest holds, also through stale mappings. */
uint64_t domain_page_count(const struct domain *domain);
bool domain_exists(const struct domain *domain);
bool domain_wait_gone(const struct domain *domain, unsigned int timeout_ms);
bool domain_has_shut_down(const struct domain *domain);
bool domain_vcpu_stands_still(const struct domain *domain, uint32_t vcpu);

/* Changes of the guest's memory from outside. 0 or -errno. */
int domain_take_page(const struct domain *domain, uint64_t gfn);
int domain_give_page(const struct domain *domain, uint64_t gfn);

/* Put mark, mark + 1, ... into the first words of pages, around any cache. */
void domain_write_marks(const struct domain *domain, uint64_t gfn, uint32_t count, uint32_t mark);

/* Destroy what an aborted test has left. Returns how many domains that were. */
unsigned int domain_destroy_all(void);

#endif
