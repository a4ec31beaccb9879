/* SPDX-License-Identifier: MIT
 * bug.h - BUG(n): is bug n of tests/README.md built in, on purpose, by -Dc_args=-DKIRA_BUG=n? To see
 * that a harness catches it. A constant false in every other build. */
#ifndef KIRA_BASE_BUG_H
#define KIRA_BASE_BUG_H

#ifndef KIRA_BUG
#define KIRA_BUG 0
#endif
#define BUG(n) (KIRA_BUG == (n))

#endif
