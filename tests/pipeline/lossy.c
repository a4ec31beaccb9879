/* SPDX-License-Identifier: MIT
 * lossy.c - LD_PRELOAD for kira produce: loses, doubles and delays datagrams between libkira and the
 * kernel, in both directions; for machines whose kernel has no netem. At exit a line on stderr says how
 * many. KIRA_LOSS is the share (0..1), KIRA_SEED the seed.
 * Thread: libkira's I/O thread is the only one that sends and receives datagrams. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BURST_MAX 512
#define LATE_MAX  12 /* datagrams that overtake one that was held back */

static double loss = -1;
static unsigned seed;
static unsigned long lost, doubled, late;
static struct {
	char p[9000];
	size_t n;
	int fd;
	unsigned left;
} held = {.fd = -1};

__attribute__((destructor)) static void
report(void)
{
	if (loss >= 0)
		fprintf(stderr, "lossy: lost %lu doubled %lu late %lu\n", lost, doubled, late);
}

static int
hit(double share)
{
	if (loss < 0) {
		const char *text = getenv("KIRA_LOSS"), *start = getenv("KIRA_SEED");

		loss = text ? strtod(text, NULL) : 0;
		seed = start ? (unsigned)strtoul(start, NULL, 10) : 1;
	}
	return (double)rand_r(&seed) / RAND_MAX < share * loss;
}

static int
hold_back(int fd, const struct mmsghdr *m)
{
	const struct iovec *v = m->msg_hdr.msg_iov;

	if (held.fd >= 0 || v->iov_len > sizeof(held.p) || !hit(1))
		return 0;
	memcpy(held.p, v->iov_base, v->iov_len);
	held.n = v->iov_len;
	held.fd = fd;
	held.left = 1 + (unsigned)rand_r(&seed) % LATE_MAX;
	late++;
	return 1;
}

/* A burst that the kernel would cut (UDP GSO): cut here, so that its datagrams are lost one by one. A
 * piece shorter than the size is followed by its padding, which is left out. */
static void
cut(int fd, const struct msghdr *h)
{
	uint16_t size;

	memcpy(&size, CMSG_DATA(CMSG_FIRSTHDR(h)), sizeof(size));
	for (size_t i = 0; i < h->msg_iovlen; i++) {
		const struct iovec *v = &h->msg_iov[i];

		if (hit(1))
			lost++;
		else
			(void)!send(fd, v->iov_base, v->iov_len, MSG_DONTWAIT);
		i += v->iov_len < size;
	}
}

int __attribute__((visibility("default")))
sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	static int (*real)(int, struct mmsghdr *, unsigned, int);
	static struct mmsghdr out[BURST_MAX];
	unsigned k = 0;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sendmmsg");
	for (unsigned i = 0; i < n && k + 2 <= BURST_MAX; i++) {
		if (m[i].msg_hdr.msg_controllen > 0) {
			cut(fd, &m[i].msg_hdr);
			continue;
		}
		if (hit(1)) {
			lost++;
			continue;
		}
		if (hold_back(fd, &m[i]))
			continue;
		out[k++] = m[i];
		if (hit(0.5)) {
			out[k++] = m[i];
			doubled++;
		}
	}
	for (unsigned at = 0; at < k;) {
		const int sent = real(fd, out + at, k - at, flags);

		if (sent <= 0)
			break;
		at += (unsigned)sent;
	}
	if (held.fd == fd && held.left <= k) {
		(void)!send(fd, held.p, held.n, MSG_DONTWAIT);
		held.fd = -1;
	} else if (held.fd == fd) {
		held.left -= k;
	}
	return (int)n;
}

int __attribute__((visibility("default")))
recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
	static int (*real)(int, struct mmsghdr *, unsigned, int, struct timespec *);
	int got;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "recvmmsg");
	got = real(fd, m, n, flags, timeout);
	for (int i = 0; i < got; i++) {
		if (hit(1)) {
			/* Foreign to the receiver: as if it had not come. */
			memset(m[i].msg_hdr.msg_iov->iov_base, 0, m[i].msg_len);
			lost++;
		}
	}
	return got;
}
