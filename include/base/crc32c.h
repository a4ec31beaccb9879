/* SPDX-License-Identifier: MIT
 * crc32c.h - CRC-32C (Castagnoli) as in RecordBatch v2, over ISA-L's crc32_iscsi(), which carries
 * no initial or final inversion of its own. crc32c("123456789") = 0xE3069283 (RFC 3720, B.4). */
#ifndef KIRA_BASE_CRC32C_H
#define KIRA_BASE_CRC32C_H

#include <isa-l/crc.h>
#include <stddef.h>
#include <stdint.h>

/* Continue: crc32c_more(crc32c(a), b) = crc32c(a followed by b). len < 2^31. */
static inline uint32_t
crc32c_more(uint32_t crc, const void *p, size_t len)
{
	/* ISA-L's prototype lacks the const; it reads only. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)p, (int)len, ~crc);
}

static inline uint32_t
crc32c(const void *p, size_t len)
{
	return crc32c_more(0, p, len);
}

#endif
