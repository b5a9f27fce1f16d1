/* SPDX-License-Identifier: MIT */
#include "tests/xen/arch.h"

#include <string.h>
#include <xencall.h>

#include "tests/xen/protocol.h"
#include "tests/xen/test.h"

#define PORT_COUNT 0x10000u

void arch_whole_pc(bool on)
{
	(void)on;
}

void arch_set_options(struct xen_domctl_createdomain *options)
{
	options->arch.gic_version = XEN_DOMCTL_CONFIG_GIC_NATIVE;
	options->arch.tee_type = XEN_DOMCTL_CONFIG_TEE_NONE;
}

/* A new domain's vCPUs are 32-bit until this call, for which libxenctrl has no function. */
void arch_set_width(const struct domain *domain)
{
	xencall_handle *call = xencall_open(NULL, 0);
	struct xen_domctl *op = call ? xencall_alloc_buffer(call, sizeof(*op)) : NULL;

	CHECK(op);
	memset(op, 0, sizeof(*op));
	op->cmd = XEN_DOMCTL_set_address_size;
	op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	op->domain = (domid_t)domain->id;
	op->u.address_size.size = 64;
	domain_require(xencall1(call, __HYPERVISOR_domctl, (unsigned long)op), "64 bits");
	xencall_free_buffer(call, op);
	xencall_close(call);
}

void arch_set_vcpus(const struct domain *domain)
{
	for (uint32_t vcpu = 0; vcpu < domain->vcpus; vcpu++) {
		static vcpu_guest_context_any_t context; /* large */

		memset(&context, 0, sizeof(context));
		context.c.user_regs.pc64 = GUEST_ENTRY;
		context.c.user_regs.cpsr = PSR_GUEST64_INIT;
		context.c.user_regs.x0 = vcpu;
		context.c.sctlr = SCTLR_GUEST_INIT;
		context.c.flags = VGCF_online;
		domain_require(xc_vcpu_setcontext(domain->control, domain->id, vcpu, &context),
			       "set vCPU state");
	}
}

void arch_port_range(enum mapcache_ioreq_type *type, uint64_t *start, uint64_t *end)
{
	if (*type != MAPCACHE_IOREQ_PORT)
		return;
	*type = MAPCACHE_IOREQ_MEMORY;
	*start += PORT_BASE;
	*end += PORT_BASE;
}

void arch_port_request(struct mapcache_request *request)
{
	if (request->type != MAPCACHE_IOREQ_MEMORY || request->addr < PORT_BASE ||
	    request->addr - PORT_BASE >= PORT_COUNT)
		return;
	request->type = MAPCACHE_IOREQ_PORT;
	request->addr -= PORT_BASE;
}
