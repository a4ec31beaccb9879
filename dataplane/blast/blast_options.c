/* SPDX-License-Identifier: MIT
 * blast_options.c - the option table of kira-blast: one row makes the long flag, its bounds, its
 * default and its line in --help. Thread: main, before anything else runs. */
#include "dataplane/blast/blast_options.h"

#include "base/option_number.h"

#include <kira/wire.h>

#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "kira_version.h"

enum kind { TEXT, WHOLE, BYTES, REAL, FRACTION, ON, OFF };

struct row {
	const char *name, *arg;
	enum kind kind;
	size_t at;
	double min, max;
	const char *otherwise; /* the default, as typed; NULL: none */
	const char *help;
};

#define AT(field) offsetof(struct blast_options, field)
static const struct row table[] = {
	{"bootstrap", "HOST:PORT", TEXT, AT(bootstrap), 0, 0, "127.0.0.1:9092",
		"the broker's Kafka port"},
	{"device", "DEVICE", TEXT, AT(device), 0, 0, NULL,
		"memif:PATH, afpacket:IF, afxdp:IF, tap:NAME or a PCI address"},
	{"topic", "NAME", TEXT, AT(topic), 0, 0, "blast", "created if it is missing"},
	{"partitions", "N", WHOLE, AT(partitions), 0, BLAST_PARTITIONS_MAX, "0",
		"write to the first N; 0: all of the topic, 8 where it is created"},
	{"seconds", "N", REAL, AT(seconds), 0.1, 1e6, "5", "length of the run"},
	{"rate", "RECORDS_PER_S", WHOLE, AT(rate), 0, 1e12, "0",
		"open loop: the schedule is fixed beforehand; 0: as fast as acks allow"},
	{"record", "BYTES", BYTES, AT(record_bytes), 16, 8800, "256",
		"of a value, which begins with u64 number, u64 scheduled ns"},
	{"batch", "BYTES", BYTES, AT(batch_bytes), 96, KUP_DGRAM_MAX - KUP_DATA_BATCH, "1408",
		"largest RecordBatch; 1440 fits MTU 1500"},
	{"sessions", "N", WHOLE, AT(sessions), 1, BLAST_SESSIONS_MAX, "4",
		"produce sessions, each with a producer id of its own"},
	{"session-partitions", "N", WHOLE, AT(session_partitions), 0, BLAST_PARTITIONS_MAX, "0",
		"each session writes to N of the partitions, the next one to the next N; 0: to all"},
	{"acks", "none|log|disk", TEXT, AT(acks_name), 0, 0, "log", "what counts as acked"},
	{"cpus", "LIST", TEXT, AT(cpus), 0, 0, NULL, "the generator runs on the first one"},
	{"loss", "F", FRACTION, AT(loss), 0, 1, "0",
		"share of packets lost on purpose, in both directions"},
	{"duplicate", "F", FRACTION, AT(duplicate), 0, 1, "0", "share doubled"},
	{"reorder", "F", FRACTION, AT(reorder), 0, 1, "0", "share held back .."},
	{"reorder-depth", "N", WHOLE, AT(reorder_depth), 1, 256, "8", ".. until N others overtook it"},
	{"hostile", "F", FRACTION, AT(hostile), 0, 0.95, "0",
		"share of the frames sent that mean harm; answers forged alike; sessions until 89"},
	{"seed", "N", WHOLE, AT(seed), 0, 1e19, "1", "of loss, duplicate, reorder and hostile"},
	{"transport", "udp", TEXT, AT(transport), 0, 0, "udp", "the only one"},
	{"address", "A/LEN", TEXT, AT(address), 0, 0, "127.18.0.2/24", "own address on the device"},
	{"gateway", "A", TEXT, AT(gateway), 0, 0, NULL,
		"next hop, where the broker's data address is not in --address"},
	{"max-bytes", "BYTES", BYTES, AT(max_bytes), 0, 1e18, "0",
		"stop after so many bytes of batches; 0: no limit"},
	{"max-records", "N", WHOLE, AT(max_records), 0, 1e18, "0",
		"stop after so many records (whole batches); 0: no limit"},
	{"give-up-after", "SECONDS", REAL, AT(give_up_after), 0.1, 1e6, "5",
		"without any ack: the broker's reason, exit 1"},
	{"no-verify", NULL, OFF, AT(verify), 0, 0, NULL, "do not read the topic back"},
	{"verify", NULL, ON, AT(verify), 0, 0, "yes", "read the topic back (default)"},
	{"verify-only", NULL, ON, AT(verify_only), 0, 0, NULL,
		"send nothing: report lost, doubled, reordered of --topic"},
	{"run-dir", "DIR", TEXT, AT(run_dir), 0, 0, "/tmp", "where DPDK may keep its sockets"},
	{"eal-extra", "ARGS", TEXT, AT(eal_extra), 0, 0, NULL, "appended to DPDK's arguments"},
	{"progress", NULL, ON, AT(progress), 0, 0, NULL,
		"a line each second on stderr (default on a terminal)"},
	{"json", NULL, ON, AT(json), 0, 0, NULL, "the result as one object, last line of stdout"},
};

