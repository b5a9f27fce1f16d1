/* SPDX-License-Identifier: MIT */
/* The disk image: looked at, copied, and checked afterwards. */
#ifndef DEMO_IMAGE_H
#define DEMO_IMAGE_H

#include "demo.h"

/* Open the image, see that it is a sound ext4, make the copy to be served. 0, or -errno after
 * demo_fail(). */
int image_open(struct demo *demo);
void image_close(struct demo *demo);
/* SHA-256 of the image as given, and of the copy now. */
int image_digests(struct demo *demo, char given[DIGEST_TEXT], char copy[DIGEST_TEXT]);
/* e2fsck -fn on the copy, which must find nothing. 0, or -errno after demo_fail(). */
int image_check(struct demo *demo);

#endif
