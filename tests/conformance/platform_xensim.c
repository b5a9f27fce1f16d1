/* SPDX-License-Identifier: MIT */
/*
 * xensim: the same command loop as the guest of tests/xen, as a guest program. It runs on x86 code
 * whatever the architecture of its p2m is, so its commands come by ports.
 */
#include "tests/conformance/platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/rig.h"
#include "tests/xensim/xensim.h"

void platform_start(enum host host)
{
	const struct xensim_options options = {
		.machine_pages = 8192,
		.strict = true,
		.arch = host == HOST_XENSIM_ARM ? XENSIM_ARM : XENSIM_X86,
	};

	if (xensim_start(&options))
		rig_fail("start xensim");
}

bool platform_is(enum host host)
{
	return host == HOST_XENSIM_X86 || host == HOST_XENSIM_ARM;
}

static struct xensim_domain *domain_of(const struct platform *platform)
{
	return platform->own;
}

/* ---- the guest --------------------------------------------------------------------- */

static uint64_t memory_operation(struct xensim_vcpu *vcpu, const uint32_t *a, bool decrease)
{
	uint64_t gfns[512];

	if (a[1] > 512)
		return (uint32_t)-EINVAL;
	for (uint32_t i = 0; i < a[1]; i++)
		gfns[i] = a[0] + ((uint64_t)i << a[2]);
	return (uint32_t)(decrease ? xensim_decrease_reservation(vcpu, gfns, a[1], a[2])
				   : xensim_populate_physmap(vcpu, gfns, a[1], a[2]));
}

static uint64_t access(struct xensim_vcpu *vcpu, bool port, const uint32_t *a)
{
	uint64_t value = a[3];

	if (port && a[2])
		xensim_port_write(vcpu, (uint16_t)a[0], a[1], value);
	else if (port)
		xensim_port_read(vcpu, (uint16_t)a[0], a[1], &value);
	else if (a[2])
		xensim_mmio_write(vcpu, a[0], a[1], value);
	else
		xensim_mmio_read(vcpu, a[0], a[1], &value);
	return a[2] ? 0 : value;
}

static uint64_t string_io(struct xensim_vcpu *vcpu, uint32_t command, const uint32_t *a)
{
	bool backwards = a[4];

	switch (command) {
	case COMMAND_REP_OUTS:
	case COMMAND_REP_INS:
		xensim_rep(vcpu, IOREQ_TYPE_PIO, a[0], a[1], a[3], a[2],
			   command == COMMAND_REP_OUTS, backwards);
		return 0;
	case COMMAND_REP_STOS:
		xensim_rep_stos(vcpu, a[0], a[2], a[1], a[3], backwards);
		return 0;
	default: /* whichever side is memory */
		if (a[0] >= GUEST_MMIO)
			xensim_rep(vcpu, IOREQ_TYPE_COPY, a[0], a[1], a[3], a[2], true, backwards);
		else
			xensim_rep(vcpu, IOREQ_TYPE_COPY, a[1], a[0], a[3], a[2], false, backwards);
		return 0;
	}
}

static uint64_t sleep_for_ever(struct xensim_vcpu *vcpu)
{
	uint64_t seen = 0;

	while (!xensim_halt(vcpu, &seen))
		;
	return 0;
}

static uint64_t run(struct xensim_vcpu *vcpu, uint32_t command, const uint32_t *a)
{
	const uint32_t word[] = { a[0], 4, command == COMMAND_WRITE, a[1] };

	switch (command) {
	case COMMAND_READ:
	case COMMAND_WRITE:
		return access(vcpu, false, word);
	case COMMAND_ACCESS:
		return access(vcpu, false, a);
	case COMMAND_PORT:
		return access(vcpu, true, a);
	case COMMAND_DECREASE:
	case COMMAND_POPULATE:
		return memory_operation(vcpu, a, command == COMMAND_DECREASE);
	case COMMAND_REMOVE:
		return (uint32_t)xensim_remove_from_physmap(vcpu, a[0]);
	case COMMAND_SHARE_INFO:
		return (uint32_t)xensim_add_to_physmap(vcpu, a[0]);
	case COMMAND_EXCHANGE:
		return (uint32_t)xensim_exchange(vcpu, a[0]);
	case COMMAND_REP_OUTS:
	case COMMAND_REP_INS:
	case COMMAND_REP_MOVS:
	case COMMAND_REP_STOS:
		return string_io(vcpu, command, a);
	}
	return ~0u;
}

