/* SPDX-License-Identifier: MIT */
/*
 * What a device model must see, by the guest's own knowledge. One look at pages (is this
 * address the guest's page of now?) and one at words: a history of the last values of each
 * word stored with xensim_oracle_store(), with the time at which each was over.
 *
 * A value is over when the store of the next one has returned; a page's values are over when the
 * hypercall that took the page away has returned, that is when every device model has
 * answered the INVALIDATE. Whoever reads it in a look-up that began later has a stale mapping.
 */
#include <stdlib.h>
#include <string.h>

#include "private.h"

#define BUCKETS 4096u
#define VERSIONS 8u
#define WORDS (XENSIM_PAGE / 8)

struct version {
	uint64_t value;
	uint64_t end; /* time at which it was over; UINT64_MAX: it is not */
};

struct word {
	struct version version[VERSIONS]; /* ring */
	unsigned int newest, count;
	uint64_t forgotten; /* when the last value that fell out of the ring was over */
	bool unknown;       /* the page changed without an INVALIDATE that its vCPU awaits */
};

struct page_words {
	struct page_words *next;
	uint32_t domid;
	uint64_t gfn;
	struct word *word[WORDS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct page_words *buckets[BUCKETS];
static bool used;          /* atomic: some word is remembered */
static uint64_t clock_now; /* atomic */

static uint64_t tick(void)
{
	return __atomic_add_fetch(&clock_now, 1, __ATOMIC_SEQ_CST);
}

static struct page_words *page_locked(uint32_t domid, uint64_t gfn, bool make)
{
	struct page_words **bucket = &buckets[(gfn ^ domid) % BUCKETS];
	struct page_words *page = *bucket;

	while (page && (page->domid != domid || page->gfn != gfn))
		page = page->next;
	if (page || !make)
		return page;
	page = calloc(1, sizeof(*page));
	if (!page)
		return NULL;
	page->domid = domid;
	page->gfn = gfn;
	page->next = *bucket;
	*bucket = page;
	return page;
}

static struct word *word_locked(uint32_t domid, uint64_t gpa, bool make)
{
	struct page_words *page = page_locked(domid, gpa >> PAGE_SHIFT, make);
	struct word **word = page ? &page->word[gpa % XENSIM_PAGE / 8] : NULL;

	if (word && !*word && make)
		*word = calloc(1, sizeof(**word));
	return word ? *word : NULL;
}

static void push(struct word *word, uint64_t value)
{
	/* What was there before the first store is not known, and not over before it returns. */
	if (word->count == 0)
		word->forgotten = UINT64_MAX;
	word->newest = (word->newest + 1) % VERSIONS;
	if (word->count == VERSIONS)
		word->forgotten = word->version[word->newest].end;
	else
		word->count++;
	word->version[word->newest] = (struct version){ value, UINT64_MAX };
}

static void end_older(struct word *word, uint64_t now)
{
	unsigned int i;

	if (word->forgotten == UINT64_MAX)
		word->forgotten = now;
	for (i = 1; i < word->count; i++) {
		struct version *version = &word->version[(word->newest + VERSIONS - i) % VERSIONS];

		if (version->end == UINT64_MAX)
			version->end = now;
	}
}

int xensim_oracle_store(struct xensim_vcpu *vcpu, uint64_t gpa, uint64_t value)
{
	struct word *word;
	int ret = -ENOMEM;

	if (gpa & 7)
		return -EINVAL;
	store_release(&used, true);
	pthread_mutex_lock(&lock);
	word = word_locked(vcpu->domain->domid, gpa, true);
	if (word)
		push(word, value);
	pthread_mutex_unlock(&lock);
	if (!word)
		return ret;
	ret = xensim_store(vcpu, gpa, &value, sizeof(value));
	pthread_mutex_lock(&lock);
	if (ret)
		word->unknown = true;
	else
		end_older(word, tick());
	pthread_mutex_unlock(&lock);
	return ret;
}

uint64_t xensim_oracle_now(void)
{
	return __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);
}

static int check_locked(const struct word *word, uint64_t value, uint64_t since)
{
	unsigned int i;

	if (!word || !word->count || word->unknown)
		return -ENOENT;
	for (i = 0; i < word->count; i++) {
		const struct version *version =
			&word->version[(word->newest + VERSIONS - i) % VERSIONS];

		if (version->value == value && version->end > since)
			return 1;
	}
	return word->forgotten > since ? -ENOENT : 0;
}

int xensim_oracle_check(struct xensim_domain *domain, uint64_t gpa, uint64_t value, uint64_t since)
{
	int ret;

	pthread_mutex_lock(&lock);
	ret = check_locked(word_locked(domain->domid, gpa, false), value, since);
	pthread_mutex_unlock(&lock);
	return ret;
}

/* ---- p2m changes ------------------------------------------------------------------- */

static void each_word_locked(uint32_t domid, uint64_t gfn, void (*act)(struct word *, uint64_t),
			     uint64_t argument)
{
	struct page_words *page = page_locked(domid, gfn, false);
	unsigned int i;

	for (i = 0; page && i < WORDS; i++)
		if (page->word[i])
			act(page->word[i], argument);
}

static void act_change(struct word *word, uint64_t unused)
{
	(void)unused;
	push(word, XENSIM_NEW_WORD);
}

static void act_over(struct word *word, uint64_t now)
{
	end_older(word, now);
	word->unknown = false;
}

static void act_forget(struct word *word, uint64_t unused)
{
	(void)unused;
	word->unknown = true;
}

bool oracle_used(void)
{
	return load_acquire(&used);
}

void oracle_will_change(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
			bool told)
{
	if (!oracle_used())
		return;
	pthread_mutex_lock(&lock);
	if (!vcpu || !told) {
		each_word_locked(domain->domid, gfn, act_forget, 0);
	} else if (page_locked(domain->domid, gfn, false)) {
		uint64_t *list = realloc(vcpu->changed, (vcpu->changed_count + 1) * sizeof(*list));

		if (!list)
			abort();
		vcpu->changed = list;
		list[vcpu->changed_count++] = gfn;
		each_word_locked(domain->domid, gfn, act_change, 0);
	}
	pthread_mutex_unlock(&lock);
}

void oracle_changes_over(struct xensim_vcpu *vcpu)
{
	uint64_t now;
	size_t i;

	if (!vcpu->changed_count)
		return;
	pthread_mutex_lock(&lock);
	now = tick();
	for (i = 0; i < vcpu->changed_count; i++)
		each_word_locked(vcpu->domain->domid, vcpu->changed[i], act_over, now);
	vcpu->changed_count = 0;
	pthread_mutex_unlock(&lock);
}

static void free_page(struct page_words *page)
{
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		free(page->word[i]);
	free(page);
}

void oracle_exit(void)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < BUCKETS; i++)
		while (buckets[i]) {
			struct page_words *next = buckets[i]->next;

			free_page(buckets[i]);
			buckets[i] = next;
		}
	store_release(&used, false);
	pthread_mutex_unlock(&lock);
}

/* ---- pages ------------------------------------------------------------------------- */

int xensim_is_mapping_of(struct xensim_domain *domain, const void *address, uint64_t gpa)
{
	uint64_t shown, wanted;
	int level;

	if (!mapping_lookup((uintptr_t)address, &shown))
		return -ENOENT;
	if (!domain_get_live(domain))
		return -EFAULT;
	p2m_lookup(domain, gpa >> PAGE_SHIFT, &wanted, &level);
	domain_put(domain);
	if (wanted == XENSIM_INVALID_MFN)
		return -EFAULT;
	return shown == wanted;
}
