/* SPDX-License-Identifier: MIT */
/*
 * Who serves a vCPU's request: whoever called its handler, or whoever completes what the handler
 * has deferred. One word, so that exactly one of them goes on, and an answer is for the item that
 * was asked. Compiled as it is by tests/model.
 *
 * (id << 2) | state; the id counts the items that were handed out.
 *
 *   IDLE      -> HANDED     the handler is called for item id
 *   HANDED    -> IDLE       it has answered
 *   HANDED    -> DEFERRED   mapcache_ioreq_defer(), in the handler
 *   DEFERRED  -> WAITING    the handler has returned: nobody serves the vCPU
 *   DEFERRED  -> IDLE       mapcache_ioreq_complete() was faster: who called the handler goes on
 *   WAITING   -> IDLE       mapcache_ioreq_complete() goes on
 */
#ifndef MAPCACHE_HANDOFF_H
#define MAPCACHE_HANDOFF_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/atomic.h>

enum handoff { HANDOFF_IDLE, HANDOFF_HANDED, HANDOFF_DEFERRED, HANDOFF_WAITING, HANDOFF_BITS = 2 };

static inline uint64_t handoff_word(uint64_t id, enum handoff state)
{
	return id << HANDOFF_BITS | (uint64_t)state;
}

/* Whether nothing is handed out that was not answered. */
static inline bool handoff_idle(mapcache_atomic_u64 *word)
{
	return !(mapcache_load_relaxed(word) & ((UINT64_C(1) << HANDOFF_BITS) - 1));
}

/* The next item, by who serves the vCPU. Relaxed: who defers it is in the handler. */
static inline uint64_t handoff_hand_out(mapcache_atomic_u64 *word)
{
	uint64_t id = (mapcache_load_relaxed(word) >> HANDOFF_BITS) + 1;

	mapcache_store_relaxed(word, handoff_word(id, HANDOFF_HANDED));
	return id;
}

/* In the handler. False: it was not handed out, or is deferred already. */
static inline bool handoff_defer(mapcache_atomic_u64 *word, uint64_t id)
{
	uint64_t handed = handoff_word(id, HANDOFF_HANDED);

	return mapcache_replace_acq_rel(word, &handed, handoff_word(id, HANDOFF_DEFERRED));
}

/* Whether the handler that has returned did not defer it. Then nobody else touches the word, and
 * the item is over. */
static inline bool handoff_answered(mapcache_atomic_u64 *word, uint64_t id)
{
	if (mapcache_load_relaxed(word) != handoff_word(id, HANDOFF_HANDED))
		return false;
	mapcache_store_relaxed(word, handoff_word(id, HANDOFF_IDLE));
	return true;
}

/*
 * The handler has returned and deferred it. False: somebody has answered, and we go on. True:
 * nobody has, and from here on the request is not ours. Acquire: pairs with the release in
 * handoff_claim(), after the answer. Release: what was done to the request comes before WAITING,
 * and so before whoever goes on with it.
 */
static inline bool handoff_wait(mapcache_atomic_u64 *word, uint64_t id)
{
	uint64_t deferred = handoff_word(id, HANDOFF_DEFERRED);

	return mapcache_replace_acq_rel(word, &deferred, handoff_word(id, HANDOFF_WAITING));
}

/* Whether the item waits for an answer, which may then be put down. */
static inline bool handoff_wants(mapcache_atomic_u64 *word, uint64_t id)
{
	uint64_t now = mapcache_load_relaxed(word);

	return now == handoff_word(id, HANDOFF_DEFERRED) ||
	       now == handoff_word(id, HANDOFF_WAITING);
}

/*
 * The answer was put down. WAITING: we go on with the request. DEFERRED: who called the handler
 * does. IDLE: somebody else was faster. Acquire and release: pair with handoff_wait().
 */
static inline enum handoff handoff_claim(mapcache_atomic_u64 *word, uint64_t id)
{
	uint64_t now = handoff_word(id, HANDOFF_DEFERRED);

	if (mapcache_replace_acq_rel(word, &now, handoff_word(id, HANDOFF_IDLE)))
		return HANDOFF_DEFERRED;
	now = handoff_word(id, HANDOFF_WAITING);
	if (mapcache_replace_acq_rel(word, &now, handoff_word(id, HANDOFF_IDLE)))
		return HANDOFF_WAITING;
	return HANDOFF_IDLE;
}

#endif
