/* SPDX-License-Identifier: MIT
 * main.c - kirad: read options, start, run the control loop, drain, stop.
 * Thread: main becomes the control thread (EAL's main lcore). Owns: struct control.
 * Exit codes: 0 clean stop; 1 could not start, or a failure at stop; 2 wrong options. */
#include "control/conn.h"
#include "control/control.h"
#include "control/flush_bell.h"
#include "control/groups/group_topic.h"
#include "control/log.h"
#include "control/start.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"

#include <kira_version.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DRAIN_NS (15 * NS_PER_S) /* a stop that takes longer is cut short, with a line */

#define EXIT_OPTIONS 2

static void
print_line(void *arg, const char *text)
{
	puts(text);
}

static int
help(void)
{
	puts("kirad " KIRA_VERSION " - log appliance: DPDK in, Kafka out\n"
		"usage: kirad --data-dir DIR [--KEY VALUE ..]\n"
		"       kirad --config FILE [--KEY VALUE ..]\n\n"
		"Each KEY is also a line `KEY = VALUE` of the file; flags win over it.\n");
	config_print(print_line, NULL);
	puts("  --help                           this text\n"
		"  --version                        the version\n\n"
		"Runs in the foreground. SIGTERM or SIGINT: drain, flush, clean stop.\n"
		"Prints `ready kafka=HOST:PORT data=DEVICE` to stdout when it serves; log lines go to "
		"stderr.");
	return fflush(stdout) == 0 ? 0 : 1;
}

/* Has the flush daemon granted something since the last look? Then ends and commits may have moved. */
static bool
rung(struct control *ctl)
{
	const bool yes = flush_bell_rung();

	ctl->moved |= yes;
	return yes;
}

/* One pass: work, then sleep until something rings. */
static void
control_pass(struct control *ctl, uint64_t wake_ns)
{
	const uint64_t now_ns = clock_now_ns();
	const unsigned work = control_turn(ctl, now_ns);
	const uint64_t due_ns = MIN(MIN(loop_next_ns(&ctl->loop), fetch_due_ns(ctl)), wake_ns);
	uint64_t timeout_ns = UINT64_MAX;

	if (work > 0 || due_ns <= now_ns)
		timeout_ns = 0;
	else if (ctl->produces.give_first || ctl->grants.gives > 0)
		timeout_ns = NS_PER_MS; /* a ring was full: its reader does not ring for room */
	else if (due_ns != UINT64_MAX)
		timeout_ns = due_ns - now_ns;
	/* Z1: who has something for us after this rings the doorbell. */
	if (timeout_ns != 0 && (!dataplane_control_sleeps(ctl->dp) || rung(ctl)))
		timeout_ns = 0;
	(void)loop_poll(&ctl->loop, timeout_ns, clock_now_ns);
	ctl->moved |= dataplane_control_wakes(ctl->dp);
	(void)rung(ctl);
}

static void
run(struct control *ctl, const struct signals *sig)
{
	while (!sig->stop)
		control_pass(ctl, UINT64_MAX);
}

/* Nothing new is taken; what was taken is finished, flushed and answered. */
static void
drain(struct control *ctl)
{
	const uint64_t until_ns = clock_now_ns() + DRAIN_NS;

	ctl->stopping = true;
	listeners_close(ctl);
	dataplane_drain(ctl->dp);
	while (!(dataplane_drained(ctl->dp) && produce_idle(ctl) && grants_idle(ctl) &&
		topics_idle(ctl) && rolls_idle(ctl) && group_log_idle(ctl->group_log))) {
		const uint64_t now_ns = clock_now_ns();

		if (now_ns >= until_ns) {
			log_warn("not all work was finished within %d s; stopping all the same",
				(int)(DRAIN_NS / NS_PER_S));
			break;
		}
		control_pass(ctl, now_ns + 10 * NS_PER_MS);
	}
	while (ctl->conns)
		conn_close(ctl->conns);
	/* Closing anchors gives the rx lcores their last commands. */
	while (!grants_idle(ctl) && clock_now_ns() < until_ns)
		control_pass(ctl, clock_now_ns() + NS_PER_MS);
}

int
main(int argc, char **argv)
{
	struct err err = {""};
	struct parts *p = calloc(1, sizeof(*p));
	struct config cfg;
	int code = 0;

	ASSERT(p);
	switch (config_read(&cfg, argc, argv, &err)) {
	case CONFIG_HELP:
		code = help();
		goto out;
	case CONFIG_VERSION:
		puts("kirad " KIRA_VERSION);
		goto out;
	case CONFIG_BAD:
		fprintf(stderr, "kirad: %s\n", err.text);
		code = EXIT_OPTIONS;
		goto out;
	case CONFIG_OK:
		break;
	}
	log_set_level((enum log_level)cfg.log_level);
	log_info("kirad " KIRA_VERSION);
	p->ctl = control_make(&cfg);
	code = parts_start(p, &err);
	if (code < 0) {
		fprintf(stderr, "kirad: %s\n", err.text);
		code = parts_stop(p, code == -EINVAL ? EXIT_OPTIONS : 1);
	} else {
		printf("ready kafka=%s data=%s\n", p->ctl->listeners.one[0].name, p->pf.device);
		(void)fflush(stdout);
		run(p->ctl, &p->signals);
		drain(p->ctl);
		code = parts_stop(p, 0);
		log_info("stopped");
	}
	control_free(p->ctl);
out:
	config_free(&cfg);
	free(p);
	return code;
}
