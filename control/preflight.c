/* SPDX-License-Identifier: MIT
 * preflight.c - choose the device, judge paths and limits, raise the limit of open files.
 * Thread: main, before anything runs. Owns: nothing. Never: touches an interface that the kernel
 * uses; `auto` takes a NIC bound to a DPDK driver, or else a memif socket in the run folder. */
#include "control/preflight.h"

#include "control/limits.h"

#include "base/bits.h"
#include "control/listener.h"
#include "control/log.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Of ports that no cable leaves: in the loopback range, so that a datagram which a kernel socket
 * sends there by mistake cannot leave the host. */
#define MEMIF_ADDRESS "127.18.0.1/24"

static bool
is_dpdk_nic(const char *bdf)
{
	static const char *const drivers[] = {"vfio-pci", "igb_uio", "uio_pci_generic"};
	char path[PATH_MAX], target[PATH_MAX], class[16] = "";
	const char *name;
	ssize_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", bdf);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(class, sizeof(class), f))
		class[0] = 0;
	(void)fclose(f);
	if (strncmp(class, "0x0200", 6) != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = 0;
	name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	for (size_t i = 0; i < ARRAY_LENGTH(drivers); i++)
		if (strcmp(name, drivers[i]) == 0)
			return true;
	return false;
}

/* The one NIC bound to a DPDK driver: 0 none, 1 found, -EINVAL several. */
static int
find_nic(char *ret, size_t size, struct err *err)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *e;
	int found = 0;

	if (!dir)
		return 0;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || !is_dpdk_nic(e->d_name))
			continue;
		if (found++) {
			err_set(err, "--device auto: more than one NIC is bound to DPDK (%s, %s): name one",
				ret, e->d_name);
			(void)closedir(dir);
			return -EINVAL;
		}
		(void)snprintf(ret, size, "%s", e->d_name);
	}
	(void)closedir(dir);
	return found;
}

static int
choose_device(struct preflight *pf, const struct config *cfg, struct err *err)
{
	const char *path;
	int rc;

	(void)snprintf(pf->device, sizeof(pf->device), "%s", cfg->device);
	if (strcmp(cfg->device, "auto") == 0) {
		rc = find_nic(pf->device, sizeof(pf->device), err);
		if (rc < 0)
			return rc;
		if (rc == 0)
			(void)snprintf(pf->device, sizeof(pf->device), "memif:%s/memif.sock",
				pf->run_dir);
	}
	(void)snprintf(pf->address, sizeof(pf->address), "%s", cfg->address);
	if (!*pf->address && (strncmp(pf->device, "memif:", 6) == 0 || strcmp(pf->device, "null") == 0))
		(void)snprintf(pf->address, sizeof(pf->address), MEMIF_ADDRESS);
	if (!*pf->address) {
		err_set(err, "--address is missing: the address of the data port %s, as --address "
			"10.0.0.1/24", pf->device);
		return -EINVAL;
	}
	if (strncmp(pf->device, "memif:", 6) != 0)
		return 0;
	path = pf->device + 6;
	if (strcspn(path, ",") >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		err_set(err, "the memif socket %.*s has %zu bytes, a UNIX socket's path at most %zu: choose "
			"a shorter --data-dir, or name one with --device memif:/run/kira.sock",
			(int)strcspn(path, ","), path, strcspn(path, ","),
			sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return -EINVAL;
	}
	return 0;
}

static int
make_dir(const char *path, mode_t mode, struct err *err)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_sys(err, -errno, "make the directory %s", path);
	if (stat(path, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	if (!S_ISDIR(st.st_mode)) {
		err_set(err, "%s is not a directory", path);
		return -ENOTDIR;
	}
	return 0;
}

int
preflight(struct preflight *ret, const struct config *cfg, struct err *err)
{
	char real[PATH_MAX];
	uint16_t port = 0;
	int rc;

	*ret = (struct preflight){0};
	if (!*cfg->data_dir) {
		err_set(err, "--data-dir is missing: the directory that shall hold the log, as "
			"--data-dir /var/lib/kira");
		return -EINVAL;
	}
	if (cfg->udp_port % 16 != 0) {
		err_set(err, "udp-port = %d: a multiple of 16 is wanted", (int)cfg->udp_port);
		return -EINVAL;
	}
	if (cfg->request_memory < cfg->request_max) {
		err_set(err, "kafka-request-memory must hold at least one request of "
			"socket-request-max-bytes");
		return -EINVAL;
	}
	if (*cfg->advertised &&
		listener_split(cfg->advertised, ret->advertised_host, &port, err) < 0) {
		err_prefix(err, "--advertised ");
		return -EINVAL;
	}
	if (*cfg->advertised && !*ret->advertised_host) {
		err_set(err, "--advertised %s: a host that clients can reach is wanted", cfg->advertised);
		return -EINVAL;
	}
	ret->advertised_port = port;
	rc = make_dir(cfg->data_dir, 0755, err);
	if (rc < 0)
		return rc;
	if (!realpath(cfg->data_dir, real))
		return err_sys(err, -errno, "%s", cfg->data_dir);
	if (strlen(real) > sizeof(ret->data_dir) - 16) {
		err_set(err, "%s: path too long", cfg->data_dir);
		return -ENAMETOOLONG;
	}
	(void)snprintf(ret->data_dir, sizeof(ret->data_dir), "%s", real);
	(void)snprintf(ret->run_dir, sizeof(ret->run_dir), "%.*s/run",
		(int)sizeof(ret->run_dir) - 8, real);
	limits_raise(cfg);
	return choose_device(ret, cfg, err);
}

int
preflight_run_dir(const struct preflight *pf, struct err *err)
{
	return make_dir(pf->run_dir, 0755, err);
}
