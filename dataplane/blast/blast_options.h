/* SPDX-License-Identifier: MIT
 * blast_options.h - what kira-blast was asked to do. Filled once at start, read-only afterwards.
 * One row per option: the table in blast_options.c makes parser and --help. */
#ifndef KIRA_BLAST_OPTIONS_H
#define KIRA_BLAST_OPTIONS_H

#include "base/bits.h"
#include "base/err.h"

#define BLAST_SESSIONS_MAX   1024
#define BLAST_PARTITIONS_MAX 10000

enum blast_acks { BLAST_ACKS_NONE, BLAST_ACKS_LOG, BLAST_ACKS_DISK };

struct blast_options {
	const char *bootstrap, *device, *topic, *cpus, *address, *gateway, *transport, *acks_name;
	const char *run_dir, *eal_extra;
	uint64_t partitions;    /* 0: what the topic has */
	uint64_t session_partitions; /* 0: each session writes to all of them */
	uint64_t sessions, record_bytes, batch_bytes, rate, max_bytes, max_records, seed;
	uint64_t reorder_depth;
	double seconds, give_up_after, loss, duplicate, reorder, hostile;
	bool verify, verify_only, json, progress;
	enum blast_acks acks;
};

enum blast_parse { BLAST_GO, BLAST_DONE, BLAST_USAGE };

/* DONE: --help or --version has been printed. USAGE: `err` says what is wrong. */
enum blast_parse blast_options_parse(struct blast_options *o, int argc, char **argv,
	struct err *err);

#endif
