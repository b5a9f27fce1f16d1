/* SPDX-License-Identifier: MIT */
/*
 * What ThreadSanitizer cannot know of the demo, whose guest lives in the same process: the guest
 * orders the device model's accesses to one of its pages, here the copy of a request's data by
 * the server before the transfer of the next by a worker, through a ring that it writes at other
 * addresses than those at which the worker has it mapped. On a real Xen it is in another domain.
 */
#if defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:blk_file_read\nrace:blk_file_write\n";
}
#endif
