/* SPDX-License-Identifier: MIT */
/*
 * What a vCPU's instructions do: memory accesses, I/O instructions, string I/O. RAM is reached
 * through the p2m; anything else becomes a request to the ioreq server whose range it is.
 */
#include <string.h>
#include <unistd.h>
#include <xendevicemodel.h>

#include "private.h"

#define CF8_ENABLE 0x80000000u

/* ---- one request ------------------------------------------------------------------- */

struct access {
	uint8_t type; /* IOREQ_TYPE_* */
	uint64_t addr;
	uint32_t size;
	uint32_t count;
	bool write, backwards, data_is_ptr;
	uint64_t data;
};

static unsigned int range_type(uint8_t type)
{
	switch (type) {
	case IOREQ_TYPE_PIO:
		return XEN_DMOP_IO_RANGE_PORT;
	case IOREQ_TYPE_PCI_CONFIG:
		return XEN_DMOP_IO_RANGE_PCI;
	default:
		return XEN_DMOP_IO_RANGE_MEMORY;
	}
}

/* First and last byte that the device is accessed at: what must lie in a server's range. */
static void extent(const struct access *access, uint64_t *start, uint64_t *end)
{
	uint64_t span = (uint64_t)(access->count - 1) * access->size;

	*start = access->addr;
	*end = access->addr + access->size - 1;
	if (access->type == IOREQ_TYPE_PCI_CONFIG)
		*start = *end = access->addr >> 32;
	else if (access->type == IOREQ_TYPE_COPY && access->backwards)
		*start -= span;
	else if (access->type == IOREQ_TYPE_COPY)
		*end += span;
}

/* An access to 0xcfc..0xcff with configuration enabled goes to whoever has the PCI device. */
static void translate_pci(struct xensim_domain *domain, struct access *access)
{
	uint32_t cf8 = load_relaxed(&domain->cf8);

	if (access->type != IOREQ_TYPE_PIO || (access->addr & ~UINT64_C(3)) != 0xcfc ||
	    !(cf8 & CF8_ENABLE))
		return;
	access->type = IOREQ_TYPE_PCI_CONFIG;
	access->addr =
		(uint64_t)((cf8 & 0x00ffff00) >> 8) << 32 | (cf8 & 0xfc) | (access->addr & 3);
}

