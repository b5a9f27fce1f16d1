# SPDX-License-Identifier: MIT
# The same access with more threads, more than there are CPUs included.
set title "4-byte access by threads, 64 buckets"
set xlabel "threads"
set ylabel "ns for one access of one thread"
set logscale xy
plot data."scale-limit" title "base + gpa" @limit_style, \
	data."scale-ours" title "libmapcache" @ours_style, \
	data."scale-striped" title "striped mutexes" @striped_style, \
	data."scale-qemu" title "like QEMU" @qemu_style