static const struct row *
find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

static bool
number(const struct row *r, const char *text, void *field, struct err *err)
{
	static const enum option_number of[] = {[WHOLE] = OPTION_COUNT, [BYTES] = OPTION_BYTES,
		[REAL] = OPTION_REAL, [FRACTION] = OPTION_FRACTION};
	double value;

	if (!option_number(r->name, text, of[r->kind], r->min, r->max, &value, err))
		return false;
	if (r->kind == WHOLE || r->kind == BYTES)
		*(uint64_t *)field = (uint64_t)value;
	else
		*(double *)field = value;
	return true;
}

static bool
take(struct blast_options *o, const struct row *r, const char *text, struct err *err)
{
	void *field = (uint8_t *)o + r->at;

	switch (r->kind) {
	case TEXT:
		*(const char **)field = text;
		return true;
	case ON:
	case OFF:
		*(bool *)field = r->kind == ON;
		return true;
	default:
		return number(r, text, field, err);
	}
}

static void
help(void)
{
	printf("usage: kira-blast --device DEVICE [--bootstrap HOST:PORT] [--topic NAME] ..\n"
	       "Produces sequence-numbered records over Kira's UDP protocol from one DPDK lcore, reads\n"
	       "the topic back, and reports what was lost, doubled or reordered.\n\n");
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		const struct row *r = &table[i];
		char left[40];

		(void)snprintf(left, sizeof(left), "--%s%s%s", r->name, r->arg ? " " : "",
			r->arg ? r->arg : "");
		printf("  %-26s %s", left, r->help);
		if (r->otherwise && r->kind != ON && r->kind != OFF)
			printf(" [%s]", r->otherwise);
		printf("\n");
	}
	printf("  %-26s this text\n  %-26s the version\n\n", "--help", "--version");
	printf("Exit: 0 nothing lost, doubled or out of order; 1 it was, or no ack came; 2 wrong usage\n"
	       "or the device or broker cannot be used.\n"
	       "Example, against kirad --device memif:/run/kira/data.sock:\n"
	       "  kira-blast --device memif:/run/kira/data.sock --seconds 5 --rate 1m --sessions 8\n");
}

static bool
judge(struct blast_options *o, struct err *err)
{
	static const char *const acks[] = {"none", "log", "disk"};

	for (o->acks = BLAST_ACKS_NONE; o->acks <= BLAST_ACKS_DISK; o->acks++)
		if (strcmp(acks[o->acks], o->acks_name) == 0)
			break;
	if (o->acks > BLAST_ACKS_DISK) {
		err_set(err, "--acks: \"%s\" is none of none, log, disk", o->acks_name);
		return false;
	}
	if (strcmp(o->transport, "udp") != 0) {
		err_set(err, "--transport: kira-blast speaks udp only; `kira produce` knows tcp");
		return false;
	}
	if (!o->device && !o->verify_only) {
		err_set(err, "--device is needed: the one kirad was given, for example "
			"--device memif:/var/lib/kira/run/memif.sock");
		return false;
	}
	return true;
}

enum blast_parse
blast_options_parse(struct blast_options *o, int argc, char **argv, struct err *err)
{
	struct option longs[ARRAY_LENGTH(table) + 3] = {0};
	size_t n = 0;
	int c, at;

	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		if (table[i].otherwise)
			(void)take(o, &table[i], table[i].otherwise, err);
		longs[n++] = (struct option){table[i].name,
			table[i].arg ? required_argument : no_argument, NULL, 'o'};
	}
	longs[n++] = (struct option){"help", no_argument, NULL, 'h'};
	longs[n++] = (struct option){"version", no_argument, NULL, 'v'};
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "", longs, &at)) != -1) {
		if (c == 'h') {
			help();
			return BLAST_DONE;
		}
		if (c == 'v') {
			printf("kira-blast %s\n", KIRA_VERSION);
			return BLAST_DONE;
		}
		if (c != 'o') {
			err_set(err, "%s: no such option, or its value is missing; see --help",
				argv[optind - 1]);
			return BLAST_USAGE;
		}
		if (!take(o, find(longs[at].name), optarg, err))
			return BLAST_USAGE;
	}
	if (optind < argc) {
		err_set(err, "%s: every value belongs to an option; see --help", argv[optind]);
		return BLAST_USAGE;
	}
	return judge(o, err) ? BLAST_GO : BLAST_USAGE;
}
