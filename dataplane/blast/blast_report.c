/* SPDX-License-Identifier: MIT
 * blast_report.c - print a report.
 * Thread: main. Owns nothing. Never: computes a figure that is not in the report. */
#include "dataplane/blast/blast_report.h"

#include "dataplane/blast/blast_hostile.h"

#include <inttypes.h>

static void
whole(FILE *f, const char *name, uint64_t value)
{
	fprintf(f, "\"%s\": %" PRIu64 ", ", name, value);
}

static void
whole_or_null(FILE *f, const char *name, bool known, uint64_t value)
{
	if (known)
		whole(f, name, value);
	else
		fprintf(f, "\"%s\": null, ", name);
}

static void
real_or_null(FILE *f, const char *name, bool known, double value)
{
	if (known)
		fprintf(f, "\"%s\": %.1f, ", name, value);
	else
		fprintf(f, "\"%s\": null, ", name);
}

static void
text_or_null(FILE *f, const char *name, const char *text)
{
	fprintf(f, "\"%s\": ", name);
	if (!text) {
		fprintf(f, "null");
		return;
	}
	fputc('"', f);
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			fputc('\\', f);
		fputc((unsigned char)*p < 0x20 ? ' ' : *p, f);
	}
	fputc('"', f);
}

static uint64_t
sum(const uint64_t *n, unsigned count)
{
	uint64_t s = 0;

	for (unsigned i = 0; i < count; i++)
		s += n[i];
	return s;
}

static void
hostile_json(FILE *f, const struct blast_report *r)
{
	const struct hostile *h = r->hostile;

	whole(f, "hostile_sent", sum(h->sent, HOSTILE_KINDS));
	whole(f, "hostile_forged", sum(h->forged, FORGED_KINDS));
	whole(f, "hostile_sessions", r->greedy_sessions);
	fprintf(f, "\"hostile_exhausted\": %s, \"hostile\": {", r->exhausted ? "true" : "false");
	for (unsigned i = 0; i < HOSTILE_KINDS; i++)
		whole(f, hostile_names[i], h->sent[i]);
	for (unsigned i = 0; i < FORGED_KINDS; i++)
		fprintf(f, "\"forged_%s\": %" PRIu64 "%s", forged_names[i], h->forged[i],
			i + 1 < FORGED_KINDS ? ", " : "}, ");
}

void
report_json(FILE *f, const struct blast_report *r)
{
	fprintf(f, "{\"transport\": \"udp\", ");
	whole(f, "records_sent", r->records_sent);
	whole(f, "records_acked", r->records_acked);
	whole_or_null(f, "records_lost", r->verified, r->records_lost);
	whole_or_null(f, "records_duplicated", r->verified, r->records_duplicated);
	whole_or_null(f, "records_reordered", r->verified, r->records_reordered);
	whole(f, "injected_lost", r->injected_lost);
	whole(f, "injected_duplicated", r->injected_duplicated);
	whole(f, "injected_reordered", r->injected_reordered);
	whole(f, "bytes", r->bytes);
	fprintf(f, "\"seconds\": %.3f, ", r->seconds);
	real_or_null(f, "ack_p50_us", r->latency, r->ack_p50_us);
	real_or_null(f, "ack_p99_us", r->latency, r->ack_p99_us);
	real_or_null(f, "ack_p999_us", r->latency, r->ack_p999_us);
	real_or_null(f, "ack_max_us", r->latency, r->ack_max_us);
	whole_or_null(f, "records_read", r->verified, r->records_read);
	whole_or_null(f, "offset_gaps", r->verified, r->offset_gaps);
	whole_or_null(f, "crc_errors", r->verified, r->crc_errors);
	whole(f, "broker_losses", r->broker_losses);
	whole(f, "broker_losses_under_load", r->losses_under_load);
	whole(f, "batches_in_flight_at_loss", r->in_flight_at_loss);
	whole(f, "batches_acked_100ms_before_loss", r->acked_shortly_before_loss);
	whole(f, "batches_sent_again", r->sent_again);
	whole(f, "batches_known_already", r->known_already);
	whole(f, "batches_refused", r->refused);
	real_or_null(f, "gap_max_us", true, r->gap_max_us);
	fprintf(f, "\"cpu_share\": %.2f, ", r->cpu_share);
	whole(f, "session_records_min", r->session_records_min);
	whole(f, "session_records_max", r->session_records_max);
	whole(f, "frames_sent", r->out_frames);
	whole(f, "answer_bytes", r->answer_bytes);
	whole(f, "arp_bytes", r->arp_bytes);
	whole(f, "unclaimed_bytes", r->unclaimed_bytes);
	whole(f, "datagrams_ignored", r->ignored);
	if (r->hostile)
		hostile_json(f, r);
	text_or_null(f, "acks", r->acks);
	fprintf(f, ", ");
	text_or_null(f, "limited_by", r->limited_by);
	fprintf(f, ", ");
	text_or_null(f, "error", r->error);
	fprintf(f, "}\n");
}

