# SPDX-License-Identifier: MIT
# Accesses per second by the rate of INVALIDATE.
set title "Accesses during INVALIDATE, 4 hot pages in each of 64 buckets\n{/*0.85 hollow: fewer than 95 % of the INVALIDATEs were answered, no figure to compare}"
set xlabel "INVALIDATE per second"
set ylabel "million accesses per second"
set logscale xy
set xrange [7:14000]
plot data."storms-limit" title "limit" @limit_style, \
	data."storms-ours" title "ours" @ours_style, \
	data."storms-eager" title "eager" @eager_style, \
	data."storms-striped" title "striped" @striped_style, \
	data."storms-qemu" title "qemu" @qemu_style, \
	data."storms-demu" title "demu" @demu_style, \
	data."storms-limit-behind" title "limit, hollow" @limit_behind, \
	data."storms-ours-behind" title "ours, hollow" @ours_behind, \
	data."storms-eager-behind" title "eager, hollow" @eager_behind, \
	data."storms-striped-behind" title "striped, hollow" @striped_behind, \
	data."storms-qemu-behind" title "qemu, hollow" @qemu_behind, \
	data."storms-demu-behind" title "demu, hollow" @demu_behind
