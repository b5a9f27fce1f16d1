/* SPDX-License-Identifier: MIT */
#include "cache_model.h"

#include <string.h>

#include "input.h"

static void forget(struct model_page *page)
{
	page->was_hole = page->hole;
	page->was_present = !page->hole;
	page->was_read_only = !page->hole && page->read_only;
	page->was_writable = !page->hole && !page->read_only;
	page->past_count = page->hole ? 0 : 1;
	page->past[0] = page->name;
}

static void remember(struct model_page *page)
{
	page->was_hole |= page->hole;
	if (page->hole)
		return;
	page->was_present = true;
	page->was_read_only |= page->read_only;
	page->was_writable |= !page->read_only;
	if (page->past_count < MODEL_PAST)
		page->past[page->past_count] = page->name;
	page->past_count++;
}

static void give_name(struct model *model, uint64_t number)
{
	struct model_page *page = &model->page[number];

	page->name = ++model->names;
	must(!xensim_guest_write(model->domain, number * MODEL_PAGE + MODEL_NAME, &page->name, 8));
}

/* What was replaced comes back where its neighbours are, so that mappings stay in one piece. */
static void put_back(struct model *model, uint64_t number)
{
	struct model_page *page = &model->page[number];

	if (number < MODEL_RAM && page->hole) {
		must(xensim_outside_populate(model->domain, &number, 1, 0) == 1);
		give_name(model, number);
	}
	page->hole = number >= MODEL_RAM;
	page->read_only = page->changed = false;
	forget(page);
}

void model_reset(struct model *model)
{
	for (uint64_t i = 0; i < MODEL_PAGES; i++) {
		struct model_page *page = &model->page[i];

		if (!page->hole && page->changed)
			must(xensim_outside_remove(model->domain, i) == 1);
		page->hole |= page->changed;
	}
	for (uint64_t i = 0; i < MODEL_PAGES; i++)
		put_back(model, i);
}

void model_start(struct model *model, struct xensim_domain *domain)
{
	model->domain = domain;
	for (uint64_t i = 0; i < MODEL_PAGES; i++)
		model->page[i].changed = true;
	model_reset(model);
}

void model_remove(struct model *model, uint64_t number)
{
	struct model_page *page = &model->page[number];

	if (page->hole)
		return;
	must(xensim_outside_remove(model->domain, number) == 1);
	page->changed = true;
	page->hole = true;
	page->read_only = false;
	remember(page);
}

void model_replace(struct model *model, uint64_t number)
{
	struct model_page *page = &model->page[number];

	must(xensim_outside_populate(model->domain, &number, 1, 0) == 1);
	page->changed = true;
	page->hole = false;
	page->read_only = false;
	give_name(model, number);
	remember(page);
}

void model_set_read_only(struct model *model, uint64_t number, bool read_only)
{
	struct model_page *page = &model->page[number];

	if (page->hole)
		return;
	must(!xensim_p2m_set_type(model->domain, number, 1,
				  read_only ? XENSIM_DENIED : XENSIM_RAM));
	page->changed = true;
	page->read_only = read_only;
	page->was_read_only |= read_only;
	page->was_writable |= !read_only;
}

void model_invalidate(struct model *model, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last && i < MODEL_PAGES; i++)
		forget(&model->page[i]);
}

/* What is there now can always be mapped, whatever else is cached. */
bool model_may_fail(const struct model *model, uint64_t number, bool write)
{
	if (number >= MODEL_PAGES)
		return true;
	return model->page[number].hole || (write && model->page[number].read_only);
}

bool model_may_succeed(const struct model *model, uint64_t number, bool write)
{
	if (number >= MODEL_PAGES)
		return false;
	return write ? model->page[number].was_writable : model->page[number].was_present;
}

bool model_may_show(const struct model *model, uint64_t number, uint64_t name)
{
	const struct model_page *page = &model->page[number];

	for (unsigned int i = 0; i < page->past_count && i < MODEL_PAST; i++)
		if (page->past[i] == name)
			return true;
	return page->past_count > MODEL_PAST && name <= model->names;
}
