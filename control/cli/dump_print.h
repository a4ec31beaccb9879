/* SPDX-License-Identifier: MIT
 * dump_print.h - what kira dump found, as lines of text or as JSON, an object per line. Thread: main. */
#ifndef KIRA_DUMP_PRINT_H
#define KIRA_DUMP_PRINT_H

#include "storage/inspect.h"

#include <stdio.h>

struct print {
	FILE *to;
	bool json, records;
	const char *file; /* the one that is printed now */
};

void print_file(struct print *p, const char *path);
void print_finding(struct print *p, const struct inspect_finding *f);
/* And its records, if asked. False: they are no records, which was said. */
bool print_batch(struct print *p, const struct inspect_batch *b);
void print_index(struct print *p, const uint8_t *bytes, size_t n, bool times, int64_t base);
void print_snapshot(struct print *p, const uint8_t *bytes, size_t n); /* whole and right */
void print_checkpoint(struct print *p, const struct checkpoint_file *cp);
void print_text_file(struct print *p, const char *text, size_t n);
void print_end(struct print *p, const struct inspect *in);

/* Valid UTF-8: in quotes, escaped as JSON has it. Else hex:00ff, in quotes for JSON. */
void print_bytes(FILE *to, bool json, const uint8_t *bytes, size_t n);

#endif
