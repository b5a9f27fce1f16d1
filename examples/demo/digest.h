/* SPDX-License-Identifier: MIT */
/* SHA-256 by the sha256sum program, fed through a pipe. */
#ifndef DEMO_DIGEST_H
#define DEMO_DIGEST_H

#include <stddef.h>
#include <sys/types.h>

#define DIGEST_TEXT 65 /* hexadecimal, with its end */

struct digest {
	pid_t process;
	int to, from;
};

/* 0 or -errno. */
int digest_begin(struct digest *digest);
int digest_add(struct digest *digest, const void *bytes, size_t count);
/* Also after a failure of digest_add(). */
int digest_end(struct digest *digest, char text[DIGEST_TEXT]);

#endif
