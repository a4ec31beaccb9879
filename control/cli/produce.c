/* SPDX-License-Identifier: MIT
 * produce.c - kira produce: a line of standard input is a record, sent by libkira.
 * Thread: main reads and produces; libkira's thread counts failures (on_batch), under `lock`.
 * Signals arrive by a descriptor: the first SIGINT or SIGTERM ends the input, what was read is still
 * delivered; a second one ends the waiting for that. */
#include "control/cli/cli.h"
#include "control/cli/cli_options.h"
#include "control/cli/format.h"
#include "control/cli/lines.h"
#include "control/cli/pace.h"

#include "base/clock.h"

#include <kira/errors.h>
#include <kira/producer.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define NAME        "kira produce"
#define BLOCK_MS    200              /* kira_produce() and kira_flush() at a time: signals wait so long */
#define PROGRESS_NS NS_PER_S
#define STUCK_NS    (5 * NS_PER_S)   /* nothing delivered for so long: say why, once */
#define LAST_MS     10000            /* level none: for what was sent to arrive */
#define CLOSE_MS    600              /* else: to tell the broker that the session is over */
#define PACE_MS     1                /* between two looks at what is told, while no more may be read */
#define CODES_MAX   8
#define SEPARATOR_MAX 64

struct produce_options {
	const char *bootstrap, *topic, *udp_address, *key_separator;
	unsigned acks, transport, compression;
	int64_t batch_bytes, linger_us, window;
	int64_t partition;               /* -1: by key, or in turn */
	double delivery_timeout;
	bool no_create, no_congestion_control, no_gso;
};

struct produce {
	struct produce_options o;
	struct kira_producer *p;
	struct kira_topic *topic;
	struct lines lines;
	char separator[SEPARATOR_MAX];
	size_t separator_length;
	int signal_fd;
	unsigned interrupts;
	bool terminal, shown;            /* a progress line stands on it */
	uint64_t line;                   /* number of the last one */
	uint64_t refused;                /* lines that no batch holds */
	struct pace pace;
	uint64_t started_ns, progress_ns;
	uint64_t moved_ns, moved_records; /* when something was last delivered, and the sum then */
	bool said_stuck, fatal;

	pthread_mutex_t lock;
	struct {
		int16_t code;
		uint64_t records;
	} failed[CODES_MAX];             /* under lock */
};

#define AT(field) offsetof(struct produce_options, field)
static const struct cli_row rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"topic", 't', "NAME", CLI_TEXT, AT(topic), 0, 0, NULL,
		"needed; made with the broker's defaults if it is missing"},
	{"acks", 'a', "none|log|disk|uplink", CLI_CHOICE, AT(acks), 0, 0, "log",
		"log survives a killed broker, disk a power cut; uplink is refused as yet"},
	{"transport", 0, "auto|udp|tcp", CLI_CHOICE, AT(transport), 0, 0, "auto",
		"udp fails rather than fall back to tcp"},
	{"udp-address", 0, "A", CLI_TEXT, AT(udp_address), 0, 0, NULL,
		"our address for datagrams, where it is not the one the kernel routes from"},
	{"key-separator", 'K', "TEXT", CLI_TEXT, AT(key_separator), 0, 0, NULL,
		"a line is KEY TEXT VALUE, for instance '\\t'; without it in a line: no key"},
	{"partition", 'p', "N", CLI_WHOLE, AT(partition), -1, INT32_MAX, "-1",
		"all records there; -1: by the key as Java does, without a key in turn"},
	{"compression", 'z', "none|lz4", CLI_CHOICE, AT(compression), 0, 0, "none", "of batches"},
	{"batch", 0, "BYTES", CLI_BYTES, AT(batch_bytes), 0, 1048576, "0",
		"largest batch; 0: what a datagram holds, over tcp 64k"},
	{"linger-us", 0, "N", CLI_WHOLE, AT(linger_us), 0, 1e7, "1000",
		"a batch waits so long for more records"},
	{"delivery-timeout", 0, "SECONDS", CLI_REAL, AT(delivery_timeout), 0.001, 4e6, "120",
		"a record that is not acked by then has failed"},
	{"window", 0, "N", CLI_WHOLE, AT(window), 2, 1024, "1024", "datagrams in flight"},
	{"no-congestion-control", 0, NULL, CLI_ON, AT(no_congestion_control), 0, 0, NULL,
		"the broker's credit alone bounds udp: for dedicated links"},
	{"no-gso", 0, NULL, CLI_ON, AT(no_gso), 0, 0, NULL,
		"hand datagrams to the kernel one by one, never a burst as one buffer"},
	{"no-create", 0, NULL, CLI_ON, AT(no_create), 0, 0, NULL, "a missing topic is an error"},
};
#undef AT