static void
hostile_text(FILE *f, const struct blast_report *r)
{
	const struct hostile *h = r->hostile;

	fprintf(f, "hostile   %" PRIu64 " of %" PRIu64 " frames:", sum(h->sent, HOSTILE_KINDS), r->out_frames);
	for (unsigned i = 0; i < HOSTILE_KINDS; i++)
		fprintf(f, " %s %" PRIu64, hostile_names[i], h->sent[i]);
	fprintf(f, "\nforged   ");
	for (unsigned i = 0; i < FORGED_KINDS; i++)
		fprintf(f, " %s %" PRIu64, forged_names[i], h->forged[i]);
	fprintf(f, "; %" PRIu64 " datagrams ignored\nsessions  %" PRIu64 " taken beside the run, then %s\n",
		r->ignored, r->greedy_sessions, r->exhausted ? "89" : "no more were tried");
	fprintf(f, "answers   %" PRIu64 " bytes to sessions, %" PRIu64 " ARP, %" PRIu64 " to nobody here\n",
		r->answer_bytes, r->arp_bytes, r->unclaimed_bytes);
}

void
report_text(FILE *f, const struct blast_report *r)
{
	const double s = r->seconds > 0 ? r->seconds : 1;

	if (r->records_sent) {
		fprintf(f, "sent      %" PRIu64 " records, acked (%s) %" PRIu64 " in %.2f s: %.0f "
			"records/s, %.1f MB/s\n", r->records_sent, r->acks, r->records_acked, r->seconds,
			(double)r->records_acked / s, (double)r->bytes / s / 1e6);
		if (r->latency)
			fprintf(f, "ack       p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us from the "
				"scheduled send\n", r->ack_p50_us, r->ack_p99_us, r->ack_p999_us,
				r->ack_max_us);
		fprintf(f, "limit     %s\n", r->limited_by);
	}
	if (r->injected_lost || r->injected_duplicated || r->injected_reordered)
		fprintf(f, "injected  lost %" PRIu64 ", doubled %" PRIu64 ", reordered %" PRIu64
			" datagrams\n", r->injected_lost, r->injected_duplicated,
			r->injected_reordered);
	if (r->hostile)
		hostile_text(f, r);
	if (r->broker_losses)
		fprintf(f, "broker    gone %" PRIu64 " times with %" PRIu64 " batches in flight and %"
			PRIu64 " acked within 100 ms of its last word; %" PRIu64 " sent again, %" PRIu64
			" of them known already\n", r->broker_losses, r->in_flight_at_loss,
			r->acked_shortly_before_loss, r->sent_again, r->known_already);
	if (r->verified)
		fprintf(f, "read back %" PRIu64 " records in %.2f s: lost %" PRIu64 ", doubled %" PRIu64
			", reordered %" PRIu64 ", offset gaps %" PRIu64 ", CRC errors %" PRIu64 "\n",
			r->records_read, r->read_seconds, r->records_lost, r->records_duplicated,
			r->records_reordered, r->offset_gaps, r->crc_errors);
	else
		fprintf(f, "read back nothing\n");
	if (r->error)
		fprintf(f, "error     %s\n", r->error);
}

bool
report_good(const struct blast_report *r)
{
	return !r->error && r->records_lost == 0 && r->records_duplicated == 0
		&& r->records_reordered == 0 && r->offset_gaps == 0 && r->crc_errors == 0;
}
