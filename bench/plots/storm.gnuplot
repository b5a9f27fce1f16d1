# SPDX-License-Identifier: MIT
# Accesses per second by the rate of INVALIDATE.
set title "Accesses during INVALIDATE, 4 hot pages in each of 64 buckets"
set xlabel "INVALIDATE per second"
set ylabel "million accesses per second"
set logscale xy
plot data."storms-limit" title "base + gpa" @limit_style, \
	data."storms-ours" title "libmapcache" @ours_style, \
	data."storms-eager" title "the same, eager" @eager_style, \
	data."storms-striped" title "striped mutexes" @striped_style, \
	data."storms-qemu" title "like QEMU" @qemu_style, \
	data."storms-demu" title "like DEMU" @demu_style
