/* SPDX-License-Identifier: MIT
 * dump_print.c - see the header. The bytes come from disk: whatever is not text is printed as hex. */
#include "control/cli/dump_print.h"

#include "base/bits.h"
#include "base/bytes.h"

#include <kira/record_batch.h>

#include <inttypes.h>

/* ---- Bytes -------------------------------------------------------------------------------- */

/* Bytes of the character there; 0: not UTF-8. */
static size_t
character(const uint8_t *b, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const size_t length = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 :
		b[0] < 0xf5 ? 4 : 0;
	uint32_t v;

	if (length <= 1)
		return length;
	if (length > n)
		return 0;
	v = b[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (b[i] & 0x3f);
	}
	return v >= least[length] && v <= 0x10ffff && (v < 0xd800 || v > 0xdfff) ? length : 0;
}

static bool
is_text(const uint8_t *b, size_t n)
{
	for (size_t i = 0, length; i < n; i += length) {
		length = character(b + i, n - i);
		if (length == 0)
			return false;
	}
	return true;
}

void
print_bytes(FILE *to, bool json, const uint8_t *bytes, size_t n)
{
	const char *mark = json ? "\"" : "";

	if (!is_text(bytes, n)) {
		fprintf(to, "%shex:", mark);
		for (size_t i = 0; i < n; i++)
			fprintf(to, "%02x", bytes[i]);
		fprintf(to, "%s", mark);
		return;
	}
	(void)fputc('"', to);
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			fprintf(to, "\\%c", bytes[i]);
		else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			fprintf(to, "\\u%04x", bytes[i]);
		else
			(void)fputc(bytes[i], to);
	}
	(void)fputc('"', to);
}

static void
text(const struct print *p, const char *s)
{
	print_bytes(p->to, p->json, (const uint8_t *)s, strlen(s));
}

static void
view(const struct print *p, struct view v)
{
	if (v.p)
		print_bytes(p->to, p->json, v.p, v.len);
	else
		fprintf(p->to, "null");
}

/* ---- Files and findings ------------------------------------------------------------------- */

void
print_file(struct print *p, const char *path)
{
	p->file = path;
	if (!p->json) {
		fprintf(p->to, "%s\n", path);
		return;
	}
	fprintf(p->to, "{\"type\":\"file\",\"file\":");
	text(p, path);
	fprintf(p->to, "}\n");
}

void
print_finding(struct print *p, const struct inspect_finding *f)
{
	const char *level = f->level == INSPECT_DAMAGE ? "damage" : "note";

	if (p->json) {
		fprintf(p->to, "{\"type\":\"%s\",\"file\":", level);
		text(p, f->file);
		fprintf(p->to, ",\"position\":%" PRId64 ",\"offset\":%" PRId64 ",\"what\":", f->position,
			f->offset);
		text(p, f->what);
		fprintf(p->to, "}\n");
		return;
	}
	fprintf(p->to, "%s  %s:", level, f->file);
	if (f->position >= 0)
		fprintf(p->to, " position %" PRId64, f->position);
	if (f->offset >= 0)
		fprintf(p->to, "%s offset %" PRId64, f->position >= 0 ? "," : "", f->offset);
	fprintf(p->to, "%s %s\n", f->position >= 0 || f->offset >= 0 ? ":" : "", f->what);
}

/* ---- Batches and records ------------------------------------------------------------------ */

static bool
record(void *arg, struct record *r)
{
	const struct print *p = arg;

	fprintf(p->to, p->json ? "{\"type\":\"record\",\"offset\":%" PRId64 ",\"timestamp\":%" PRId64
		",\"key\":" : "  record %" PRId64 " time %" PRId64 " key ", r->offset, r->timestamp_ms);
	view(p, r->key);
	fprintf(p->to, p->json ? ",\"value\":" : " value ");
	view(p, r->value);
	if (p->json)
		fprintf(p->to, ",\"headers\":[");
	else if (r->headers > 0)
		fprintf(p->to, " headers");
	for (int32_t i = 0; i < r->headers; i++) {
		struct view name, value;

		records_header(r, &name, &value);
		fprintf(p->to, p->json ? "%s[" : "%s", p->json ? (i ? "," : "") : " ");
		view(p, name);
		fprintf(p->to, p->json ? "," : "=");
		view(p, value);
		fprintf(p->to, p->json ? "]" : "");
	}
	fprintf(p->to, p->json ? "]}\n" : "\n");
	return true;
}

static bool
print_records(struct print *p, const struct inspect_batch *b)
{
	const struct inspect_finding f = {INSPECT_DAMAGE, p->file, (int64_t)b->position,
		rb_base_offset(b->bytes), "the rest of this batch are no records, though its CRC is right: "
		"the producer sent them so", NULL};

	if (records_each(b->bytes, record, p) == RECORDS_WHOLE)
		return true;
	print_finding(p, &f);
	return false;
}

