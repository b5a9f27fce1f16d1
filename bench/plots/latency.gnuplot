# SPDX-License-Identifier: MIT
# What a reader sees while INVALIDATE comes at 1 kHz. Percentiles are no points of a line.
set title "Reader during INVALIDATE at 1 kHz, 4 hot pages in each of 64 buckets\n{/*0.85 hollow: fewer than 95 % of the INVALIDATEs were answered, no figure to compare}"
set xlabel "percentile of all accesses"
set ylabel "ns, clock readings included"
set style data points
set pointsize 1.3
set logscale y
set format y "10^{%L}"
set xrange [0.5:4.5]
set xtics ("p50" 1, "p99" 2, "p99.9" 3, "maximum" 4)
plot data."storm-limit" using ($1-0.25):2 title "limit" @limit_style, \
	data."storm-ours" using ($1-0.15):2 title "ours" @ours_style, \
	data."storm-eager" using ($1-0.05):2 title "eager" @eager_style, \
	data."storm-striped" using ($1+0.05):2 title "striped" @striped_style, \
	data."storm-qemu" using ($1+0.15):2 title "qemu" @qemu_style, \
	data."storm-demu" using ($1+0.25):2 title "demu" @demu_style, \
	data."storm-limit-behind" using ($1-0.25):2 title "limit, hollow" @limit_behind, \
	data."storm-ours-behind" using ($1-0.15):2 title "ours, hollow" @ours_behind, \
	data."storm-eager-behind" using ($1-0.05):2 title "eager, hollow" @eager_behind, \
	data."storm-striped-behind" using ($1+0.05):2 title "striped, hollow" @striped_behind, \
	data."storm-qemu-behind" using ($1+0.15):2 title "qemu, hollow" @qemu_behind, \
	data."storm-demu-behind" using ($1+0.25):2 title "demu, hollow" @demu_behind
