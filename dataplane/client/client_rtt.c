/* SPDX-License-Identifier: MIT
 * client_rtt.c - smoothed round trip, its variation, the probe timeout.
 * Thread: the session's only caller. Owns: struct client_rtt. Never: reads a clock. */
#include "dataplane/client/client_rtt.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/wire.h>

#define RTT_START_NS   (50 * NS_PER_MS) /* srtt until the first sample */
#define RTT_GRAIN_NS   (1 * NS_PER_MS)  /* RFC 9002's kGranularity: a timer no finer than this */
#define RTT_ABSURD_NS  (60 * NS_PER_S)  /* an echo older than that is not a round trip */

static void
set_pto(struct client_rtt *r)
{
	const uint64_t spread = MAX(4 * r->var_ns, RTT_GRAIN_NS);
	uint64_t pto = MAX(r->srtt_ns + spread + r->ack_delay_ns, KUP_PTO_MIN_US * NS_PER_US);

	for (uint32_t i = 0; i < r->probes && pto < KUP_PTO_MAX_US * NS_PER_US; i++)
		pto *= 2;
	r->pto_ns = MIN(pto, KUP_PTO_MAX_US * NS_PER_US);
}

void
rtt_init(struct client_rtt *r, uint64_t ack_delay_ns)
{
	*r = (struct client_rtt){.srtt_ns = RTT_START_NS, .ack_delay_ns = ack_delay_ns};
	set_pto(r);
}

void
rtt_take(struct client_rtt *r, uint64_t rtt_ns)
{
	if (rtt_ns > RTT_ABSURD_NS)
		return;
	r->last_ns = rtt_ns;
	if (!r->sampled) {
		r->sampled = true;
		r->srtt_ns = rtt_ns;
		r->var_ns = rtt_ns / 2;
	} else {
		const uint64_t off = rtt_ns > r->srtt_ns ? rtt_ns - r->srtt_ns : r->srtt_ns - rtt_ns;

		r->var_ns = r->var_ns - r->var_ns / 4 + off / 4;
		r->srtt_ns = r->srtt_ns - r->srtt_ns / 8 + rtt_ns / 8;
	}
	set_pto(r);
}

void
rtt_heard(struct client_rtt *r)
{
	if (r->probes == 0)
		return;
	r->probes = 0;
	set_pto(r);
}

void
rtt_probe(struct client_rtt *r)
{
	r->probes++;
	set_pto(r);
}

uint64_t
rtt_loss_after_ns(const struct client_rtt *r, uint32_t eighths)
{
	const uint64_t rtt = MAX(r->srtt_ns, r->last_ns);

	return MAX(rtt + rtt / 8 * eighths, RTT_GRAIN_NS);
}
