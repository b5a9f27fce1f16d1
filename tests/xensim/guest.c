/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as the guest sees it: every access goes through the p2m to the machine page
 * and holds a reference on it meanwhile, so that the page cannot get another owner under it.
 */
#include "private.h"

/* Word-wise and relaxed: vCPUs and device models race on guest memory by nature. */
void guest_copy_in(void *to, const void *guest, size_t len)
{
	uint8_t *out = to;
	const uint8_t *in = guest;

	for (; len && (uintptr_t)in & 7; len--)
		*out++ = load_relaxed(in++);
	for (; len >= 8; len -= 8, in += 8, out += 8) {
		uint64_t word = load_relaxed((const uint64_t *)(const void *)in);

		__builtin_memcpy(out, &word, 8);
	}
	for (; len; len--)
		*out++ = load_relaxed(in++);
}

void guest_copy_out(void *guest, const void *from, size_t len)
{
	uint8_t *out = guest;
	const uint8_t *in = from;

	for (; len && (uintptr_t)out & 7; len--)
		store_relaxed(out++, *in++);
	for (; len >= 8; len -= 8, in += 8, out += 8) {
		uint64_t word;

		__builtin_memcpy(&word, in, 8);
		store_relaxed((uint64_t *)(void *)out, word);
	}
	for (; len; len--)
		store_relaxed(out++, *in++);
}

static size_t in_page(uint64_t gpa, size_t len)
{
	size_t room = XENSIM_PAGE - (gpa & (XENSIM_PAGE - 1));

	return len < room ? len : room;
}

/* The page behind gpa, also while it is paged out (the pager keeps it), with a reference. */
static int get_page(struct xensim_domain *domain, uint64_t gpa, uint64_t *mfn)
{
	p2m_get_page(domain, gpa >> PAGE_SHIFT, mfn);
	return *mfn == XENSIM_INVALID_MFN ? -EFAULT : 0;
}

static int check_range(struct xensim_domain *domain, uint64_t gpa, size_t len)
{
	uint64_t gfn, last, mfn;
	int level;

	if (!len)
		return 0;
	if (gpa + (len - 1) < gpa)
		return -EFAULT;
	last = (gpa + (len - 1)) >> PAGE_SHIFT;
	for (gfn = gpa >> PAGE_SHIFT; gfn <= last; gfn++)
		if (!p2m_has_page(p2m_lookup(domain, gfn, &mfn, &level)))
			return -EFAULT;
	return 0;
}

static int copy(struct xensim_domain *domain, uint64_t gpa, void *buffer, const void *source,
		size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t step = in_page(gpa + done, len - done);
		uint64_t mfn;
		char *page;

		if (get_page(domain, gpa + done, &mfn))
			return -EFAULT;
		page = (char *)memory_address(mfn) + ((gpa + done) & (XENSIM_PAGE - 1));
		if (source)
			guest_copy_out(page, (const char *)source + done, step);
		else
			guest_copy_in((char *)buffer + done, page, step);
		page_put(mfn);
		done += step;
	}
	return 0;
}

static int access_guest(struct xensim_domain *domain, uint64_t gpa, void *buffer,
			const void *source, size_t len)
{
	int ret;

	if (!domain_get_live(domain))
		return -ESRCH;
	ret = check_range(domain, gpa, len);
	if (!ret)
		ret = copy(domain, gpa, buffer, source, len);
	domain_put(domain);
	return ret;
}

int xensim_guest_read(struct xensim_domain *domain, uint64_t gpa, void *buffer, size_t len)
{
	return access_guest(domain, gpa, buffer, NULL, len);
}

int xensim_guest_write(struct xensim_domain *domain, uint64_t gpa, const void *buffer, size_t len)
{
	return access_guest(domain, gpa, NULL, buffer, len);
}