static const struct cli_command command = {
	NAME, "--topic NAME [OPTIONS] < LINES",
	"Send each line of standard input as a record and wait until all are acked.", rows,
	ARRAY_LENGTH(rows), 0,
	"Exit: 0 all acked; 1 some were not; 2 wrong usage; 130 interrupted, what was read is acked.\n"
	"Example:\n"
	"  seq 1 1000000 | kira produce --topic t --acks log --transport udp\n"
	"  printf 'key\\tvalue\\n' | kira produce --topic t --key-separator '\\t'\n"};

/* ---- What became of records ---------------------------------------------------------------- */

/* libkira's thread. */
static void
on_batch(void *arg, const struct kira_delivery *d)
{
	struct produce *pr = arg;

	if (d->error == 0)
		return;
	pthread_mutex_lock(&pr->lock);
	for (unsigned i = 0; i < CODES_MAX; i++) {
		if (pr->failed[i].code != 0 && pr->failed[i].code != d->error)
			continue;
		pr->failed[i].code = d->error;
		pr->failed[i].records += d->records;
		break;
	}
	pthread_mutex_unlock(&pr->lock);
}

static void
clear_progress(struct produce *pr)
{
	if (pr->shown)
		fprintf(stderr, "\r\033[K");
	pr->shown = false;
}

/* A line each second on a terminal; elsewhere one sentence when nothing moves. */
static void
progress(struct produce *pr)
{
	const uint64_t now_ns = clock_now_ns();
	struct kira_producer_stats s;
	char why[256];

	if (now_ns < pr->progress_ns)
		return;
	pr->progress_ns = now_ns + PROGRESS_NS;
	kira_producer_stats(pr->p, &s);
	if (s.records_delivered + s.records_failed != pr->moved_records || s.records == pr->moved_records) {
		pr->moved_records = s.records_delivered + s.records_failed;
		pr->moved_ns = now_ns;
		pr->said_stuck = false;
	}
	if (now_ns - pr->moved_ns >= STUCK_NS && !pr->said_stuck) {
		clear_progress(pr);
		(void)kira_producer_transport(pr->p, why, sizeof(why));
		fprintf(stderr, NAME ": nothing acked for %" PRIu64 " s, still trying%s%s\n",
			(now_ns - pr->moved_ns) / NS_PER_S, *why ? ": " : "", why);
		pr->said_stuck = true;
	}
	if (!pr->terminal || now_ns - pr->started_ns < PROGRESS_NS)
		return;
	fprintf(stderr, "\r\033[K%" PRIu64 " records acked, %" PRIu64 " on the way, %.1f MB, %.0f/s",
		s.records_delivered, s.records - s.records_delivered - s.records_failed,
		(double)s.bytes_delivered / 1e6,
		(double)s.records_delivered * 1e9 / (double)(now_ns - pr->started_ns));
	pr->shown = true;
}

/* ---- Input --------------------------------------------------------------------------------- */

