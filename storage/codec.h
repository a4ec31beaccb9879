/* SPDX-License-Identifier: MIT
 * codec.h - what a producer compressed, as bytes again. Cold; pure but for memory. Any thread. Bytes are
 * judged: whatever they hold, no more than `max` bytes come out of them. */
#ifndef KIRA_STORAGE_CODEC_H
#define KIRA_STORAGE_CODEC_H

#include <stddef.h>
#include <stdint.h>

/* `codec` as in RB_CODEC_MASK, 1..4. The whole content, for free(), and its length in *n; NULL: not what
 * the codec says, cut, or more than `max` bytes (at most 1 GiB). */
uint8_t *codec_open(unsigned codec, const uint8_t *from, size_t length, size_t max, size_t *n);

#endif
