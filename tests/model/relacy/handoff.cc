/* SPDX-License-Identifier: MIT */
/*
 * A request that its handler has deferred: whoever called the handler and whoever completes it
 * agree on who goes on with it, nobody else touches it, and it is answered once.
 */
#include <tests/model/relacy/run.h>

#include <lib/ioreq/handoff.h>

#define ANSWER 7u

/* Thread 0 serves the vCPU; the others complete what it defers, each once. */
template <typename MODEL, unsigned THREADS> struct deferring : world<MODEL, THREADS> {
	mapcache_atomic_u64 word, answer, posted;
	rl::var<unsigned> request; /* the rest of struct ioreq_vcpu */
	mapcache_atomic_u32 answered, claimed;

	void before()
	{
		world<MODEL, THREADS>::before();
		word.store(0, rl::mo_relaxed, RL_INFO);
		answer.store(0, rl::mo_relaxed, RL_INFO);
		posted.store(0, rl::mo_relaxed, RL_INFO);
		answered.store(0, rl::mo_relaxed, RL_INFO);
		claimed.store(0, rl::mo_relaxed, RL_INFO);
		request(RL_INFO) = 0;
	}

	/* As the end of serve_items(): by whoever goes on. */
	void go_on()
	{
		RL_ASSERT(mapcache_load_relaxed(&answer) == ANSWER);
		request(RL_INFO) = request(RL_INFO) + 1;
		mapcache_add_relaxed(&answered, 1);
	}

	void serve()
	{
		uint64_t id = handoff_hand_out(&word);

		request(RL_INFO) = 1;
		/* In the handler: deferred, then handed to the others as the embedder does it. */
		RL_ASSERT(handoff_defer(&word, id));
		mapcache_store_release(&posted, id);
		RL_ASSERT(!handoff_answered(&word, id));
		/* Counted while it is ours. */
		request(RL_INFO) = request(RL_INFO) + 1;
		if (!handoff_wait(&word, id))
			go_on();
	}

	void complete()
	{
		uint64_t id = mapcache_load_acquire(&posted);

		if (!id || !handoff_wants(&word, id))
			return;
		mapcache_store_relaxed(&answer, ANSWER);
		switch (handoff_claim(&word, id)) {
		case HANDOFF_WAITING:
			mapcache_add_relaxed(&claimed, 1);
			go_on();
			break;
		case HANDOFF_DEFERRED:
			mapcache_add_relaxed(&claimed, 1);
			break;
		default:
			break;
		}
	}

	void thread(unsigned index)
	{
		if (index == 0)
			serve();
		else
			complete();
	}

	void after()
	{
		uint32_t times = answered.load(rl::mo_relaxed, RL_INFO);

		RL_ASSERT(times == claimed.load(rl::mo_relaxed, RL_INFO) && times <= 1);
		RL_ASSERT(handoff_idle(&word) == (times == 1));
	}
};

struct one_completes : deferring<one_completes, 2> {
};

/* A mistake of the embedder's that must harm nobody. */
struct two_complete : deferring<two_complete, 3> {
};

int main()
{
	struct results results;

	results.all<one_completes>("a deferred request is answered once, by who owns it");
	results.some<two_complete>("two complete it: one of them does", 30000);
	return results.report();
}