static void
take_signals(struct produce *pr)
{
	struct signalfd_siginfo info;

	while (read(pr->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		pr->interrupts++;
}

/* False: interrupted. */
static bool
wait_input(struct produce *pr)
{
	struct pollfd pfd[2] = {{.fd = pr->signal_fd, .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN}};

	for (;;) {
		(void)poll(pfd, 2, (int)(PROGRESS_NS / NS_PER_MS));
		if (pfd[0].revents)
			take_signals(pr);
		if (pr->interrupts > 0)
			return false;
		if (pfd[1].revents)
			return true;
		progress(pr);
	}
}

static void
refuse(struct produce *pr, const char *why)
{
	/* The first few; the closing line has the sum. */
	if (pr->refused++ < 5) {
		clear_progress(pr);
		fprintf(stderr, NAME ": line %" PRIu64 ": %s; not sent\n", pr->line, why);
	}
}

/* A chunk of input is full: where as much is out as the way carries in time, wait until some of it is told. */
static void
keep_pace(struct produce *pr)
{
	struct pollfd pfd = {.fd = pr->signal_fd, .events = POLLIN};
	struct kira_producer_stats s;

	kira_producer_stats(pr->p, &s);
	pace_mark(&pr->pace, s.records, clock_now_ns());
	for (;;) {
		kira_producer_stats(pr->p, &s);
		pace_told(&pr->pace, s.records_delivered + s.records_failed, clock_now_ns());
		if (!pace_full(&pr->pace))
			return;
		if (poll(&pfd, 1, PACE_MS) > 0)
			take_signals(pr);
		if (pr->interrupts > 0)
			return;
		progress(pr);
	}
}

/* False: no more can be sent. */
static bool
send_line(struct produce *pr, const char *text, size_t length)
{
	struct kira_record rec = {
		.partition = (int32_t)pr->o.partition, /* -1 is KIRA_PARTITION_ANY */
		.timestamp_ms = KIRA_TIMESTAMP_NOW,
		.value = text,
		.value_length = (uint32_t)length,
	};
	size_t key_length;
	int rc;

	if (lines_split(text, length, pr->separator, pr->separator_length, &key_length)) {
		rec.key = text;
		rec.key_length = (uint32_t)key_length;
		rec.value = text + key_length + pr->separator_length;
		rec.value_length = (uint32_t)(length - key_length - pr->separator_length);
	}
	while ((rc = kira_produce(pr->topic, &rec)) == -EAGAIN) {
		take_signals(pr);
		if (pr->interrupts > 0)
			return false;
		progress(pr);
	}
	if (rc == -EMSGSIZE)
		refuse(pr, "too long for a batch; --transport auto or tcp holds up to 1 MiB");
	else if (rc < 0) {
		clear_progress(pr);
		fprintf(stderr, NAME ": line %" PRIu64 ": %s\n", pr->line,
			rc == -EPIPE ? "fenced: another producer has taken this one's id" : strerror(-rc));
		pr->fatal = true;
	}
	if (pace_line(&pr->pace, length))
		keep_pace(pr);
	return !pr->fatal && !(pace_full(&pr->pace) && pr->interrupts > 0);
}

static void
feed(struct produce *pr)
{
	const char *text = NULL;
	size_t length = 0;
	enum line got;
	ssize_t n;

	while (!pr->lines.end && wait_input(pr)) {
		n = lines_fill(&pr->lines, STDIN_FILENO);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n < 0) {
			fprintf(stderr, NAME ": read standard input: %s\n", strerror((int)-n));
			pr->fatal = true;
			return;
		}
		while ((got = lines_next(&pr->lines, &text, &length)) != LINE_NONE) {
			pr->line++;
			if (got == LINE_LONG)
				refuse(pr, "longer than 2 MiB");
			else if (!send_line(pr, text, length))
				return;
		}
		progress(pr);
	}
}

/* Until all is told. libkira fails what passes its delivery timeout, so this ends. */
static void
flush(struct produce *pr)
{
	const unsigned before = pr->interrupts;

	while (kira_flush(pr->p, BLOCK_MS) == -ETIMEDOUT) {
		take_signals(pr);
		if (pr->interrupts > before)
			return;
		progress(pr);
	}
}

/* ---- Start and end ------------------------------------------------------------------------- */

static const char *const acks_name[] = {"none", "log", "disk", "uplink"};

static void
report_failed(const struct produce *pr, const struct kira_producer_stats *s, int16_t code, uint64_t records,
	const char *why)
{
	fprintf(stderr, NAME ": %" PRIu64 " records failed: %s: ", records, kira_error_name(code));
	if (code != KIRA_E_REQUEST_TIMED_OUT) {
		fprintf(stderr, "%s%s\n", kira_error_meaning(code),
			code == KIRA_E_MESSAGE_TOO_LARGE ? "; --batch BYTES makes smaller batches" : "");
		return;
	}
	fprintf(stderr, "not acked within %g s (--delivery-timeout), perhaps stored", pr->o.delivery_timeout);
	if (s->datagrams > 0)
		fprintf(stderr, "; %" PRIu64 " of %" PRIu64 " datagrams were lost, %" PRIu64 " probes sent, a round "
			"trip lasts %.1f ms", s->lost, s->datagrams, s->probes, (double)s->rtt_us / 1e3);
	fprintf(stderr, "%s%s\n", *why ? "; " : "", why);
}

/* Returns the exit status. */
static int
close_and_report(struct produce *pr)
{
	struct kira_producer_stats s;
	char transport[16], why[256];
	uint64_t lost;
	double seconds;
	bool told;

	clear_progress(pr);
	(void)snprintf(transport, sizeof(transport), "%s", kira_producer_transport(pr->p, why, sizeof(why)));
	kira_producer_stats(pr->p, &s);
	told = s.records_delivered + s.records_failed == s.records;
	seconds = (double)(clock_now_ns() - pr->started_ns) / 1e9;
	/* Tells what is not told. */
	(void)kira_producer_close(pr->p,
		pr->o.acks == KIRA_ACKS_NONE && pr->interrupts < 2 ? LAST_MS : told ? CLOSE_MS : 0);
	lost = s.records - s.records_delivered + pr->refused;
	for (unsigned i = 0; i < CODES_MAX && pr->failed[i].code != 0; i++)
		report_failed(pr, &s, pr->failed[i].code, pr->failed[i].records, why);
	fprintf(stderr, NAME ": ");
	if (lost > 0)
		fprintf(stderr, "%" PRIu64 " NOT acked, ", lost);
	fprintf(stderr, "%" PRIu64 " records %s%s over %s, %" PRIu64 " bytes in %.3f s: %.0f records/s, "
			"%.1f MB/s", s.records_delivered,
		pr->o.acks == KIRA_ACKS_NONE ? "sent, acks " : "acked at ", acks_name[pr->o.acks], transport,
		s.bytes_delivered, seconds, (double)s.records_delivered / seconds,
		(double)s.bytes_delivered / 1e6 / seconds);
	if (s.retransmits > 0)
		fprintf(stderr, ", %" PRIu64 " datagrams sent again", s.retransmits);
	if (s.bursts > 0)
		fprintf(stderr, ", %" PRIu64 " bursts%s", s.bursts,
			s.bursts_off ? " (no more: the path swallows them)" : "");
	if (pr->o.transport == KIRA_TRANSPORT_AUTO && strcmp(transport, "udp") != 0 && *why)
		fprintf(stderr, " (%s)", why);
	fprintf(stderr, "\n");
	if (lost > 0 || pr->fatal)
		return CLI_EXIT_FAILED;
	return pr->interrupts > 0 ? CLI_EXIT_INTERRUPTED : CLI_EXIT_OK;
}

static int
open_producer(struct produce *pr, char *error, size_t error_size)
{
	struct kira_producer_options o;
	int rc;

	kira_producer_options_init(&o);
	o.bootstrap = pr->o.bootstrap;
	o.client_id = "kira-produce";
	o.udp_address = pr->o.udp_address;
	o.acks = (enum kira_acks)pr->o.acks;
	o.transport = (enum kira_transport)pr->o.transport;
	o.compression = (enum kira_compression)pr->o.compression;
	o.batch_bytes = (uint32_t)pr->o.batch_bytes;
	o.linger_us = (uint32_t)pr->o.linger_us;
	o.delivery_timeout_ms = (uint32_t)(pr->o.delivery_timeout * 1000);
	o.window = (uint32_t)pr->o.window;
	o.no_congestion_control = pr->o.no_congestion_control;
	o.no_gso = pr->o.no_gso;
	o.block_ms = BLOCK_MS;
	o.on_batch = on_batch;
	o.arg = pr;
	rc = kira_producer_open(&pr->p, &o, error, error_size);
	if (rc < 0)
		return rc == -EOPNOTSUPP || rc == -EINVAL ? CLI_EXIT_USAGE : CLI_EXIT_FAILED;
	if (kira_topic_open(pr->p, pr->o.topic, !pr->o.no_create, &pr->topic, error, error_size) < 0)
		goto fail;
	if (pr->o.partition >= kira_topic_partitions(pr->topic)) {
		(void)snprintf(error, error_size, "--partition %" PRId64 ": %s has partitions 0 to %d",
			pr->o.partition, pr->o.topic, kira_topic_partitions(pr->topic) - 1);
		goto fail;
	}
	return CLI_EXIT_OK;
fail:
	(void)kira_producer_close(pr->p, 0);
	return CLI_EXIT_FAILED;
}

static bool
judge(struct produce *pr, struct err *err)
{
	int n;

	if (!pr->o.topic) {
		err_set(err, "--topic NAME is needed");
		return false;
	}
	if (pr->o.key_separator) {
		n = format_unescape(pr->separator, sizeof(pr->separator), pr->o.key_separator, err);
		if (n == 0)
			err_set(err, "it is empty");
		if (n <= 0) {
			err_prefix(err, "--key-separator: ");
			return false;
		}
		pr->separator_length = (size_t)n;
	}
	return true;
}

static int
catch_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int
cli_produce(int argc, char **argv)
{
	static struct produce pr = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct err err = {""};
	char error[512];
	const char *word[1];
	unsigned words;
	int status;

	if (!cli_begin(&command, &pr.o, sizeof(pr.o), argc, argv, word, &words, &status))
		return status;
	if (!judge(&pr, &err))
		return cli_fail(NAME, err.text, CLI_EXIT_USAGE);
	status = open_producer(&pr, error, sizeof(error));
	if (status != CLI_EXIT_OK)
		return cli_fail(NAME, error, status);
	pr.signal_fd = catch_signals();
	pr.terminal = isatty(STDERR_FILENO) != 0;
	pr.started_ns = pr.moved_ns = clock_now_ns();
	pr.progress_ns = pr.started_ns + PROGRESS_NS;
	if (pr.signal_fd < 0 || lines_open(&pr.lines) < 0) {
		(void)kira_producer_close(pr.p, 0);
		return cli_fail(NAME, strerror(errno), CLI_EXIT_FAILED);
	}
	pace_begin(&pr.pace, (uint64_t)(pr.o.delivery_timeout * 1e9));
	feed(&pr);
	flush(&pr);
	status = close_and_report(&pr);
	lines_close(&pr.lines);
	(void)close(pr.signal_fd);
	return status;
}
