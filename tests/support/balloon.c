/* SPDX-License-Identifier: MIT */
/* Ballooning, for tests of INVALIDATE. */
#include <tests/support/balloon.h>

#include <xen/hvm/ioreq.h>

void balloon_program(struct xensim_vcpu *vcpu, void *data)
{
	struct balloon *balloon = data;
	uint64_t gfn = BALLOON_GFN + xensim_vcpu_id(vcpu);

	for (uint32_t i = 0; i < balloon->rounds; i++) {
		uint64_t before = mapcache_epoch(balloon->cache);

		balloon->errors += xensim_decrease_reservation(vcpu, &gfn, 1, 0) != 1;
		balloon->late += mapcache_epoch(balloon->cache) == before;
		balloon->errors += xensim_populate_physmap(vcpu, &gfn, 1, 0) != 1;
	}
	flag_set(&balloon->done);
}

void balloon_flag_invalidate(void *flag, uint32_t domid, uint16_t server, uint32_t vcpu,
			     const struct ioreq *request)
{
	(void)domid, (void)server, (void)vcpu;
	if (request->type == IOREQ_TYPE_INVALIDATE)
		flag_set(flag);
}