static uint64_t truncated(uint64_t value, uint32_t size)
{
	return size >= 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

/* *data: the answer; all ones when there is nobody to ask. */
static int request(struct xensim_vcpu *vcpu, struct access access, uint64_t *data)
{
	struct ioreq_server *server;
	struct ioreq request = { 0 };
	uint64_t start, end;
	int ret;

	*data = ~UINT64_C(0);
	translate_pci(vcpu->domain, &access);
	extent(&access, &start, &end);
	server = server_select(vcpu->domain, range_type(access.type), start, end);
	if (!server)
		return 0;
	request.type = access.type;
	request.addr = access.addr;
	request.size = access.size;
	request.count = access.count;
	request.dir = access.write ? IOREQ_WRITE : IOREQ_READ;
	request.df = access.backwards;
	request.data_is_ptr = access.data_is_ptr;
	/* A read shows the device model whatever the register held. */
	request.data = access.write || access.data_is_ptr ? access.data : vcpu->leftover;
	ret = 0;
	if (!buffered_wanted(vcpu->domain, &request) || !buffered_send(vcpu, server, &request))
		ret = ioreq_send(vcpu, server, &request, data);
	server_put(server);
	return ret;
}

/* ---- RAM --------------------------------------------------------------------------- */

/* The page behind gpa, with a reference; waits while it is paged out. Not RAM: no page. */
static int get_ram(struct xensim_vcpu *vcpu, uint64_t gpa, uint64_t *mfn,
		   enum xensim_p2m_type *type)
{
	while ((*type = p2m_get_page(vcpu->domain, gpa >> PAGE_SHIFT, mfn)) == XENSIM_PAGED_OUT) {
		if (domain_stopping(vcpu->domain))
			return -ESHUTDOWN;
		usleep(100);
	}
	return 0;
}

static void *in_page(uint64_t mfn, uint64_t gpa)
{
	return (char *)memory_address(mfn) + (gpa & (XENSIM_PAGE - 1));
}

/* The largest access an instruction could make at gpa without leaving its alignment. */
static size_t natural_size(uint64_t gpa, size_t len)
{
	size_t size = 8;

	while (size > len || gpa & (size - 1))
		size /= 2;
	return size;
}

/* ---- RAM or not -------------------------------------------------------------------- */

static int device_piece(struct xensim_vcpu *vcpu, uint64_t gpa, void *in, const void *out,
			size_t len, size_t *done)
{
	bool whole = len == 1 || len == 2 || len == 4 || len == 8;
	struct access access = {
		.type = IOREQ_TYPE_COPY,
		.addr = gpa,
		.count = 1,
		.write = out != NULL,
		.size = (uint32_t)(whole ? len : natural_size(gpa, len)),
	};
	uint64_t data;
	int ret;

	if (out)
		memcpy(&access.data, out, access.size);
	ret = request(vcpu, access, &data);
	if (in)
		memcpy(in, &data, access.size);
	*done = access.size;
	return ret;
}

/* As much as lies in one page. in: load; out: store. */
static int piece(struct xensim_vcpu *vcpu, uint64_t gpa, void *in, const void *out, size_t len,
		 size_t *done)
{
	size_t room = XENSIM_PAGE - (gpa & (XENSIM_PAGE - 1));
	enum xensim_p2m_type type;
	uint64_t mfn;
	int ret = get_ram(vcpu, gpa, &mfn, &type);

	if (ret)
		return ret;
	if (len > room)
		len = room;
	if (mfn == XENSIM_INVALID_MFN)
		return device_piece(vcpu, gpa, in, out, len, done);
	if (in)
		guest_copy_in(in, in_page(mfn, gpa), len);
	else if (!p2m_read_only(type)) /* writes to read-only memory are dropped */
		guest_copy_out(in_page(mfn, gpa), out, len);
	page_put(mfn);
	*done = len;
	return 0;
}

static int transfer(struct xensim_vcpu *vcpu, uint64_t gpa, void *in, const void *out, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t done = 0;
		int ret = piece(vcpu, gpa + at, in ? (char *)in + at : NULL,
				out ? (const char *)out + at : NULL, len - at, &done);

		if (ret)
			return ret;
		at += done;
	}
	return 0;
}

int xensim_load(struct xensim_vcpu *vcpu, uint64_t gpa, void *buffer, size_t len)
{
	int ret = vcpu_enter(vcpu);

	return ret ? ret : transfer(vcpu, gpa, buffer, NULL, len);
}

int xensim_store(struct xensim_vcpu *vcpu, uint64_t gpa, const void *buffer, size_t len)
{
	int ret = vcpu_enter(vcpu);

	return ret ? ret : transfer(vcpu, gpa, NULL, buffer, len);
}

int xensim_load16(struct xensim_vcpu *vcpu, uint64_t gpa, uint16_t *value)
{
	enum xensim_p2m_type type;
	uint64_t mfn;
	int ret = gpa & 1 ? -EINVAL : vcpu_enter(vcpu);

	if (!ret)
		ret = get_ram(vcpu, gpa, &mfn, &type);
	if (ret)
		return ret;
	if (mfn == XENSIM_INVALID_MFN)
		return transfer(vcpu, gpa, value, NULL, sizeof(*value));
	/* Acquire: pairs with the device model's release of the index. */
	*value = load_acquire((uint16_t *)in_page(mfn, gpa));
	page_put(mfn);
	return 0;
}

