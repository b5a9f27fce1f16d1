# SPDX-License-Identifier: MIT
# What a reader sees while INVALIDATE comes at 1 kHz.
set title "Reader during INVALIDATE at 1 kHz, 4 hot pages in each of 64 buckets"
set xlabel "percentile of all accesses"
set ylabel "ns, clock readings included"
set logscale y
set format y "10^{%L}"
set xrange [0.8:4.2]
set xtics ("p50" 1, "p99" 2, "p99.9" 3, "maximum" 4)
plot data."storm-limit" title "base + gpa" @limit_style, \
	data."storm-ours" title "libmapcache" @ours_style, \
	data."storm-eager" title "the same, eager" @eager_style, \
	data."storm-striped" title "striped mutexes" @striped_style, \
	data."storm-qemu" title "like QEMU" @qemu_style, \
	data."storm-demu" title "like DEMU" @demu_style
