/* SPDX-License-Identifier: MIT */
#include "tests/xen/access.h"

#include <errno.h>
#include <sys/mman.h>

#include "tests/xen/test.h"

uint32_t access_word(struct mapcache_client *client, uint64_t gpa)
{
	uint32_t value = ~0u;
	const volatile uint32_t *word;
	int error;

	mapcache_begin(client);
	word = mapcache_ptr(client, gpa, sizeof(*word), PROT_READ);
	error = errno;
	if (word)
		value = *word;
	mapcache_end(client);
	errno = word ? 0 : error;
	return value;
}

void access_check_hole(struct mapcache_client *client, uint64_t gpa)
{
	CHECK_EQUAL(access_word(client, gpa), ~0u);
	CHECK_EQUAL(errno, EFAULT);
}
