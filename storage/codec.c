/* SPDX-License-Identifier: MIT
 * codec.c - gzip, Snappy, LZ4 and Zstandard as Kafka's clients write them, through the libraries of
 * those names. Formats: gzip (members one after the other are one content), LZ4 frame, Zstandard
 * frames; Snappy plain, as librdkafka writes it, or in the chunks of the xerial library, as Java does. */
#include "storage/codec.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bytes.h"

#include <kira/record_batch.h>

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define GZIP 1
#define SNAPPY 2
#define ZSTD 4

struct out {
	uint8_t *bytes;
	size_t n, room, max;
};

/* Is there room for one byte more? False: there may be no more. */
static bool
out_room(struct out *o)
{
	if (o->n < o->room)
		return true;
	if (o->room >= o->max)
		return false;
	o->room = MIN(MAX(o->room * 2, (size_t)(64 * KIB)), o->max);
	o->bytes = realloc(o->bytes, o->room);
	ASSERT(o->bytes);
	return true;
}

static bool
open_lz4(struct out *o, const uint8_t *from, size_t length)
{
	LZ4F_dctx *ctx;
	size_t left = 1;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
		return false;
	while (left != 0 && length > 0 && out_room(o)) {
		size_t out = o->room - o->n, in = length;

		left = LZ4F_decompress(ctx, o->bytes + o->n, &out, from, &in, NULL);
		if (LZ4F_isError(left) || (out == 0 && in == 0))
			break;
		o->n += out;
		from += in;
		length -= in;
	}
	(void)LZ4F_freeDecompressionContext(ctx);
	return left == 0;
}

static bool
open_gzip(struct out *o, const uint8_t *from, size_t length)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)from, .avail_in = (unsigned)length};
	int rc = inflateInit2(&z, 15 + 16); /* window of 2^15; 16: with a gzip header */

	if (rc != Z_OK)
		return false;
	while (rc == Z_OK && out_room(o)) {
		z.next_out = o->bytes + o->n;
		z.avail_out = (unsigned)(o->room - o->n);
		rc = inflate(&z, Z_NO_FLUSH);
		o->n = o->room - z.avail_out;
		if (rc == Z_STREAM_END && z.avail_in > 0)
			rc = inflateReset(&z);
	}
	(void)inflateEnd(&z);
	return rc == Z_STREAM_END;
}

static bool
open_zstd(struct out *o, const uint8_t *from, size_t length)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = {from, length, 0};
	size_t left = 1;

	/* 0 at the end of each frame; another may follow. */
	while (stream && (left != 0 || in.pos < length) && out_room(o)) {
		ZSTD_outBuffer out = {o->bytes, o->room, o->n};
		const size_t was = in.pos;

		left = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(left) || (out.pos == o->n && in.pos == was))
			break;
		o->n = out.pos;
	}
	(void)ZSTD_freeDStream(stream);
	return left == 0 && in.pos == length;
}

static bool
snappy_block(struct out *o, const uint8_t *from, size_t length)
{
	size_t n;

	if (snappy_uncompressed_length((const char *)from, length, &n) != SNAPPY_OK || n > o->max - o->n)
		return false;
	if (n > o->room - o->n) {
		o->room = MIN(MAX(o->n + n, o->room * 2), o->max);
		o->bytes = realloc(o->bytes, o->room);
		ASSERT(o->bytes);
	}
	if (n > 0 && snappy_uncompress((const char *)from, length, (char *)o->bytes + o->n, &n) != SNAPPY_OK)
		return false;
	o->n += n;
	return true;
}

static bool
open_snappy(struct out *o, const uint8_t *from, size_t length)
{
	static const uint8_t xerial[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
	size_t at = sizeof(xerial) + 8; /* behind two versions that nobody judges */

	if (length < at || memcmp(from, xerial, sizeof(xerial)) != 0)
		return snappy_block(o, from, length);
	while (length - at >= 4) {
		const uint32_t n = get_be32(from + at);

		at += 4;
		if (n > length - at || !snappy_block(o, from + at, n))
			return false;
		at += n;
	}
	return at == length;
}

uint8_t *
codec_open(unsigned codec, const uint8_t *from, size_t length, size_t max, size_t *n)
{
	static bool (*const table[])(struct out *, const uint8_t *, size_t) = {
		[GZIP] = open_gzip, [SNAPPY] = open_snappy, [RB_CODEC_LZ4] = open_lz4, [ZSTD] = open_zstd};
	struct out o = {.max = max};

	if (codec < GZIP || codec > ZSTD || !table[codec](&o, from, length)) {
		free(o.bytes);
		return NULL;
	}
	if (!o.bytes)
		o.bytes = calloc(1, 1); /* empty, but not NULL */
	ASSERT(o.bytes);
	*n = o.n;
	return o.bytes;
}
