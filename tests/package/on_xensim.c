/* SPDX-License-Identifier: MIT */
/* A test of a device model without Xen: what it reads of a guest's memory is what is there. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>
#include <xensim.h>

#define GPA (5 * (uint64_t)XENSIM_PAGE)

static int fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	return 1;
}

int main(void)
{
	struct mapcache_options options = { .size = sizeof(options) };
	struct xensim_domain *guest;
	struct mapcache_client *client;
	struct mapcache *cache;
	char text[8] = "";
	uint64_t gfn = GPA / XENSIM_PAGE;

	if (xensim_start(NULL) || xensim_domain_create(1, 0, 1024, &guest))
		return fail("no guest");
	options.domid = xensim_domid(guest);
	if (mapcache_open(&options, &cache) || mapcache_client_open(cache, &client))
		return fail("no cache");
	xensim_guest_write(guest, GPA, "first", 6);
	if (mapcache_read(client, GPA, text, 6) != 6 || strcmp(text, "first"))
		return fail("the guest's memory is not seen");
	/* Another page in its place: what an INVALIDATE would say. */
	if (xensim_outside_decrease(guest, &gfn, 1) != 1 ||
	    xensim_outside_populate(guest, &gfn, 1, 0) != 1)
		return fail("the page does not go");
	xensim_guest_write(guest, GPA, "other", 6);
	mapcache_invalidate(cache);
	if (mapcache_read(client, GPA, text, 6) != 6 || strcmp(text, "other"))
		return fail("the old page is seen");
	mapcache_client_close(client);
	if (mapcache_close(cache) || xensim_domain_destroy(guest) || xensim_stop(stderr))
		return fail("something is left");
	return 0;
}
