/* SPDX-License-Identifier: MIT */
/* Runs models one after the other, in both flavours of the fence, and says how many held. */
#ifndef TESTS_MODEL_RELACY_RUN_H
#define TESTS_MODEL_RELACY_RUN_H

#include <iostream>

#include <tests/model/relacy/world.h>

struct results {
	unsigned passed, failed;

	results() : passed(0), failed(0)
	{
	}

	/* Every interleaving of the model's threads. */
	template <typename MODEL> void all(const char *name)
	{
		both<MODEL, rl::full_search_scheduler<MODEL::params::thread_count>>(name, 0);
	}

	/* So many, chosen by a generator that is seeded with the number of the iteration: the
	 * same ones in every run. */
	template <typename MODEL> void some(const char *name, unsigned long iterations)
	{
		both<MODEL, rl::random_scheduler<MODEL::params::thread_count>>(name, iterations);
	}

	int report()
	{
		std::cout << passed << " passed, " << failed << " failed" << std::endl;
		return failed || !passed;
	}

      private:
	template <typename MODEL, typename SCHEDULER>
	void both(const char *name, unsigned long iterations)
	{
		world_fenced = true;
		explore<MODEL, SCHEDULER>(name, iterations);
		world_fenced = false;
		explore<MODEL, SCHEDULER>(name, iterations);
	}

	template <typename MODEL, typename SCHEDULER>
	void explore(const char *name, unsigned long iterations)
	{
		rl::ostringstream output, state;
		rl::test_params params;
		bool held;

		params.search_type = iterations ? rl::sched_random : rl::sched_full;
		params.iteration_count = iterations ? iterations : 1;
		params.output_stream = &output;
		params.progress_stream = &output;
		params.execution_depth_limit = 500;
		held = rl::run_test<MODEL, SCHEDULER>(params, state, false) ==
		       rl::test_result_success;
		*(held ? &passed : &failed) += 1;
		std::cout << (held ? "ok: " : "FAILED: ") << name
			  << (world_fenced ? ", fences (" : ", membarrier (")
			  << params.stop_iteration
			  << (iterations ? " interleavings, random)" : " interleavings, all)")
			  << std::endl;
		if (!held)
			explain<MODEL, SCHEDULER>(params, state.str());
	}

	/* The interleaving that failed, once more, step by step. */
	template <typename MODEL, typename SCHEDULER>
	void explain(rl::test_params &params, const rl::string &state)
	{
		rl::ostringstream again;

		params.initial_state = state;
		params.collect_history = true;
		params.output_stream = &std::cout;
		rl::run_test<MODEL, SCHEDULER>(params, again, true);
	}
};

#endif
