/* SPDX-License-Identifier: MIT
 * requests_configs.c - decode the requests on configurations. Pure; see requests.c. */
#include "control/kafka/requests_configs.h"

#include "control/kafka/decode.h"

bool
q_describe_configs(struct q_describe_configs *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_describe_configs){0};
	ret->resources = decode_count(&r, 3);
	ret->resource = decode_take(a, &r, ret->resources, sizeof(*ret->resource));
	for (int32_t i = 0; i < ret->resources && !r.bad; i++) {
		struct q_described *d = &ret->resource[i];

		d->type = kr_i8(&r);
		d->name = decode_text(&r);
		d->keys = kr_array(&r, INT32_MAX, 1);
		d->key = decode_take(a, &r, d->keys < 0 ? 0 : d->keys, sizeof(*d->key));
		for (int32_t j = 0; j < d->keys && !r.bad; j++)
			d->key[j] = decode_text(&r);
		kr_tags(&r);
	}
	ret->synonyms = kr_bool(&r);
	ret->documentation = rq->version >= 3 && kr_bool(&r);
	kr_tags(&r);
	return !r.bad;
}

static bool
alter_configs(struct q_alter_configs *ret, const struct request *rq, struct arena *a, bool incremental)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_alter_configs){0};
	ret->resources = decode_count(&r, 3);
	ret->resource = decode_take(a, &r, ret->resources, sizeof(*ret->resource));
	for (int32_t i = 0; i < ret->resources && !r.bad; i++) {
		struct q_altered *d = &ret->resource[i];

		d->type = kr_i8(&r);
		d->name = decode_text(&r);
		d->changes = decode_count(&r, incremental ? 3 : 2);
		d->change = decode_take(a, &r, d->changes, sizeof(*d->change));
		for (int32_t j = 0; j < d->changes && !r.bad; j++) {
			d->change[j].name = decode_text(&r);
			d->change[j].operation = incremental ? kr_i8(&r) : CONFIG_SET;
			d->change[j].value = kr_string(&r);
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	ret->validate_only = kr_bool(&r);
	kr_tags(&r);
	return !r.bad;
}

bool
q_alter_configs(struct q_alter_configs *ret, const struct request *rq, struct arena *a)
{
	return alter_configs(ret, rq, a, false);
}

bool
q_incremental_alter_configs(struct q_alter_configs *ret, const struct request *rq, struct arena *a)
{
	return alter_configs(ret, rq, a, true);
}
