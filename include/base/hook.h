/* SPDX-License-Identifier: MIT
 * hook.h - HOOK(E1): here, before the access that storage/README.md labels E1, another thread may come
 * between. Nothing at all, but in a program built with -DKIRA_HOOKS (tests/sim/interleave.c), which
 * then runs other threads' turns from here. Never within a sequence lock's write or a mutex: who
 * spins on them would spin for ever on one thread. */
#ifndef KIRA_BASE_HOOK_H
#define KIRA_BASE_HOOK_H

#ifdef KIRA_HOOKS
#define HOOK_LABELS(X) \
	X(E1) X(E2) X(I1) X(I2) X(U1) X(U2) X(R1) X(R2) X(A1) X(A2) X(N1) X(N2) X(F1) X(F2) X(T1) X(T2) \
	X(K1) X(K2) X(K3) X(K4) X(W1) X(W2) X(Z1) X(Z2) X(D1) X(D2) X(L1) X(L2) X(O1) X(O2) X(X1) X(X2)
enum hook_label {
#define X(label) HOOK_##label,
	HOOK_LABELS(X)
#undef X
	HOOK_N,
};
void hook(enum hook_label at);
#define HOOK(label) hook(HOOK_##label)
#else
#define HOOK(label) ((void)0)
#endif

#endif
