/* SPDX-License-Identifier: MIT */
#include "tests/xen/arch.h"

#include <stdlib.h>
#include <string.h>
#include <xen/hvm/save.h>

#include "tests/xen/protocol.h"
#include "tests/xen/test.h"

static bool whole_pc;

void arch_whole_pc(bool on)
{
	whole_pc = on;
}

void arch_set_options(struct xen_domctl_createdomain *options)
{
	options->arch.emulation_flags =
		whole_pc ? XEN_X86_EMU_ALL & ~XEN_X86_EMU_VPCI : XEN_X86_EMU_LAPIC;
}

void arch_set_width(const struct domain *domain)
{
	(void)domain;
}

/* 32-bit flat protected mode, no paging, at the entry, the vCPU's number in ebx. */
static struct hvm_hw_cpu initial_state(uint32_t vcpu)
{
	struct hvm_hw_cpu cpu;

	memset(&cpu, 0, sizeof(cpu));
	cpu.cs_limit = cpu.ds_limit = cpu.ss_limit = cpu.es_limit = ~0u;
	cpu.tr_limit = 0x67;
	cpu.cs_arbytes = 0xc9b;
	cpu.ds_arbytes = cpu.ss_arbytes = cpu.es_arbytes = 0xc93;
	cpu.tr_arbytes = 0x8b;
	cpu.cr0 = 0x11; /* PE, ET */
	cpu.rip = GUEST_ENTRY;
	cpu.rbx = vcpu;
	cpu.rflags = 2;
	cpu.dr6 = 0xffff0ff0;
	cpu.dr7 = 0x400;
	return cpu;
}

static void *append(void *to, const void *from, size_t length)
{
	memcpy(to, from, length);
	return (char *)to + length;
}

/* A save record with Xen's own header, and a CPU for each vCPU. */
void arch_set_vcpus(const struct domain *domain)
{
	struct hvm_save_descriptor end = { .typecode = HVM_SAVE_CODE(END),
					   .length = HVM_SAVE_LENGTH(END) };
	int size = xc_domain_hvm_getcontext(domain->control, domain->id, NULL, 0);
	uint8_t *context, *at;

	CHECK(size > 0);
	context = calloc(1, (size_t)size + domain->vcpus * 2 * sizeof(struct hvm_hw_cpu));
	CHECK(context);
	size = xc_domain_hvm_getcontext(domain->control, domain->id, context, (uint32_t)size);
	CHECK(size > 0);
	at = context + sizeof(end) + HVM_SAVE_LENGTH(HEADER);
	for (uint32_t vcpu = 0; vcpu < domain->vcpus; vcpu++) {
		struct hvm_save_descriptor descriptor = { .typecode = HVM_SAVE_CODE(CPU),
							  .instance = (uint16_t)vcpu,
							  .length = HVM_SAVE_LENGTH(CPU) };
		struct hvm_hw_cpu cpu = initial_state(vcpu);

		at = append(at, &descriptor, sizeof(descriptor));
		at = append(at, &cpu, sizeof(cpu));
	}
	at = append(at, &end, sizeof(end));
	domain_require(xc_domain_hvm_setcontext(domain->control, domain->id, context,
						(uint32_t)(at - context)),
		       "set vCPU state");
	free(context);
}

void arch_port_range(enum mapcache_ioreq_type *type, uint64_t *start, uint64_t *end)
{
	(void)type, (void)start, (void)end;
}

void arch_port_request(struct mapcache_request *request)
{
	(void)request;
}
