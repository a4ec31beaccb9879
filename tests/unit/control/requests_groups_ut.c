/* SPDX-License-Identifier: MIT
 * requests_groups_ut.c - requests of groups and of committed offsets, decoded from golden bytes in an old and in a
 * flexible version. */
#include "tests/unit/control/request_bytes.h"

/* Flexible and not: a body of each request of groups; no prefix of it is one. */
static void
group_requests_decode(void)
{
	struct request rq = BODY(11, 0, "\0\1g\0\0\1\0\0\0\0\1t\0\0\0\1\0\1p\0\0\0\1m");
	struct group_join_request q;
	struct group_sync_request s;
	struct q_leave_group l;
	struct group_claim h;

	CU_ASSERT_TRUE(q_join_group(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.group, "g") && q.session_ms == 256 && q.rebalance_ms == -1 && is(q.member, "") &&
		!q.instance.p && is(q.protocol_type, "t") && q.protocols == 1 && is(q.protocol[0].name, "p") &&
		is(q.protocol[0].metadata, "m") && !q.id_required && !q.skip_offered);
	no_prefix_decodes(&rq);
	rq = BODY(11, 9, "\2g\0\0\1\0\0\0\2\0\2m\2i\2t\2\2p\2d\0\0\0");
	CU_ASSERT_TRUE(q_join_group(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.rebalance_ms == 512 && is(q.member, "m") && is(q.instance, "i") &&
		is(q.protocol[0].metadata, "d") && q.id_required && q.skip_offered);
	no_prefix_decodes(&rq);
	rq = BODY(14, 5, "\2g\0\0\0\7\2m\0\2t\2p\2\2a\2d\0\0");
	CU_ASSERT_TRUE(q_sync_group(&s, &rq, &arena));
	CU_ASSERT_TRUE(is(s.claim.group, "g") && s.claim.generation == 7 && !s.claim.instance.p &&
		is(s.protocol_type, "t") && is(s.protocol, "p") && s.assignments == 1 &&
		is(s.assignment[0].member, "a") && is(s.assignment[0].assignment, "d"));
	no_prefix_decodes(&rq);
	rq = BODY(12, 3, "\0\1g\0\0\0\7\0\1m\0\1i");
	CU_ASSERT_TRUE(q_heartbeat(&h, &rq));
	CU_ASSERT_TRUE(h.generation == 7 && is(h.member, "m") && is(h.instance, "i"));
	no_prefix_decodes(&rq);
	rq = BODY(13, 0, "\0\1g\0\1m");
	CU_ASSERT_TRUE(q_leave_group(&l, &rq, &arena));
	CU_ASSERT_TRUE(l.members == 1 && is(l.member[0].member, "m") && !l.member[0].instance.p);
	no_prefix_decodes(&rq);
	rq = BODY(13, 5, "\2g\3\2m\0\0\0\1\2i\2r\0\0");
	CU_ASSERT_TRUE(q_leave_group(&l, &rq, &arena));
	CU_ASSERT_TRUE(l.members == 2 && is(l.member[0].member, "m") && is(l.member[1].instance, "i"));
	no_prefix_decodes(&rq);
	rq = BODY(15, 5, "\2\2g\1\0");
	no_prefix_decodes(&rq);
	rq = BODY(16, 5, "\2\2s\2\2t\0");
	no_prefix_decodes(&rq);
	rq = BODY(42, 2, "\2\2g\0");
	no_prefix_decodes(&rq);
}

static void
offset_commit_decodes(void)
{
	struct request rq = BODY(8, 2, "\0\1g\0\0\0\7\0\1m" "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\0\0\1\0\1t\0\0\0\1"
		"\0\0\0\3\0\0\0\0\0\0\0\x2a\xff\xff");
	struct q_offset_commit q;

	CU_ASSERT_TRUE(q_offset_commit(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.group, "g") && q.generation == 7 && is(q.member, "m") && !q.instance.p);
	CU_ASSERT_TRUE(q.topics == 1 && is(q.topic[0].name, "t") && q.partitions == 1);
	CU_ASSERT_TRUE(q.topic[0].partition[0].partition == 3 && q.topic[0].partition[0].offset == 42);
	CU_ASSERT_TRUE(q.topic[0].partition[0].leader_epoch == -1 && !q.topic[0].partition[0].metadata.p);
	no_prefix_decodes(&rq);
	rq = BODY(8, 9, "\2g\xff\xff\xff\xff\1\2i" "\2\2t\2\0\0\0\3\0\0\0\0\0\0\0\x2a\0\0\0\5\2x\0\0\0");
	CU_ASSERT_TRUE(q_offset_commit(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.generation == -1 && q.member.len == 0 && is(q.instance, "i"));
	CU_ASSERT_TRUE(q.topic[0].partition[0].leader_epoch == 5 && is(q.topic[0].partition[0].metadata, "x"));
	no_prefix_decodes(&rq);
}

static void
offset_fetch_and_delete_decode(void)
{
	struct request rq = BODY(9, 1, "\0\1g\0\0\0\1\0\1t\0\0\0\2\0\0\0\3\0\0\0\4");
	struct q_offset_fetch q;
	struct q_offset_delete d;

	CU_ASSERT_TRUE(q_offset_fetch(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.groups == 1 && is(q.group[0].name, "g") && !q.group[0].of.all);
	CU_ASSERT_TRUE(q.group[0].of.topics == 1 && q.group[0].of.topic[0].partition[1] == 4);
	no_prefix_decodes(&rq);
	rq = BODY(9, 1, "\0\1g\xff\xff\xff\xff"); /* null is all, but from version 2 on only */
	CU_ASSERT_FALSE(q_offset_fetch(&q, &rq, &arena));
	rq = BODY(9, 2, "\0\1g\xff\xff\xff\xff");
	CU_ASSERT_TRUE(q_offset_fetch(&q, &rq, &arena) && q.group[0].of.all);
	rq = BODY(9, 9, "\3\2g\0\xff\xff\xff\xff\0\0\2h\2m\0\0\0\1\2\2t\2\0\0\0\3\0\0\1\0");
	CU_ASSERT_TRUE(q_offset_fetch(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.groups == 2 && q.group[0].of.all && is(q.group[1].name, "h") && !q.group[1].of.all);
	CU_ASSERT_TRUE(q.group[1].of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(47, 0, "\0\1g\0\0\0\1\0\1t\0\0\0\1\0\0\0\3");
	CU_ASSERT_TRUE(q_offset_delete(&d, &rq, &arena));
	CU_ASSERT_TRUE(is(d.group, "g") && d.of.topics == 1 && d.of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
}

static const struct ut_test tests[] = {
	UT("requests", group_requests_decode),
	UT("requests", offset_commit_decodes),
	UT("requests", offset_fetch_and_delete_decode),
};

UT_MAIN(tests)
