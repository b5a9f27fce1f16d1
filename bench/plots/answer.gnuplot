# SPDX-License-Identifier: MIT
# How long a vCPU waits for the answer to an INVALIDATE, by what is mapped.
set title "INVALIDATE until it can be answered"
set xlabel "buckets of 1 MiB mapped"
set ylabel "ns"
set logscale xy
set format y "10^{%L}"
plot data."answer-ours" title "ours" @ours_style, \
	data."answer-eager" title "eager" @eager_style, \
	data."answer-striped" title "striped" @striped_style, \
	data."answer-qemu" title "qemu" @qemu_style
