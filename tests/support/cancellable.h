/* SPDX-License-Identifier: MIT */
/*
 * Whether threads may be cancelled in this build. AddressSanitizer of gcc 12 does not know that a
 * cancelled thread has left its frames, and finds its own marks of them on the stack as an error
 * when the thread ends.
 */
#ifndef TESTS_SUPPORT_CANCELLABLE_H
#define TESTS_SUPPORT_CANCELLABLE_H

#define CANCELLABLE 1
#if defined(__SANITIZE_ADDRESS__)
#undef CANCELLABLE
#define CANCELLABLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef CANCELLABLE
#define CANCELLABLE 0
#endif
#endif

#endif
