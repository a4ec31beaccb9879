/* SPDX-License-Identifier: MIT
 * topic_name.h - which topic names are legal. Pure; any thread. */
#ifndef KIRA_CONTROL_TOPIC_NAME_H
#define KIRA_CONTROL_TOPIC_NAME_H

#include "base/reader.h"

/* 1-249 bytes of [a-zA-Z0-9._-], not "." or ".."; by an ASCII table, whatever the locale. */
bool topic_name_legal(struct view name);
/* Equal but for '.' and '_', which would collide in metrics, as in Kafka. */
bool topic_name_collides(struct view a, struct view b);
/* The same for names that collide. */
uint32_t topic_name_hash(struct view name);

/* Kafka's own topics, which only the part that needs them makes: no client does. */
bool topic_name_internal(struct view name);

#endif
