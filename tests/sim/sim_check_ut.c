/* SPDX-License-Identifier: MIT
 * sim_check_ut.c - forged histories: each breaks one rule, and that rule alone is told. Those that only
 * look odd pass. */
#include "tests/sim/sim_check_rules.h"
#include "tests/unit/storage/world.h"

#include "base/bits.h"

#include <inttypes.h>

/* A kill, which costs nothing; then a power cut, which costs what was acked at `log` and not synced. */
#define KILLED                                                                                     \
	"# a comment\n"                                                                            \
	"run 0 1\nready 5\nkill 40\nrun 41 2\nready 50\nstop 90\n"                                 \
	"epoch 0 0 0\nepoch 0 1 6\nepoch 1 0 0\nepoch 1 1 2\n"                                     \
	"producer 1 exactly\nproducer 2 plain\n"                                                   \
	"send 20 1 0 0 2 0 a1\nsend 21 1 0 2 1 0 a2\nsend 22 1 0 3 3 0 a3\n"                       \
	"ack 23 1 0 0 0 log 0 0\nack 24 1 0 2 0 disk 2 0\nack 25 1 0 3 0 log 3 0\n"                \
	"send 30 1 0 0 1 1 c1\nack 31 1 0 0 1 log 0 0\nsend 32 1 0 1 1 1 c2\n"                     \
	"send 51 2 -1 0 1 0 b1\nack 52 2 -1 0 0 log 6 1\n"                                         \
	"send 53 1 0 6 1 0 a4\nack 54 1 0 6 0 log -1 -1\n"                                         \
	"send 55 1 0 7 1 0 a5\nsend 56 1 0 8 1 0 a6\n"                                             \
	"reader 0 0 log\nfrom 0 0\nends 0 0 -1 6 6\nread 26 0 0 2 0 1 0 0 a1\n"                    \
	"read 27 0 2 1 0 1 0 2 a2\nread 28 0 3 3 0 1 0 3 a3\nfrom 0 6\nends 0 0 -1 8 8\n"          \
	"read 56 0 6 1 1 2 -1 0 b1\nread 57 0 7 1 1 1 0 6 a4\n"                                    \
	"reader 1 1 disk\nfrom 1 0\nends 1 0 1 1 2\nread 33 1 0 1 0 1 0 0 c1\nends 1 0 2 2 2\n"    \
	"final 0 0 10\nfound 0 0 2 0 1 0 0 a1\nfound 0 2 1 0 1 0 2 a2\nfound 0 3 3 0 1 0 3 a3\n"   \
	"found 0 6 1 1 2 -1 0 b1\nfound 0 7 1 1 1 0 6 a4\nfound 0 8 1 1 1 0 7 a5\n"                \
	"found 0 9 1 1 1 0 8 a6\n"                                                                 \
	"final 1 0 2\nfound 1 0 1 0 1 0 0 c1\nfound 1 1 1 0 1 0 1 c2\n"

#define POWERLESS                                                                                  \
	"run 0 1\nready 5\npower 40\nrun 41 2\nready 50\nepoch 0 0 0\nepoch 0 1 2\n"               \
	"producer 1 exactly\nproducer 3 exactly\n"                                                 \
	"send 20 1 0 0 1 0 a1\nack 21 1 0 0 0 disk 0 0\nsend 22 1 0 1 1 0 a2\n"                    \
	"ack 23 1 0 1 0 disk 1 0\nsend 24 1 0 2 1 0 a3\nack 25 1 0 2 0 log 2 0\n"                  \
	"send 26 1 0 3 1 0 a4\nack 27 1 0 3 0 log 3 0\n"                                           \
	"send 51 3 0 0 1 0 b1\nack 52 3 0 0 0 log 2 1\nsend 53 3 0 1 1 0 b2\n"                     \
	"reader 0 0 log\nfrom 0 0\nread 28 0 0 1 0 1 0 0 a1\nread 29 0 1 1 0 1 0 1 a2\n"           \
	"read 30 0 2 1 0 1 0 2 a3\nread 31 0 3 1 0 1 0 3 a4\n"                                     \
	"from 0 2\nread 60 0 2 1 1 3 0 0 b1\nread 61 0 3 1 1 3 0 1 b2\n"                           \
	"reader 1 0 disk\nfrom 1 0\nread 28 1 0 1 0 1 0 0 a1\nread 29 1 1 1 0 1 0 1 a2\n"          \
	"final 0 0 4\nfound 0 0 1 0 1 0 0 a1\nfound 0 1 1 0 1 0 1 a2\nfound 0 2 1 1 3 0 0 b1\n"    \
	"found 0 3 1 1 3 0 1 b2\n"

