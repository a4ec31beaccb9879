/* SPDX-License-Identifier: MIT
 * kira_dpdk_compat.h - every difference between DPDK 22.11 (Debian 12) and later releases that our
 * code meets. Nothing else in the tree asks for RTE_VERSION. */
#ifndef KIRA_DATAPLANE_COMPAT_H
#define KIRA_DATAPLANE_COMPAT_H

#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "Kira needs DPDK 22.11 or newer"
#endif

/* 24.11 gave IPv6 addresses a struct of their own; ours are 16 plain bytes everywhere (rx_parse.h),
 * and `__rte_packed` came to be deprecated: wire layouts are byte offsets (base/bytes.h), never
 * packed structs. So the parsers include no DPDK header at all. */

/* rte_cycles.h has an NS_PER_S of its own, a double: ours (base/clock.h) is meant wherever both are
 * seen. Headers of ours that bring DPDK in include this one first. */
#include <rte_cycles.h>
#undef NS_PER_S

/* The thread that runs driver interrupts was renamed in 23.11. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
#define COMPAT_INTR_THREAD "dpdk-intr"
#else
#define COMPAT_INTR_THREAD "eal-intr-thread"
#endif

#include "base/clock.h"

#endif