int xensim_store16(struct xensim_vcpu *vcpu, uint64_t gpa, uint16_t value)
{
	enum xensim_p2m_type type;
	uint64_t mfn;
	int ret = gpa & 1 ? -EINVAL : vcpu_enter(vcpu);

	if (!ret)
		ret = get_ram(vcpu, gpa, &mfn, &type);
	if (ret)
		return ret;
	if (mfn == XENSIM_INVALID_MFN)
		return transfer(vcpu, gpa, NULL, &value, sizeof(value));
	/* Release: pairs with the device model's acquire of the index. */
	if (!p2m_read_only(type))
		store_release((uint16_t *)in_page(mfn, gpa), value);
	page_put(mfn);
	return 0;
}

/* ---- I/O instructions -------------------------------------------------------------- */

static bool good_size(uint32_t size, uint32_t largest)
{
	return size && size <= largest && !(size & (size - 1));
}

int xensim_mmio_read(struct xensim_vcpu *vcpu, uint64_t gpa, uint32_t size, uint64_t *value)
{
	*value = 0;
	return good_size(size, 8) ? xensim_load(vcpu, gpa, value, size) : -EINVAL;
}

int xensim_mmio_write(struct xensim_vcpu *vcpu, uint64_t gpa, uint32_t size, uint64_t value)
{
	return good_size(size, 8) ? xensim_store(vcpu, gpa, &value, size) : -EINVAL;
}

static int port(struct xensim_vcpu *vcpu, uint16_t number, uint32_t size, bool write,
		uint64_t *value)
{
	struct access access = {
		.type = IOREQ_TYPE_PIO,
		.addr = number,
		.size = size,
		.count = 1,
		.write = write,
		.data = truncated(*value, size),
	};
	int ret = good_size(size, 4) ? vcpu_enter(vcpu) : -EINVAL;

	if (ret)
		return ret;
	/* Xen notes the configuration address, and lets the device model have it as well. */
	if (write && number == 0xcf8 && size == 4)
		store_relaxed(&vcpu->domain->cf8, (uint32_t)*value);
	ret = request(vcpu, access, value);
	*value = truncated(*value, size);
	return ret;
}

int xensim_port_read(struct xensim_vcpu *vcpu, uint16_t number, uint32_t size, uint64_t *value)
{
	*value = 0;
	return port(vcpu, number, size, false, value);
}

int xensim_port_write(struct xensim_vcpu *vcpu, uint16_t number, uint32_t size, uint64_t value)
{
	return port(vcpu, number, size, true, &value);
}

int xensim_raw_request(struct xensim_vcpu *vcpu, uint16_t id, const struct ioreq *raw,
		       uint64_t *data)
{
	struct ioreq_server *server;
	uint64_t answer = ~UINT64_C(0);
	bool enabled;
	int ret = vcpu_enter(vcpu);

	if (ret)
		return ret;
	server = server_get(vcpu->domain, id);
	if (server) {
		pthread_mutex_lock(&vcpu->domain->ioreq_lock);
		enabled = server->enabled;
		pthread_mutex_unlock(&vcpu->domain->ioreq_lock);
		if (enabled)
			ret = ioreq_send(vcpu, server, raw, &answer);
		server_put(server);
	}
	if (data)
		*data = answer;
	return ret;
}

/* ---- string instructions ----------------------------------------------------------- */

/* How many items Xen puts into one request: those of one page, or one that crosses it. Backwards it
 * counts from where an item ends, and so takes one that begins a page alone. */
static uint32_t items_at_once(uint64_t gpa, uint32_t size, uint32_t count, bool backwards)
{
	uint32_t offset = gpa & (XENSIM_PAGE - 1);
	uint32_t fit = backwards ? ((offset + size - 1) & (XENSIM_PAGE - 1)) / size
				 : (XENSIM_PAGE - offset) / size;

	if (!fit)
		return 1;
	return fit < count ? fit : count;
}

