/* SPDX-License-Identifier: MIT
 * sim_check.c - judge a history: was anything acked and lost, stored twice, out of order, changed?
 *
 *	sim_check [--dir DATA_DIR] [--tmp DIR] HISTORY..
 *
 * The files of one history, in the format of history.h, in any order. --dir: the data directory as the
 * last run left it, stopped: it must pass what `kira check` asks. Exit 0: all rules hold; 1: one does not;
 * 2: it cannot be judged. */
#include "tests/sim/sim_check_rules.h"

#include <getopt.h>
#include <inttypes.h>

static int
tell(const struct verdict *v)
{
	uint64_t sum[CLASSES] = {0}, all = 0;

	for (unsigned r = C1; r < RULES; r++) {
		for (unsigned i = 0; i < VERDICT_LINES && v->line[r][i].text[0]; i++)
			printf("C%-2u %s\n", r, v->line[r][i].text);
		if (v->broken[r])
			printf("C%-2u broken %" PRIu64 " times: %s\n", r, v->broken[r], rule_text[r]);
		sum[rule_class[r]] += v->broken[r];
		all += v->broken[r];
	}
	printf("%" PRIu64 " runs, %" PRIu64 " faults, %" PRIu64 " of them power cuts; sent %" PRIu64
		", acked %" PRIu64 ", read %" PRIu64 "\n", v->runs, v->faults, v->powers, v->sent, v->acked,
		v->read);
	printf("valid %" PRIu64, v->valid);
	for (unsigned c = 0; c < CLASSES; c++)
		printf(", %s %" PRIu64, rule_class_name[c], sum[c]);
	printf("\n");
	return all > 0;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
		{"tmp", required_argument, NULL, 't'}, {0}};
	const char *dir = NULL, *tmp = NULL;
	struct err err = {""};
	static struct verdict v;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		*(c == 'd' ? &dir : &tmp) = optarg;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: sim_check [--dir DATA_DIR] [--tmp DIR] HISTORY..\n");
		return 2;
	}
	if (history_judge(&v, (const char *const *)argv + optind, (unsigned)(argc - optind), dir, tmp,
		    &err) < 0) {
		fprintf(stderr, "sim_check: %s\n", err.text);
		return 2;
	}
	return tell(&v);
}
