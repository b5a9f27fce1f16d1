/* SPDX-License-Identifier: MIT */
/*
 * The timed loops, made once for each design. Before including this, define
 *   DESIGN          a prefix
 *   DESIGN_PINS     1 when the design has pins
 *   DESIGN_UNSAFE   1 when a pointer can be unmapped before it is used: then the storm takes
 *                   DESIGN_safe_read and DESIGN_safe_write
 * and, CONTESTANT_INLINE,
 *   DESIGN_read(thread, gpa) -> uint32_t      one 4-byte access
 *   DESIGN_write(thread, gpa, value)
 *   DESIGN_pin(thread, gpa) -> void *, DESIGN_unpin(thread, gpa, pointer)
 * where thread is struct DESIGN_thread *, which begins with a struct contestant_thread.
 * A design that wants something of it in registers, as its user would have it, defines
 * DESIGN_CONTEXT, a type that takes the place of thread, and DESIGN_ENTER(thread).
 */
#include "bench/clock.h"
#include "bench/contestant.h"

#define LOOP_PASTE2(a, b) a##_##b
#define LOOP_PASTE(a, b) LOOP_PASTE2(a, b)
#define LOOP_NAME(name) LOOP_PASTE(DESIGN, name)
#define LOOP_THREAD struct LOOP_NAME(thread)
#ifndef DESIGN_CONTEXT
#define DESIGN_CONTEXT LOOP_THREAD *
#define DESIGN_ENTER(thread) (thread)
#endif
#if DESIGN_UNSAFE
#define LOOP_SAFE(access) LOOP_NAME(safe_##access)
#else
#define LOOP_SAFE(access) LOOP_NAME(access)
#endif

static uint64_t LOOP_NAME(hit_loop)(struct contestant_thread *head, const struct workload *workload,
				    uint64_t count)
{
	DESIGN_CONTEXT thread = DESIGN_ENTER((LOOP_THREAD *)head);
	const uint64_t *gpa = workload->gpa;
	uint64_t mask = workload->mask, sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += LOOP_NAME(read)(thread, gpa[i & mask]);
	return sum;
}

static uint64_t LOOP_NAME(mixed_loop)(struct contestant_thread *head,
				      const struct workload *workload, uint64_t count)
{
	DESIGN_CONTEXT thread = DESIGN_ENTER((LOOP_THREAD *)head);
	const uint64_t *gpa = workload->gpa;
	uint64_t mask = workload->mask, sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t where = gpa[i & mask];

		if (where & WORKLOAD_WRITE)
			LOOP_NAME(write)(thread, where & ~WORKLOAD_FLAGS, (uint32_t)i);
		else
			sum += LOOP_NAME(read)(thread, where);
	}
	return sum;
}

#if DESIGN_PINS
static uint64_t LOOP_NAME(pin_loop)(struct contestant_thread *head, const struct workload *workload,
				    uint64_t count)
{
	DESIGN_CONTEXT thread = DESIGN_ENTER((LOOP_THREAD *)head);
	const uint64_t *gpa = workload->gpa;
	uint64_t mask = workload->mask, sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t where = gpa[i & mask] & ~WORKLOAD_FLAGS;
		void *pointer = LOOP_NAME(pin)(thread, where);

		sum += (uintptr_t)pointer;
		LOOP_NAME(unpin)(thread, where, pointer);
	}
	return sum;
}
#endif

#if DESIGN_PINS
/* A request begins: its memory is pinned and read; the oldest one ends. */
static void LOOP_NAME(storm_pin)(DESIGN_CONTEXT thread, struct storm_reader *reader, uint64_t gpa)
{
	struct storm_pin *pin = &reader->pins[reader->next_pin++ % STORM_PINS];

	if (pin->pointer)
		LOOP_NAME(unpin)(thread, pin->gpa, pin->pointer);
	*pin = (struct storm_pin){ gpa, LOOP_NAME(pin)(thread, gpa) };
	if (pin->pointer)
		(void)*(const volatile uint32_t *)pin->pointer;
}

static void LOOP_NAME(storm_end)(DESIGN_CONTEXT thread, struct storm_reader *reader)
{
	for (unsigned int i = 0; i < STORM_PINS; i++)
		if (reader->pins[i].pointer)
			LOOP_NAME(unpin)(thread, reader->pins[i].gpa, reader->pins[i].pointer);
}
#endif

CONTESTANT_INLINE void LOOP_NAME(storm_access)(DESIGN_CONTEXT thread, struct storm_reader *reader,
					       uint64_t where, uint32_t value)
{
	(void)reader;
#if DESIGN_PINS
	if (where & WORKLOAD_PIN) {
		LOOP_NAME(storm_pin)(thread, reader, where & ~WORKLOAD_FLAGS);
		return;
	}
#endif
	if (where & WORKLOAD_WRITE)
		LOOP_SAFE(write)(thread, where & ~WORKLOAD_FLAGS, value);
	else
		(void)LOOP_SAFE(read)(thread, where);
}

/* Times each access by itself, so that a stall is seen by the access that had it. */
static void LOOP_NAME(storm_loop)(struct contestant_thread *head, struct storm_reader *reader)
{
	DESIGN_CONTEXT thread = DESIGN_ENTER((LOOP_THREAD *)head);
	const uint64_t *gpa = reader->workload->gpa;
	uint64_t mask = reader->workload->mask, i = 0;

	while (!__atomic_load_n(reader->stop, __ATOMIC_RELAXED)) {
		uint64_t where = gpa[i++ & mask], before = head->misses, begin, end;

		begin = clock_now();
		LOOP_NAME(storm_access)(thread, reader, where, (uint32_t)i);
		end = clock_now();
		histogram_record(head->misses == before ? &reader->hits : &reader->misses,
				 end - begin);
	}
	reader->accesses = i;
#if DESIGN_PINS
	LOOP_NAME(storm_end)(thread, reader);
#endif
}
