/* SPDX-License-Identifier: MIT
 * fuzz_frame.c - any first bytes of a connection: the verdict, and the header where it is let in. */
#include "control/kafka/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_head h;
	struct request rq;

	if (size < FRAME_FIRST)
		return 0;
	if (frame_judge(data, 100 * 1024 * 1024, &h) != FRAME_OK)
		return 0;
	if (frame_request(&rq, h.api, data + 4, (uint32_t)(size - 4)) &&
		(rq.body < data || rq.body + rq.length > data + size))
		__builtin_trap();
	return 0;
}