bool
print_batch(struct print *p, const struct inspect_batch *batch)
{
	static const char *const codec[] = {"none", "gzip", "snappy", "lz4", "zstd", "5?", "6?", "7?"};
	const uint8_t *b = batch->bytes;
	const uint16_t attributes = rb_attributes(b);
	const char *form = p->json ?
		"{\"type\":\"batch\",\"base_offset\":%" PRId64 ",\"last_offset\":%" PRId64 ",\"count\":%" PRId32
		",\"position\":%" PRIu64 ",\"size\":%" PRIu32 ",\"epoch\":%" PRId32 ",\"producer_id\":%" PRId64
		",\"producer_epoch\":%d,\"base_sequence\":%" PRId32 ",\"codec\":\"%s\",\"time_type\":\"%s\""
		",\"base_timestamp\":%" PRId64 ",\"max_timestamp\":%" PRId64 ",\"crc\":%" PRIu32
		",\"crc_ok\":%s,\"ok\":%s}\n" :
		"batch %" PRId64 "..%" PRId64 " count %" PRId32 " position %" PRIu64 " size %" PRIu32
		" epoch %" PRId32 " producer %" PRId64 " producer-epoch %d sequence %" PRId32 " codec %s"
		" %s-time %" PRId64 "..%" PRId64 " crc %" PRIu32 " %s%.0s\n";
	const char *right = p->json ? (batch->crc ? "true" : "false") : batch->crc ? "ok" : "WRONG";

	fprintf(p->to, form, rb_base_offset(b), rb_base_offset(b) + rb_last_offset_delta(b), rb_count(b),
		batch->position, batch->total, rb_leader_epoch(b), rb_producer_id(b),
		rb_producer_epoch(b), rb_base_sequence(b), codec[attributes & RB_CODEC_MASK],
		attributes & RB_ATTR_LOG_APPEND ? "append" : "create", rb_base_timestamp(b),
		rb_max_timestamp(b), rb_crc(b), right, batch->whole ? "true" : "false");
	/* Bytes that fail their CRC are nobody's records. */
	return !p->records || !batch->crc || print_records(p, batch);
}

/* ---- The other files ---------------------------------------------------------------------- */

void
print_index(struct print *p, const uint8_t *bytes, size_t n, bool times, int64_t base)
{
	const size_t size = times ? 12 : 8;

	base = MAX(base, 0);
	for (size_t i = 0; i + size <= n; i += size) {
		const uint8_t *e = bytes + i;

		if (times)
			fprintf(p->to, p->json ? "{\"type\":\"timeindex\",\"timestamp\":%" PRId64
				",\"offset\":%" PRId64 "}\n" : "time %" PRId64 " offset %" PRId64 "\n",
				(int64_t)get_be64(e), base + get_be32(e + 8));
		else
			fprintf(p->to, p->json ? "{\"type\":\"index\",\"offset\":%" PRId64
				",\"position\":%" PRIu32 "}\n" : "offset %" PRId64 " position %" PRIu32 "\n",
				base + get_be32(e), get_be32(e + 4));
	}
}

void
print_snapshot(struct print *p, const uint8_t *bytes, size_t n)
{
	const uint32_t count = get_be32(bytes + 6);
	const bool run = n >= 10 + (size_t)50 * count; /* Kira's lowest proven sequence, behind Kafka's bytes */

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *e = bytes + 10 + (size_t)46 * i;
		const int32_t last = (int32_t)get_be32(e + 10), delta = (int32_t)get_be32(e + 22);

		fprintf(p->to, p->json ? "{\"type\":\"producer\",\"producer_id\":%" PRId64 ",\"producer_epoch\":%d"
			",\"last_sequence\":%" PRId32 ",\"last_offset\":%" PRId64 ",\"offset_delta\":%" PRId32
			",\"timestamp\":%" PRId64 ",\"proven_from\":%" PRId32 "}\n" :
			"producer %" PRId64 " epoch %d last-sequence %" PRId32 " last-offset %" PRId64
			" offset-delta %" PRId32 " time %" PRId64 " proven-from-sequence %" PRId32 "\n",
			(int64_t)get_be64(e), (int16_t)get_be16(e + 8), last, (int64_t)get_be64(e + 14), delta,
			(int64_t)get_be64(e + 26), run ? (int32_t)get_be32(bytes + 10 + (size_t)46 * count + 4 * i) :
			rb_sequence_add(last, -delta));
	}
}

void
print_checkpoint(struct print *p, const struct checkpoint_file *cp)
{
	fprintf(p->to, p->json ? "{\"type\":\"checkpoint\",\"base_offset\":%" PRId64 ",\"end_offset\":%" PRId64
		",\"position\":%" PRIu64 ",\"leader_epoch\":%" PRId32 ",\"max_timestamp\":%" PRId64 "}\n" :
		"checkpoint base-offset %" PRId64 " end-offset %" PRId64 " position %" PRIu64 " leader-epoch %" PRId32
		" max-time %" PRId64 "\n", cp->base, cp->end, cp->position, cp->leader_epoch, cp->max_timestamp);
	print_index(p, cp->entry, (size_t)cp->entries * INDEX_ENTRY_BYTES, false, cp->base);
	print_index(p, cp->time, (size_t)cp->times * TIME_ENTRY_BYTES, true, cp->base);
	if (cp->snapshot_length > 0)
		print_snapshot(p, cp->snapshot, cp->snapshot_length);
}

void
print_text_file(struct print *p, const char *s, size_t n)
{
	if (p->json) {
		fprintf(p->to, "{\"type\":\"text\",\"text\":");
		print_bytes(p->to, true, (const uint8_t *)s, n);
		fprintf(p->to, "}\n");
	} else if (is_text((const uint8_t *)s, n)) {
		fprintf(p->to, "%.*s%s", (int)n, s, n > 0 && s[n - 1] == '\n' ? "" : "\n");
	} else {
		print_bytes(p->to, false, (const uint8_t *)s, n);
		fprintf(p->to, "\n");
	}
}

void
print_end(struct print *p, const struct inspect *in)
{
	fprintf(p->to, p->json ? "{\"type\":\"end\",\"damages\":%" PRIu64 ",\"segments\":%" PRIu64
		",\"batches\":%" PRIu64 ",\"records\":%" PRIu64 "}\n" : "%" PRIu64 " damaged places; %" PRIu64
		" segments, %" PRIu64 " batches, %" PRIu64 " records\n", in->damages, in->segments, in->batches,
		in->records);
}
