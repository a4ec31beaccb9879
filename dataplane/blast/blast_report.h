/* SPDX-License-Identifier: MIT
 * blast_report.h - what a run came to, for people and as one JSON object. Thread: main, at the
 * end. The JSON's fields are an interface: add, never rename. */
#ifndef KIRA_BLAST_REPORT_H
#define KIRA_BLAST_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct hostile;

struct blast_report {
	uint64_t records_sent, records_acked;
	uint64_t records_lost, records_duplicated, records_reordered;
	uint64_t injected_lost, injected_duplicated, injected_reordered;
	uint64_t bytes;                  /* of RecordBatches acked */
	double seconds;                  /* first send to last ack */
	bool latency;                    /* false: `none`, or nothing acked: the four are null */
	double ack_p50_us, ack_p99_us, ack_p999_us, ack_max_us;
	const char *acks, *limited_by;
	bool verified;                   /* false: lost, duplicated, reordered are null */
	uint64_t records_read, offset_gaps, crc_errors;
	double read_seconds;
	uint64_t broker_losses, in_flight_at_loss, acked_shortly_before_loss, sent_again;
	uint64_t known_already, refused, losses_under_load;
	double gap_max_us, cpu_share;
	uint64_t session_records_min, session_records_max; /* of the session that got least, most at its level */
	uint64_t out_frames;             /* sent, of every kind */
	uint64_t answer_bytes, arp_bytes, unclaimed_bytes; /* frame bytes that came in, by who took them */
	uint64_t ignored;                /* datagrams that no session believed */
	const struct hostile *hostile;   /* NULL: nothing meant harm */
	uint64_t greedy_sessions;
	bool exhausted;
	const char *error;               /* NULL: none */
};

void report_json(FILE *f, const struct blast_report *r);
void report_text(FILE *f, const struct blast_report *r);

/* Nothing acked is missing, nothing is there twice or out of order, every offset has a record. */
bool report_good(const struct blast_report *r);

#endif