/* And on the device's side: it might be another's on the next page. */
static uint32_t items_in_page(uint64_t gpa, uint32_t size, uint32_t count, bool backwards)
{
	uint32_t offset = gpa & (XENSIM_PAGE - 1);
	uint32_t fit = backwards ? (offset + size) / size : (XENSIM_PAGE - offset) / size;

	if (!fit)
		return 1;
	return fit < count ? fit : count;
}

/* A single item, also the last one of many, goes through a register. */
static int single_item(struct xensim_vcpu *vcpu, struct access access, uint64_t ram_gpa)
{
	uint64_t data = 0;
	int ret;

	access.count = 1;
	access.data_is_ptr = false;
	access.backwards = false;
	if (access.write) {
		ret = transfer(vcpu, ram_gpa, &data, NULL, access.size);
		access.data = data;
		return ret ? ret : request(vcpu, access, &data);
	}
	ret = request(vcpu, access, &data);
	return ret ? ret : transfer(vcpu, ram_gpa, NULL, &data, access.size);
}

int xensim_rep(struct xensim_vcpu *vcpu, int type, uint64_t addr, uint64_t ram_gpa, uint32_t size,
	       uint32_t count, bool write, bool backwards)
{
	struct access access = {
		.type = (uint8_t)type,
		.addr = addr,
		.size = size,
		.write = write,
		.backwards = backwards,
		.data_is_ptr = true,
	};

	if ((type != IOREQ_TYPE_PIO && type != IOREQ_TYPE_COPY) ||
	    !good_size(size, type == IOREQ_TYPE_PIO ? 4 : 8))
		return -EINVAL;
	while (count) {
		uint64_t ignored, step;
		int ret = vcpu_enter(vcpu);

		if (ret)
			return ret;
		access.count = items_at_once(ram_gpa, size, count, backwards);
		if (type == IOREQ_TYPE_COPY)
			access.count = items_in_page(addr, size, access.count, backwards);
		access.addr = addr;
		access.data = ram_gpa;
		ret = count == 1 ? single_item(vcpu, access, ram_gpa)
				 : request(vcpu, access, &ignored);
		if (ret)
			return ret;
		step = (uint64_t)access.count * size;
		ram_gpa = backwards ? ram_gpa - step : ram_gpa + step;
		if (type == IOREQ_TYPE_COPY)
			addr = backwards ? addr - step : addr + step;
		count -= access.count;
	}
	return 0;
}

/* Items of one page: memory, or one request. */
static int stos_piece(struct xensim_vcpu *vcpu, struct access access)
{
	enum xensim_p2m_type type;
	uint64_t mfn, ignored;
	uint32_t i;
	int ret = get_ram(vcpu, access.addr, &mfn, &type);

	if (ret)
		return ret;
	if (mfn == XENSIM_INVALID_MFN && access.addr % XENSIM_PAGE + access.size <= XENSIM_PAGE)
		return request(vcpu, access, &ignored);
	if (mfn != XENSIM_INVALID_MFN)
		page_put(mfn);
	for (i = 0; !ret && i < access.count; i++) {
		uint64_t offset = (uint64_t)i * access.size;

		ret = transfer(vcpu, access.backwards ? access.addr - offset : access.addr + offset,
			       NULL, &access.data, access.size);
	}
	return ret;
}

int xensim_rep_stos(struct xensim_vcpu *vcpu, uint64_t addr, uint32_t size, uint32_t count,
		    uint64_t value, bool backwards)
{
	struct access access = {
		.type = IOREQ_TYPE_COPY,
		.addr = addr,
		.size = size,
		.write = true,
		.backwards = backwards,
		.data = truncated(value, size),
	};

	if (!good_size(size, 8))
		return -EINVAL;
	while (count) {
		uint64_t step;
		int ret = vcpu_enter(vcpu);

		access.count = items_in_page(access.addr, size, count, backwards);
		if (!ret)
			ret = stos_piece(vcpu, access);
		if (ret)
			return ret;
		step = (uint64_t)access.count * size;
		access.addr = backwards ? access.addr - step : access.addr + step;
		count -= access.count;
	}
	return 0;
}
