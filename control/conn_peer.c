/* SPDX-License-Identifier: MIT
 * conn_peer.c - who is on the other side of a connection, and whether there are too many of them.
 * Thread: control. */
#include "control/conn.h"

#include "control/log.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static struct log_limit full_house;

const char *
conn_peer(const struct conn *c, char ret[64])
{
	char text[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED(&c->peer)) {
		(void)inet_ntop(AF_INET, &c->peer.s6_addr[12], text, sizeof(text));
		(void)snprintf(ret, 64, "%s:%u", text, c->peer_port);
	} else {
		(void)inet_ntop(AF_INET6, &c->peer, text, sizeof(text));
		(void)snprintf(ret, 64, "[%s]:%u", text, c->peer_port);
	}
	return ret;
}

static void
take_address(const struct sockaddr_storage *from, struct in6_addr *ret, uint16_t *port)
{
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;

		*ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
		memcpy(&ret->s6_addr[12], &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
	} else {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)from;

		*ret = in->sin6_addr;
		*port = ntohs(in->sin6_port);
	}
}

bool
conn_addresses(struct conn *c, int fd)
{
	struct sockaddr_storage peer, local;
	socklen_t peer_length = sizeof(peer), local_length = sizeof(local);

	if (getpeername(fd, (struct sockaddr *)&peer, &peer_length) < 0 ||
		getsockname(fd, (struct sockaddr *)&local, &local_length) < 0)
		return false;
	take_address(&peer, &c->peer, &c->peer_port);
	take_address(&local, &c->local, &c->local_port);
	return true;
}

bool
conn_one_too_many(const struct conn *c, uint64_t now_ns)
{
	const struct control *ctl = c->ctl;
	unsigned same = 0;
	char text[64];

	for (const struct conn *other = ctl->conns; other; other = other->next)
		same += IN6_ARE_ADDR_EQUAL(&other->peer, &c->peer);
	if (ctl->conn_count < ctl->cfg->max_connections && same < ctl->cfg->max_connections_per_ip)
		return false;
	log_limited(&full_house, now_ns, LOG_LEVEL_WARN,
		"%s: refused: %u connections, %u of this address (max-connections, "
		"max-connections-per-ip)", conn_peer(c, text), ctl->conn_count, same);
	return true;
}
