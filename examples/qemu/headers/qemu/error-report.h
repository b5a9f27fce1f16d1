/* SPDX-License-Identifier: MIT */
/* Messages. Stands in for QEMU's header of this name, to compile and test the layer here. */
#ifndef QEMU_ERROR_REPORT_H
#define QEMU_ERROR_REPORT_H

void error_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
