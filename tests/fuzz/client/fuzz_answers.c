/* SPDX-License-Identifier: MIT
 * fuzz_answers.c - a broker's answers to the few requests of a producer, but for OpenSession's, which has
 * a driver of its own. Input: byte 0 which one, byte 1 ignored, then the body of the response. */
#include "dataplane/client/client_kafka.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ckafka_versions versions;
	struct ckafka_metadata metadata;
	struct ckafka_producer_id id;
	struct ckafka_produced produced;
	struct reader r;
	uint8_t *body;

	if (size < 2)
		return 0;
	/* Memory of its own: AddressSanitizer sees one byte too far. */
	body = malloc(size - 2 + 1);
	if (!body)
		return 0;
	memcpy(body, data + 2, size - 2);
	switch (data[0] % 4) {
	case 0:
		r = kr_open(body, size - 2, false);
		(void)ckafka_decode_versions(&r, &versions);
		break;
	case 1:
		r = kr_open(body, size - 2, false);
		(void)ckafka_decode_metadata(&r, &metadata);
		break;
	case 2:
		r = kr_open(body, size - 2, true);
		(void)ckafka_decode_producer_id(&r, &id);
		break;
	case 3:
		r = kr_open(body, size - 2, false);
		(void)ckafka_decode_produced(&r, &produced);
		break;
	}
	free(body);
	return 0;
}
