/* SPDX-License-Identifier: MIT */
/*
 * The host, the guest and the cache of a test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <tests/support/rig.h>

void rig_start(struct rig *rig, const struct rig_options *options)
{
	struct rig_options none = { .vcpus = 0 };
	struct mapcache_options cache;

	options = options != NULL ? options : &none;
	*rig = (struct rig){ .vcpus = options->vcpus != 0 ? options->vcpus : 1 };
	assert_int_equal(xensim_start(&options->host), 0);
	assert_int_equal(xensim_domain_create(rig->vcpus, 0,
					      options->ram_pages != 0 ? options->ram_pages : 1024,
					      &rig->domain),
			 0);
	xensim_domain_unpause(rig->domain);
	rig->domid = xensim_domid(rig->domain);
	cache = options->cache;
	cache.size = sizeof(cache);
	cache.domid = rig->domid;
	if (sizeof(void *) < 8 && !cache.bucket_shift && !cache.backend && !cache.whole_count)
		cache.bucket_shift = RIG_BUCKET_SHIFT;
	assert_int_equal(mapcache_open(&cache, &rig->cache), 0);
}

void rig_close(struct rig *rig)
{
	if (rig->cache != NULL)
		assert_int_equal(mapcache_close(rig->cache), 0);
	rig->cache = NULL;
}

void rig_stop(struct rig *rig)
{
	rig_close(rig);
	if (rig->domain != NULL)
		assert_int_equal(xensim_domain_destroy(rig->domain), 0);
	assert_int_equal(xensim_protocol_errors(), 0);
	assert_int_equal(xensim_stop(stderr), 0);
}

void rig_run(struct rig *rig, uint32_t vcpu, xensim_program program, void *data)
{
	assert_int_equal(xensim_vcpu_start(rig->domain, vcpu, program, data), 0);
	assert_int_equal(xensim_vcpu_join(rig->domain, vcpu), 0);
}
