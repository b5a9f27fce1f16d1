# SPDX-License-Identifier: MIT
# The same access with more threads, more than there are CPUs included.
set title "4-byte access by threads, 64 buckets"
set xlabel "threads"
set ylabel "ns for one access of one thread"
set logscale xy
set object 1 rectangle from first cpus * 1.15, graph 0 to graph 1, graph 1 behind \
	fillcolor rgb "#eeeeee" fillstyle solid noborder
set label 1 sprintf("more threads than the %d CPUs: they take turns", cpus) \
	at first cpus * 1.2, graph 0.95 textcolor rgb "#555555"
plot data."scale-limit" title "limit" @limit_style, \
	data."scale-ours" title "ours" @ours_style, \
	data."scale-striped" title "striped" @striped_style, \
	data."scale-qemu" title "qemu" @qemu_style
