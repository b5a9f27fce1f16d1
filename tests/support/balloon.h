/* SPDX-License-Identifier: MIT */
/* A guest program that gives a frame away and gets memory there again, and looks how INVALIDATE
 * is answered. */
#ifndef TESTS_SUPPORT_BALLOON_H
#define TESTS_SUPPORT_BALLOON_H

#include <tests/support/flag.h>
#include <tests/support/rig.h>

/* vCPU v works on frame BALLOON_GFN + v. */
#define BALLOON_GFN UINT64_C(0x30)

struct balloon {
	struct mapcache *cache;
	uint32_t rounds;
	uint64_t late; /* the guest went on in the epoch in which it gave its page away */
	uint64_t errors;
	struct flag done;
};

void balloon_program(struct xensim_vcpu *vcpu, void *balloon);

/* A request hook: sets the struct flag when an INVALIDATE is about to be sent. */
struct ioreq;
void balloon_flag_invalidate(void *flag, uint32_t domid, uint16_t server, uint32_t vcpu,
			     const struct ioreq *request);

#endif
