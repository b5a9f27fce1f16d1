# SPDX-License-Identifier: MIT
# A 4-byte access to what is mapped, by the number of buckets it may fall into.
set title "4-byte access to mapped memory, one thread"
set xlabel "buckets of 1 MiB in use"
set ylabel "ns for one access"
set logscale xy
plot data."hit-limit" title "base + gpa" @limit_style, \
	data."hit-ours" title "libmapcache" @ours_style, \
	data."hit-striped" title "striped mutexes" @striped_style, \
	data."hit-qemu" title "like QEMU" @qemu_style, \
	data."hit-demu" title "like DEMU" @demu_style
