/* SPDX-License-Identifier: MIT */
/* The figures that the project wants to reach, and what was measured for each. */
#ifndef BENCH_GOALS_H
#define BENCH_GOALS_H

#include <stdbool.h>
#include <stdio.h>

/* key, direction, bound, unit, text */
#define GOALS(X)                                                                                   \
	X(hit_vs_direct_w1, AT_MOST, 2.2, "x", "hit over base + gpa, 1 bucket")                    \
	X(hit_vs_direct_w64, AT_MOST, 1.6, "x", "the same, 64 buckets")                            \
	X(hit_vs_direct_w1024, AT_MOST, 1.5, "x", "the same, 1024 buckets")                        \
	X(hit_refreshed_vs_direct_w64, AT_MOST, 2.5, "x",                                          \
	  "4 pages a bucket, refreshed after an INVALIDATE")                                       \
	X(hit_vs_qemu_w1, AT_LEAST, 4.5, "x", "QEMU's look-up over a hit, 1 bucket")               \
	X(hit_vs_qemu_w64, AT_LEAST, 3.2, "x", "the same, 64 buckets")                             \
	X(hit_vs_qemu_w1024, AT_LEAST, 3.6, "x", "the same, 1024 buckets")                         \
	X(hit_vs_qemu_2t_w64, AT_LEAST, 12, "x", "the same, 64 buckets, 2 threads")                \
	X(hit_scaling_2t, AT_MOST, 1.1, "x", "hit with 2 threads on a bucket over 1")              \
	X(pin_vs_qemu, AT_LEAST, 6, "x", "QEMU's lock + unlock over pin + unpin")                  \
	X(pin_scaling_2t, AT_MOST, 1.2, "x", "pin + unpin with 2 threads on a bucket over 1")      \
	X(pin_contiguous_vs_pin, AT_MOST, 1.1, "x",                                                \
	  "contiguous pin inside a bucket over a plain one")                                       \
	X(dma_ns_1000, AT_MOST, 1.5, "x", "pin across buckets, 1000 buffers over 10")              \
	X(sgl_map_calls, AT_MOST, 1, "calls",                                                      \
	  "vectored pin of 32 scattered pages after INVALIDATE")                                   \
	X(miss_vs_raw, AT_MOST, 1.05, "x", "miss and eviction over raw map + unmap")               \
	X(refresh_vs_raw, AT_MOST, 0.08, "x", "first touch of a stale page over raw")              \
	X(answer_ns_1, AT_MOST, 400, "ns", "INVALIDATE until answered, 1 bucket")                  \
	X(answer_ns_1024, AT_MOST, 400, "ns", "the same, 1024 buckets")                            \
	X(answer_ns_8192, AT_MOST, 400, "ns", "the same, 8192 buckets, and <= 2 x 1 bucket")       \
	X(answer_hot_ns, AT_MOST, 10, "ns", "the same, back to back")                              \
	X(answer_vs_qemu_1024, AT_LEAST, 5e4, "x", "QEMU's invalidate over ours, 1024")            \
	X(answer_vs_qemu_8192, AT_LEAST, 1e6, "x", "the same, 8192")                               \
	X(storm_hits_p999_ns, AT_MOST, 400, "ns", "p99.9 of hits at 1 kHz")                        \
	X(storm_throughput_vs_qemu_rings, AT_LEAST, 150, "x", "accesses at 1 kHz over QEMU's")     \
	X(storm_throughput_vs_qemu_uniform, AT_LEAST, 3, "x", "the same, all pages")               \
	X(storm_p999_vs_qemu_rings, AT_LEAST, 300, "x", "QEMU's p99.9 at 1 kHz over ours")         \
	X(storm_calls_rings, AT_MOST, 4, "calls", "map calls an INVALIDATE at 100 Hz, 64 buckets") \
	X(storm_calls_scattered, AT_MOST, 10, "calls", "the same, 4 scattered pages a bucket")     \
	X(storm_calls_runs, AT_MOST, 10, "calls", "the same, 64 KiB a bucket")                     \
	X(storm_calls_rings_512, AT_MOST, 24, "calls", "rings, 512 buckets")                       \
	X(storm1k_pv_rings_vs_direct, AT_LEAST, 0.25, "x",                                         \
	  "accesses at 1 kHz over base + gpa, a modelled PV dom0")                                 \
	X(storm1k_pv_scattered_vs_direct, AT_LEAST, 0.2, "x",                                      \
	  "the same, 4 scattered pages a bucket")                                                  \
	X(storm1k_pv_runs_vs_direct, AT_LEAST, 0.2, "x", "the same, 64 KiB a bucket")              \
	X(storm1k_arm_rings_vs_direct, AT_LEAST, 0.25, "x", "rings, a modelled Arm dom0")          \
	X(storm100_vs_direct_rings, AT_LEAST, 0.88, "x", "accesses at 100 Hz over base + gpa")     \
	X(stall_vs_limit_100hz, AT_MOST, 3, "x",                                                   \
	  "longest access at 100 Hz over that of base + gpa")                                      \
	X(uniform_calls_64x64, AT_MOST, 64, "calls", "2048 accesses to 64 buckets anywhere")       \
	X(release_vs_raw_1024, AT_MOST, 1.3, "x", "reclaim of 1024 over a plain loop")             \
	X(bystander_p99_us, AT_MOST, 150, "us", "another thread's mmap + munmap meanwhile")        \
	X(bytes_per_bucket, AT_MOST, 128, "bytes", "library memory a bucket, 8192 mapped")         \
	X(idle_wakeups_200, AT_MOST, 400, "per s",                                                 \
	  "wake-ups of 200 idle caches with a bucket each")                                        \
	X(idle_cpu_200, AT_MOST, 0.5, "%", "the same, of one processor")                           \
	X(evict_at_105, AT_MOST, 0, "times", "evictions with max_bytes 105 % of the guest")        \
	X(reverse_ns, AT_MOST, 4, "ns", "pointer to address, 1024 pins")

enum goal {
#define GOAL_NAME(key, direction, bound, unit, text) GOAL_##key,
	GOALS(GOAL_NAME)
#undef GOAL_NAME
		GOAL_COUNT,
};

struct goals {
	bool measured[GOAL_COUNT];
	double value[GOAL_COUNT];
};

void goals_set(struct goals *goals, enum goal goal, double value);

/* How many were measured, and a table of those, or of all, with goal and verdict. */
unsigned int goals_measured(const struct goals *goals);
void goals_print(const struct goals *goals, bool all, FILE *file);

/* `  "key": number,` for each measured one. */
void goals_print_json(const struct goals *goals, FILE *file);

#endif
