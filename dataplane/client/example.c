/* SPDX-License-Identifier: MIT
 * example.c - the smallest complete producer: kira_example TOPIC [BOOTSTRAP]. Sends ten records at level log,
 * prints where each was stored; exit 1 if one was not.   cc example.c $(pkg-config --cflags --libs kira) */
#include <kira/errors.h>
#include <kira/producer.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* On the producer's thread, once per record. */
static void
on_record(void *arg, void *opaque, int16_t error, int64_t offset)
{
	unsigned *failed = arg;

	if (error == 0)
		printf("%s: offset %" PRId64 "\n", (const char *)opaque, offset);
	else
		printf("%s: %s, %s\n", (const char *)opaque, kira_error_name(error), kira_error_meaning(error));
	*failed += error != 0;
}

int
main(int argc, char **argv)
{
	static char name[10][16];
	struct kira_producer_options o;
	struct kira_producer *p;
	struct kira_topic *t = NULL;
	char error[512] = "usage: kira_example TOPIC [BOOTSTRAP]";
	unsigned failed = 0;

	kira_producer_options_init(&o);
	o.bootstrap = argc > 2 ? argv[2] : o.bootstrap;
	o.on_record = on_record;
	o.arg = &failed;
	if (argc < 2 || kira_producer_open(&p, &o, error, sizeof(error)) < 0) {
		fprintf(stderr, "kira_example: %s\n", error);
		return 1;
	}
	if (kira_topic_open(p, argv[1], true, &t, error, sizeof(error)) < 0)
		fprintf(stderr, "kira_example: %s\n", error);
	for (int i = 0; t && i < 10; i++) {
		struct kira_record rec = {.partition = KIRA_PARTITION_ANY,
			.timestamp_ms = KIRA_TIMESTAMP_NOW, .value = name[i], .opaque = name[i]};
		int rc;

		rec.value_length = (uint32_t)snprintf(name[i], sizeof(name[i]), "record %d", i);
		rc = kira_produce(t, &rec);
		if (rc < 0)
			fprintf(stderr, "kira_example: %s: %s\n", name[i], strerror(-rc));
		failed += rc < 0;
	}
	/* What is not stored by then is told as failed. */
	(void)kira_producer_close(p, 10000);
	return t && failed == 0 ? 0 : 1;
}
