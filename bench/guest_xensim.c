/* SPDX-License-Identifier: MIT */
/* A simulated guest, nothing running in it. */
#include "bench/guest.h"

#include <errno.h>
#include <stdio.h>

#include "bench/backend_base.h"
#include "tests/xensim/xensim.h"

/* Frames that the host needs besides the guest's. */
#define SPARE_PAGES 4096u

const char *const guest_platform = "xensim";

static struct xensim_cost chosen_cost(const struct options *options)
{
	switch (options->cost) {
	case COST_PV:
		return xensim_cost_pv(options->cost_unit_ns);
	case COST_ARM:
		return xensim_cost_arm(options->cost_unit_ns);
	default:
		return (struct xensim_cost){ 0 };
	}
}

uint64_t guest_memory(uint64_t bytes)
{
	return bytes + (UINT64_C(512) << 20);
}

int guest_open(struct guest *guest, uint64_t bytes, const struct options *options)
{
	struct xensim_options host = {
		.machine_pages = bytes / XENSIM_PAGE + SPARE_PAGES,
		.no_populate = options->no_populate,
		.cost = chosen_cost(options),
		.seed = options->seed,
	};
	struct xensim_domain *domain;
	int error = xensim_start(&host);

	if (error < 0)
		return error;
	error = xensim_domain_create(1, options->guest_base >> 12, bytes / XENSIM_PAGE, &domain);
	if (error < 0) {
		xensim_stop(NULL);
		return error;
	}
	backend_base_set(options->guest_base);
	guest->domid = xensim_domid(domain);
	guest->bytes = bytes;
	guest->domain = domain;
	return 0;
}

void guest_close(struct guest *guest)
{
	xensim_domain_destroy(guest->domain);
	if (xensim_stop(stderr))
		fprintf(stderr, "mapcache-bench: the simulator found leaks, see above\n");
}