/* "old>new": the first line that begins so; "old>": all lines that begin so go; "+new": at the end. */
struct forged {
	const char *what;
	enum rule rule; /* 0: it passes */
	const char *from;
	const char *edit[8];
};

static const struct forged table[] = {
	{"a kill costs nothing", 0, KILLED, {0}},
	{"power takes what was not synced", 0, POWERLESS, {0}},
	{"a line without its end was being written", 0, KILLED, {"+\tfound 0 10 1 1 1 0 9 ff"}},
	{"a plain producer sends again", 0, KILLED,
		{"final 0>final 0 0 11", "+found 0 10 1 1 2 -1 0 b1"}},
	{"retention moved the start", 0, KILLED,
		{"+start 0 3", "final 0>final 0 3 10", "found 0 0>", "found 0 2>"}},
	{"a reader goes on where the start is now", 0, KILLED,
		{"+start 0 3", "read 27>", "final 0>final 0 3 10", "found 0 0>", "found 0 2>"}},
	{"a repair cut a hole", 0, KILLED,
		{"+hole 0 3 6", "found 0 3>", "read 28>", "read 27>read 27 0 2 1 0 1 0 2 a2"}},
	{"a reader goes back by itself", 0, KILLED,
		{"+again 0 2", "+read 61 0 2 1 0 1 0 2 a2", "+read 62 0 3 3 0 1 0 3 a3"}},
	{"a unit sent again under the same number", 0, KILLED, {"+send 99 1 0 0 2 0 a1"}},

	{"C1: an ack at log is lost with the process", C1, KILLED,
		{"final 0>final 0 0 9", "found 0 9>", "+ack 59 1 0 8 0 log 9 1"}},
	{"C1: a lost ack that had no offset", C1, KILLED,
		{"final 0>final 0 0 9", "found 0 9>", "+ack 59 1 0 8 0 log -1 -1"}},
	{"C1: an ack at disk is lost with the power", C1, POWERLESS,
		{"ack 25>ack 25 1 0 2 0 disk 2 0"}},
	{"C1: an ack at log, after the power came back", C1, POWERLESS,
		{"final 0>final 0 0 3", "found 0 3>", "read 61>", "+ack 70 3 0 1 0 log 3 1"}},
	{"C2: stored twice", C2, KILLED, {"final 0>final 0 0 11", "+found 0 10 1 1 1 0 8 a6"}},
	{"C3: out of order", C3, KILLED,
		{"found 0 8>found 0 8 1 1 1 0 8 a6", "found 0 9>found 0 9 1 1 1 0 7 a5"}},
	{"C3: an acked one is gone, the next is there", C3, POWERLESS,
		{"found 0 2>found 0 2 1 1 1 0 3 a4", "ack 52>",
			"read 60>read 60 0 2 1 1 1 0 3 a4", "ack 27>"}},
	{"C4: acked at another offset", C4, KILLED, {"ack 25>ack 25 1 0 3 0 log 4 0"}},
	{"C4: acked under another leader epoch", C4, KILLED, {"ack 25>ack 25 1 0 3 0 log 3 1"}},
	{"C4: other bytes in the log", C4, KILLED, {"found 0 9>found 0 9 1 1 1 0 8 a7"}},
	{"C4: other bytes read", C4, KILLED, {"read 57>read 57 0 7 1 1 1 0 6 a7"}},
	{"C5: seen at disk, and gone", C5, POWERLESS, {"+read 33 1 2 1 0 1 0 2 a3"}},
	{"C5: seen, and gone with the process", C5, KILLED,
		{"+read 58 0 8 1 1 1 0 7 a5", "+read 59 0 9 1 1 1 0 8 a6", "found 0 9>",
			"final 0>final 0 0 9"}},
	{"C6: an epoch and offset used again", C6, POWERLESS,
		{"epoch 0 1>epoch 0 1 3", "found 0 2>found 0 2 1 0 3 0 0 b1",
			"read 60>read 60 0 2 1 0 3 0 0 b1", "ack 52>ack 52 3 0 0 0 log 2 0", "ack 25>"}},
	{"C6: acked to two", C6, POWERLESS,
		{"epoch 0 1>", "found 0 2>found 0 2 1 0 3 0 0 b1", "found 0 3>found 0 3 1 0 3 0 1 b2",
			"read 6>", "read 30>", "read 31>", "ack 52>", "ack 27>"}},
	{"C6: two readers, two units, both lost", C6, POWERLESS,
		{"+reader 2 0 log", "+from 2 2", "+read 31 2 2 1 0 1 0 3 a4"}},
	{"C7: a reader passes one over", C7, KILLED, {"read 27>"}},
	{"C7: a reader goes on too far", C7, KILLED, {"from 0 6>from 0 7", "read 56>"}},
	{"C7: a reader goes back, and that is ahead", C7, KILLED, {"+again 0 9"}},
	{"C7: a reader finds another unit when it goes back", C7, KILLED,
		{"+again 0 2", "+read 61 0 3 3 0 1 0 3 a3"}},
	{"C7: a gap in the log", C7, KILLED,
		{"final 0>final 0 0 11", "found 0 9>found 0 10 1 1 1 0 8 a6"}},
	{"C7: the start moved by itself", C7, KILLED,
		{"final 0>final 0 2 10", "found 0 0>", "+start 0 1"}},
	{"C7: the log ends before its end", C7, KILLED, {"found 0 9>"}},
	{"C8: in the log, and nobody sent it", C8, KILLED,
		{"final 0>final 0 0 11", "+found 0 10 1 1 1 0 9 a7"}},
	{"C8: read, and of no producer", C8, KILLED, {"+read 58 0 8 1 1 -1 -1 -1 a5"}},
	{"C8: sent to another partition", C8, KILLED,
		{"final 1>final 1 0 3", "epoch 1 1>", "+found 1 2 1 0 1 0 8 a6"}},
	{"C9: half of a unit", C9, KILLED,
		{"send 56>send 56 1 0 8 2 0 a6"}},
	{"C10: the visible end goes back", C10, KILLED, {"ends 1 0 2>ends 1 0 2 2 1"}},
	{"C10: visible behind the end", C10, KILLED, {"ends 0 0 -1 8>ends 0 0 -1 9 8"}},
	{"C10: durable goes back", C10, KILLED, {"ends 1 0 2>ends 1 0 0 2 2"}},
	{"C11: an old epoch appends", C11, KILLED, {"found 0 9>found 0 9 1 0 1 0 8 a6"}},
	{"C11: an epoch before it began", C11, KILLED, {"epoch 0 1>epoch 0 1 7"}},
	{"C11: a reader gets an old epoch", C11, POWERLESS,
		{"read 61>", "+read 25 0 3 1 0 1 0 3 a4"}},
};