static void guest(struct xensim_vcpu *vcpu, void *data)
{
	uint32_t a[COMMAND_ARGUMENTS];

	(void)data;
	while (!xensim_vcpu_stopping(vcpu)) {
		uint64_t command = 0, word;
		uint32_t count;

		if (xensim_port_read(vcpu, PORT_COMMAND, 4, &command))
			return;
		count = (uint32_t)command >> 16;
		for (uint32_t i = 0; i < COMMAND_ARGUMENTS; i++) {
			word = 0;
			if (i < count &&
			    xensim_port_read(vcpu, (uint16_t)(PORT_ARGUMENT + 4 * i), 4, &word))
				return;
			a[i] = (uint32_t)word;
		}
		command &= 0xffff;
		if (command == COMMAND_FREEZE)
			xensim_port_write(vcpu, PORT_RESULT, 4, 0);
		word = command == COMMAND_FREEZE ? sleep_for_ever(vcpu)
						 : run(vcpu, (uint32_t)command, a);
		if (xensim_port_write(vcpu, PORT_RESULT, 4, word))
			return;
	}
}

/* ---- the toolstack ----------------------------------------------------------------- */

void platform_create(struct platform *platform, const struct platform_options *options)
{
	struct xensim_domain *domain;

	if (xensim_domain_create(options->vcpus ? options->vcpus : 1, 0, RIG_PAGES, &domain))
		rig_fail("create a domain");
	xensim_domain_stdvga(domain, options->vga);
	xensim_dirty_log(domain, false);
	platform->own = domain;
	platform->domid = xensim_domid(domain);
	/* xensim takes the largest leaves that fit: pages alone, when that is wanted. */
	for (uint64_t gfn = 0; !options->order && gfn < RIG_PAGES; gfn += 512) {
		xensim_p2m_set_type(domain, gfn, 1, XENSIM_RAM_RO);
		xensim_p2m_set_type(domain, gfn, 1, XENSIM_RAM);
	}
}

void platform_unpause(struct platform *platform)
{
	for (uint32_t i = 0; xensim_vcpu(domain_of(platform), i); i++)
		if (xensim_vcpu_start(domain_of(platform), i, guest, NULL))
			rig_fail("start a vCPU");
}

void platform_destroy(struct platform *platform)
{
	xensim_domain_destroy(domain_of(platform));
}

int platform_take_page(struct platform *platform, uint64_t gfn)
{
	/* In the words of libxenctrl's ..._exact. */
	return xensim_outside_decrease(domain_of(platform), &gfn, 1) == 1 ? 0 : -EINVAL;
}

int platform_give_page(struct platform *platform, uint64_t gfn)
{
	return xensim_outside_populate(domain_of(platform), &gfn, 1, 0) == 1 ? 0 : -EBUSY;
}

long platform_pages(const struct platform *platform)
{
	uint64_t pages;
	int state = xensim_domain_state(platform->domid, &pages);

	return state == 0 ? -1 : (long)pages;
}

void platform_fail_shatter(struct platform *platform, bool fail)
{
	xensim_fail_shatter(domain_of(platform), fail ? 1000 : 0);
}

int platform_log(struct platform *platform)
{
	xensim_dirty_log(domain_of(platform), true);
	return 0;
}

int platform_logged(struct platform *platform, uint64_t gfn)
{
	int dirty = xensim_dirty(domain_of(platform), gfn);

	xensim_dirty_clear(domain_of(platform));
	return dirty;
}

uint32_t platform_grant(struct platform *platform, uint64_t gfn, bool read_only)
{
	return xensim_grant(domain_of(platform), gfn, read_only);
}

unsigned int platform_quiet_ms(void)
{
	return 10;
}
