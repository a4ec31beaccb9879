/* SPDX-License-Identifier: MIT
 * fuzz_requests.c - the body of every request in every version: the input is a frame without its
 * size field. Views must lie within it. */
#include "control/kafka/requests_groups.h"

#include "tests/unit/control/any_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *from, *until;

static void
within(struct view v)
{
	if (v.p && (v.p < from || v.p + v.len > until))
		__builtin_trap();
}

static void
some_within(const struct q_partitions *q)
{
	for (int32_t i = 0; i < q->topics; i++)
		within(q->topic[i].name);
}

static void
decode(const struct request *rq, struct arena *a)
{
	union any_request q;

	switch ((enum api_key)rq->api->key) {
	case API_PRODUCE:
		if (q_produce(&q.pr, rq, a))
			for (int32_t i = 0; i < q.pr.topics; i++)
				for (int32_t j = 0; j < q.pr.topic[i].partitions; j++)
					within(q.pr.topic[i].partition[j].records);
		break;
	case API_FETCH:
		if (q_fetch(&q.fe, rq, a)) {
			for (int32_t i = 0; i < q.fe.topics; i++)
				within(q.fe.topic[i].key);
			for (int32_t i = 0; i < q.fe.forgotten_topics; i++) {
				const struct q_fetch_forgotten *f = &q.fe.forgotten[i];

				within(f->key);
				within((struct view){f->partition, (uint32_t)f->partitions * 4});
			}
		}
		break;
	case API_LIST_OFFSETS:
		if (q_list_offsets(&q.lo, rq, a))
			for (int32_t i = 0; i < q.lo.topics; i++)
				within(q.lo.topic[i].name);
		break;
	case API_METADATA:
		if (q_metadata(&q.md, rq, a))
			for (int32_t i = 0; i < q.md.topics; i++)
				within(q.md.topic[i].name);
		break;
	case API_FIND_COORDINATOR:
		if (q_find_coordinator(&q.fc, rq, a))
			for (int32_t i = 0; i < q.fc.keys; i++)
				within(q.fc.key[i]);
		break;
	case API_JOIN_GROUP:
		if (q_join_group(&q.jg, rq, a))
			for (int32_t i = 0; i < q.jg.protocols; i++)
				within(q.jg.protocol[i].metadata);
		break;
	case API_HEARTBEAT:
		if (q_heartbeat(&q.hb, rq))
			within(q.hb.member);
		break;
	case API_LEAVE_GROUP:
		if (q_leave_group(&q.lg, rq, a))
			for (int32_t i = 0; i < q.lg.members; i++)
				within(q.lg.member[i].instance);
		break;
	case API_SYNC_GROUP:
		if (q_sync_group(&q.sg, rq, a))
			for (int32_t i = 0; i < q.sg.assignments; i++)
				within(q.sg.assignment[i].assignment);
		break;
	case API_DESCRIBE_GROUPS:
	case API_DELETE_GROUPS:
		if (rq->api->key == API_DESCRIBE_GROUPS ? q_describe_groups(&q.gi, rq, a)
			: q_delete_groups(&q.gi, rq, a))
			for (int32_t i = 0; i < q.gi.groups; i++)
				within(q.gi.group[i]);
		break;
	case API_LIST_GROUPS:
		if (q_list_groups(&q.li, rq, a))
			for (int32_t i = 0; i < q.li.types; i++)
				within(q.li.type[i]);
		break;
	case API_API_VERSIONS:
		if (q_api_versions(&q.av, rq))
			within(q.av.software);
		break;
	case API_CREATE_TOPICS:
		if (q_create_topics(&q.ct, rq, a))
			for (int32_t i = 0; i < q.ct.topics; i++)
				for (int32_t j = 0; j < q.ct.topic[i].configs; j++)
					within(q.ct.topic[i].config[j].value);
		break;
	case API_DELETE_TOPICS:
		if (q_delete_topics(&q.dt, rq, a))
			for (int32_t i = 0; i < q.dt.topics; i++)
				within(q.dt.topic[i].name);
		break;
	case API_DELETE_RECORDS:
		if (q_delete_records(&q.dr, rq, a))
			for (int32_t i = 0; i < q.dr.topics; i++)
				within(q.dr.topic[i].name);
		break;
	case API_INIT_PRODUCER_ID:
		if (q_init_producer_id(&q.ip, rq))
			within(q.ip.transactional_id);
		break;
	case API_OFFSET_FOR_LEADER_EPOCH:
		if (q_leader_epoch(&q.le, rq, a))
			for (int32_t i = 0; i < q.le.topics; i++)
				within(q.le.topic[i].name);
		break;
	case API_DESCRIBE_ACLS:
		(void)q_describe_acls(rq);
		break;
	case API_CREATE_ACLS:
		(void)q_create_acls(&q.acls, rq);
		break;
	case API_DELETE_ACLS:
		(void)q_delete_acls(&q.acls, rq);
		break;
	case API_DESCRIBE_LOG_DIRS:
		if (q_log_dirs(&q.ps, rq, a))
			some_within(&q.ps);
		break;
	case API_ELECT_LEADERS:
		if (q_elect_leaders(&q.el, rq, a))
			some_within(&q.el.of);
		break;
	case API_DESCRIBE_PRODUCERS:
		if (q_describe_producers(&q.ps, rq, a))
			some_within(&q.ps);
		break;
	case API_LIST_REASSIGNMENTS:
		if (q_reassignments(&q.ps, rq, a))
			some_within(&q.ps);
		break;
	case API_DESCRIBE_TOPICS:
		if (q_describe_topics(&q.ds, rq, a))
			for (int32_t i = 0; i < q.ds.topics; i++)
				within(q.ds.topic[i]);
		within(q.ds.cursor_topic);
		break;
	case API_CREATE_PARTITIONS:
		if (q_create_partitions(&q.cp, rq, a))
			for (int32_t i = 0; i < q.cp.topics; i++)
				within(q.cp.topic[i].name);
		break;
	case API_OFFSET_COMMIT:
		if (q_offset_commit(&q.oc, rq, a))
			for (int32_t i = 0; i < q.oc.topics; i++)
				for (int32_t j = 0; j < q.oc.topic[i].partitions; j++)
					within(q.oc.topic[i].partition[j].metadata);
		break;
	case API_OFFSET_FETCH:
		if (q_offset_fetch(&q.of, rq, a))
			for (int32_t i = 0; i < q.of.groups; i++)
				for (int32_t j = 0; j < q.of.group[i].of.topics; j++)
					within(q.of.group[i].of.topic[j].name);
		break;
	case API_OFFSET_DELETE:
		if (q_offset_delete(&q.od, rq, a))
			for (int32_t i = 0; i < q.od.of.topics; i++)
				within(q.od.of.topic[i].name);
		break;
	case API_ALTER_CONFIGS:
	case API_INCREMENTAL_ALTER_CONFIGS:
		if (rq->api->key == API_ALTER_CONFIGS ? q_alter_configs(&q.ac, rq, a)
			: q_incremental_alter_configs(&q.ac, rq, a))
			for (int32_t i = 0; i < q.ac.resources; i++)
				for (int32_t j = 0; j < q.ac.resource[i].changes; j++)
					within(q.ac.resource[i].change[j].value);
		break;
	case API_DESCRIBE_CONFIGS:
		if (q_describe_configs(&q.dg, rq, a))
			for (int32_t i = 0; i < q.dg.resources; i++)
				for (int32_t j = 0; j < q.dg.resource[i].keys; j++)
					within(q.dg.resource[i].key[j]);
		break;
	case API_DESCRIBE_CLUSTER:
		(void)q_describe_cluster(&q.dc, rq);
		break;
	case API_OPEN_SESSION:
		if (q_open_session(&q.os, rq))
			for (int32_t i = 0; i < q.os.topics; i++)
				within(q.os.topic[i].name);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(16) uint8_t room[FETCH_ARENA_BYTES(1000)];
	static struct arena arena = {.bytes = room, .size = sizeof(room)};
	const struct api *row;
	struct request rq;
	unsigned rows;

	if (size < 4)
		return 0;
	/* Any key and version lead to one that is served; a key of ours to itself, so that a new row leaves the
	 * corpus what it is. */
	row = api_find((int16_t)(data[0] << 8 | data[1]));
	if (!row) {
		row = api_rows(&rows);
		row = &row[data[1] % rows];
	}
	from = data;
	until = data + size;
	if (!frame_request(&rq, row, data, (uint32_t)size))
		return 0;
	if (row->key == API_OPEN_SESSION)
		rq.version = KUP_OPEN_SESSION_VERSION;
	else
		rq.version = (int16_t)(row->served_min + data[3] % (row->max - row->served_min + 1));
	rq.flexible = rq.version >= row->flexible;
	decode(&rq, &arena);
	return 0;
}