/* ---- Editing ------------------------------------------------------------------------------ */

static char text[20000], name[80];

static char *
line_that_begins(char *at, const char *with, size_t n)
{
	while (at && *at && strncmp(at, with, n) != 0) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return at && *at ? at : NULL;
}

static void
edit(const char *e)
{
	const char *to = strchr(e, '>');
	const size_t n = to ? (size_t)(to - e) : 0;
	char *line = text;
	unsigned hits = 0;

	if (e[0] == '+') {
		const size_t end = strlen(text);

		(void)snprintf(text + end, sizeof(text) - end, "%s%s", e[1] == '\t' ? e + 2 : e + 1,
			e[1] == '\t' ? "" : "\n");
		return;
	}
	while ((line = line_that_begins(line, e, n)) != NULL) {
		char rest[sizeof(text)];

		hits++;
		(void)snprintf(rest, sizeof(rest), "%s", strchr(line, '\n') + 1);
		(void)snprintf(line, sizeof(text) - (size_t)(line - text), "%s%s%s", to + 1,
			to[1] ? "\n" : "", rest);
		if (to[1])
			break;
	}
	if (hits == 0)
		printf("\nno line begins with %.*s\n", (int)n, e);
	CU_ASSERT_TRUE(hits > 0);
}

static void
put(const char *history)
{
	FILE *f = fopen(name, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_TRUE(fputs(history, f) >= 0);
	CU_ASSERT_EQUAL(fclose(f), 0);
}

static void
remove_file(void)
{
	(void)unlink(name);
}

static void
begin(void)
{
	int fd;

	if (name[0])
		return;
	(void)snprintf(name, sizeof(name), "/var/tmp/kira-history-XXXXXX");
	fd = mkstemp(name);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	(void)close(fd);
	(void)atexit(remove_file);
}

static int
judge(struct verdict *v, const char *history, const char *dir)
{
	const char *const file = name;
	struct err err = {""};
	int rc;

	begin();
	put(history);
	rc = history_judge(v, &file, 1, dir, NULL, &err);
	if (rc < 0)
		printf("\n%s\n", err.text);
	return rc;
}

/* ---- The tests ---------------------------------------------------------------------------- */

static void
each_forged_history_breaks_its_rule_and_no_other(void)
{
	bool covered[RULES] = {0};
	struct verdict v;

	for (unsigned i = 0; i < ARRAY_LENGTH(table); i++) {
		const struct forged *f = &table[i];

		(void)snprintf(text, sizeof(text), "%s", f->from);
		for (unsigned n = 0; n < ARRAY_LENGTH(f->edit) && f->edit[n]; n++)
			edit(f->edit[n]);
		CU_ASSERT_EQUAL_FATAL(judge(&v, text, NULL), 0);
		covered[f->rule] = true;
		for (unsigned r = C1; r < RULES; r++) {
			if ((v.broken[r] > 0) != (r == f->rule))
				printf("\n%s: C%u broken %" PRIu64 " times: %s\n", f->what, r, v.broken[r],
					v.line[r][0].text);
			CU_ASSERT_EQUAL(v.broken[r] > 0, r == f->rule);
			/* The line that did it is named. */
			CU_ASSERT_EQUAL(v.line[r][0].text[0] != 0, r == f->rule);
		}
	}
	for (unsigned r = C1; r < C12; r++)
		CU_ASSERT_TRUE(covered[r]);
}

static void
what_there_is_is_counted(void)
{
	struct verdict v;

	CU_ASSERT_EQUAL_FATAL(judge(&v, KILLED, NULL), 0);
	CU_ASSERT_EQUAL(v.sent, 9);
	CU_ASSERT_EQUAL(v.acked, 6);
	CU_ASSERT_EQUAL(v.read, 6);
	CU_ASSERT_EQUAL(v.valid, 9);
	CU_ASSERT_EQUAL(v.runs, 2);
	CU_ASSERT_EQUAL(v.faults, 1);
	CU_ASSERT_EQUAL(v.powers, 0);
	CU_ASSERT_EQUAL_FATAL(judge(&v, POWERLESS, NULL), 0);
	CU_ASSERT_EQUAL(v.powers, 1);
	CU_ASSERT_EQUAL(v.valid, 4);
}

static void
what_is_no_history_is_not_judged(void)
{
	static const char *const bad[] = {
		"send 1 2 3\n",
		"sent 1 1 0 0 1 0 aa\n",
		"send 1 1 0 0 1 0 aa bb\n",
		"send 1 1 0 0 1 0 xyz\n",
		"send 1 1 0 0 1 256 aa\n",
		"send 1 1 0 0 1  0 aa\n",
		"ack 1 1 0 0 0 LOG 0 0\n",
		"ack 1 1 0 0 0 log 0 0\n",                           /* of what was not sent */
		"send 1 1 0 0 1 0 aa\n",                             /* no final log */
		"send 1 1 0 0 1 0 aa\nsend 1 1 0 0 2 0 aa\nfinal 0 0 0\n",
		"found 0 0 1 0 1 0 0 aa\n",
		"final 0 0 0\nread 1 7 0 1 0 1 0 0 aa\n",
		"send 1 1 0 999999999999999999 1 0 aa\nfinal 0 0 0\n",
	};
	struct verdict v;

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
		const char *const file = name;
		struct err err = {""};

		begin();
		put(bad[i]);
		CU_ASSERT_TRUE(history_judge(&v, &file, 1, NULL, NULL, &err) < 0);
		CU_ASSERT_TRUE(err.text[0] != 0);
	}
}

