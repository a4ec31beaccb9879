/* SPDX-License-Identifier: MIT
 * offset_wait.c - a request parked until the group log has decided. Thread: control. */
#include "control/kafka/offset_wait.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>

#define WAIT_NS (5 * NS_PER_S)

struct offset_wait *
offset_wait_make(struct conn *c, int32_t partitions, offset_answer *answer)
{
	struct offset_wait *wait = calloc(1, sizeof(*wait) + (size_t)partitions * sizeof(wait->error[0]));

	ASSERT(wait);
	wait->c = c;
	wait->answer = answer;
	return wait;
}

static void
drop(struct offset_wait *wait)
{
	if (wait->of)
		offsets_commit_forget(wait->of);
	free(wait);
}

static void
done(void *owner, struct offset_commit *of, uint64_t now_ns)
{
	const struct offset_wait *wait = owner;

	conn_wake(wait->c, now_ns, false);
}

void
offset_wait_send(struct offset_wait *wait, enum group_log_level level)
{
	wait->of->owner = wait;
	wait->of->done = done;
	offsets_commit_send(wait->of, level);
}

int16_t
offset_wait_error(const struct offset_wait *wait)
{
	if (!wait->of)
		return 0;
	return wait->of->decided ? wait->of->error : KIRA_E_REQUEST_TIMED_OUT;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	const struct offset_wait *wait = c->park_data;

	return wait->of->decided || deadline ? wait->answer(c, wait) : SERVED_PARKED;
}

static void
forget(struct conn *c)
{
	drop(c->park_data);
}

static const struct park wait_for_log = {again, forget};

enum served
offset_wait_serve(struct offset_wait *wait, uint64_t now_ns)
{
	enum served served;

	if (wait->of && !wait->of->decided)
		return conn_park(wait->c, &wait_for_log, wait, now_ns + WAIT_NS);
	served = wait->answer(wait->c, wait);
	drop(wait);
	return served;
}
