/* SPDX-License-Identifier: MIT
 * nic_hush.c - silent sockets on our UDP ports. See nic_hush.h.
 * Thread: main. Owns: the sockets. Never: reads from them; nothing arrives. */
#include "dataplane/nic_hush.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

static int
hush_one(const struct in6_addr *ip, uint16_t port)
{
	struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog filter = {.len = 1, .filter = &drop_all};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port),
		.sin6_addr = *ip};
	const bool is_v4 = neigh_is_v4(ip);
	const int one = 1;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	memcpy(&v4.sin_addr, &ip->s6_addr[12], 4);
	if (!is_v4)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	/* The filter first: a datagram between bind and filter would stay queued for ever. */
	rc = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
	if (rc == 0)
		rc = is_v4 ? bind(fd, (struct sockaddr *)&v4, sizeof(v4)) :
			     bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	if (rc < 0) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	return fd;
}

int
nic_hush_open(struct nic_hush *ret, const struct neigh *addresses, uint16_t first, unsigned n,
	struct err *err)
{
	ret->n = 0;
	for (unsigned i = 0; i < addresses->n; i++) {
		for (unsigned q = 0; q < n && ret->n < NIC_HUSH_MAX; q++) {
			const int fd = hush_one(&addresses->address[i].ip, (uint16_t)(first + q));

			if (fd < 0) {
				nic_hush_close(ret);
				return err_sys(err, fd, "bind UDP port %u of address %u: on "
					"afpacket `address` must be one of the interface's own",
					first + q, i + 1);
			}
			ret->fd[ret->n++] = fd;
		}
	}
	return 0;
}

void
nic_hush_close(struct nic_hush *h)
{
	while (h->n > 0)
		(void)close(h->fd[--h->n]);
}
