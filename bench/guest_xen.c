/* SPDX-License-Identifier: MIT */
/*
 * A running domain on a real Xen. Its RAM is taken to have no hole from --guest-base on, so
 * choose working sets below an x86 guest's first 3 GiB.
 */
#include "bench/guest.h"

#include <errno.h>
#include <stdio.h>

#include "bench/backend_base.h"

const char *const guest_platform = "xen";

/* The domain has its own. */
uint64_t guest_memory(uint64_t bytes)
{
	(void)bytes;
	return UINT64_C(64) << 20;
}

int guest_open(struct guest *guest, uint64_t bytes, const struct options *options)
{
	if (!options->domid) {
		fprintf(stderr, "mapcache-bench: on a real Xen --domid says whose memory to map\n");
		return -EINVAL;
	}
	backend_base_set(options->guest_base);
	guest->domid = options->domid;
	guest->bytes = bytes;
	guest->domain = NULL;
	return 0;
}

void guest_close(struct guest *guest)
{
	guest->domid = 0;
}
