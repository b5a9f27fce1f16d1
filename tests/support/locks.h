/* SPDX-License-Identifier: MIT */
/* Every lock of a cache, looked at from outside: for tests of what is done without any. */
#ifndef TESTS_SUPPORT_LOCKS_H
#define TESTS_SUPPORT_LOCKS_H

#include <mapcache/mapcache.h>

/* How many somebody holds just now. */
unsigned int locks_held(struct mapcache *cache);
/* Take all of them, in the order in which the library does / give them back. */
void locks_take(struct mapcache *cache);
void locks_drop(struct mapcache *cache);

#endif
