/* SPDX-License-Identifier: MIT */
/* Messages. */
#ifndef QEMU_ERROR_REPORT_H
#define QEMU_ERROR_REPORT_H

void error_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
