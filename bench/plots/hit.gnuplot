# SPDX-License-Identifier: MIT
# A 4-byte access to what is mapped, by the number of buckets it may fall into.
set title "4-byte access to mapped memory, one thread"
set xlabel "buckets of 1 MiB in use"
set ylabel "ns for one access"
set logscale xy
plot data."hit-limit" title "limit" @limit_style, \
	data."hit-ours" title "ours" @ours_style, \
	data."hit-striped" title "striped" @striped_style, \
	data."hit-qemu" title "qemu" @qemu_style, \
	data."hit-demu" title "demu" @demu_style