/* The log of a real directory is whole; then a byte of a record is another. */
static void
a_damaged_directory_breaks_c12(void)
{
	struct verdict v;
	uint8_t byte = 0;
	int fd;

	world_begin(1);
	world_fill(0, 100000);
	world_sync();
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(judge(&v, KILLED, w.dir), 0);
	for (unsigned r = C1; r < RULES; r++)
		CU_ASSERT_EQUAL(v.broken[r], 0);
	CU_ASSERT_TRUE(v.directory_records > 0);
	fd = world_open_file(0, "00000000000000000000.log");
	CU_ASSERT_EQUAL(pread(fd, &byte, 1, 300), 1);
	byte ^= 4;
	CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, 300), 1);
	(void)close(fd);
	CU_ASSERT_EQUAL_FATAL(judge(&v, KILLED, w.dir), 0);
	for (unsigned r = C1; r < RULES; r++)
		CU_ASSERT_EQUAL(v.broken[r] > 0, r == C12);
	/* And what is no data directory was not left by a broker. */
	CU_ASSERT_EQUAL_FATAL(judge(&v, KILLED, "/proc/self"), 0);
	CU_ASSERT_EQUAL(v.broken[C12], 1);
	world_end();
}

static const struct ut_test tests[] = {
	UT("sim_check", each_forged_history_breaks_its_rule_and_no_other),
	UT("sim_check", what_there_is_is_counted),
	UT("sim_check", what_is_no_history_is_not_judged),
	UT("sim_check", a_damaged_directory_breaks_c12),
};
UT_MAIN(tests)
