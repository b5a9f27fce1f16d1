# SPDX-License-Identifier: MIT
# Reclaim of everything after an INVALIDATE, and what another thread's mmap waits meanwhile.
set title "Reclaim after an INVALIDATE"
set xlabel "buckets of 1 MiB mapped"
set ylabel "until the last one is gone, ms"
set y2label "delay to other threads, p99, us"
set logscale xyy2
set ytics nomirror
set y2tics
plot data."release-raw" title "raw, ms" @limit_style, \
	data."release-ours" title "ours, ms" @ours_style, \
	data."release-eager" title "eager, ms" @eager_style, \
	data."bystander-ours" axes x1y2 title "ours, delay, us" @ours_style dt 2, \
	data."bystander-eager" axes x1y2 title "eager, delay, us" @eager_style dt 2
