/* SPDX-License-Identifier: MIT
 * interleave_threads.c - coroutines, and which labels met. See interleave.h. */
#include "tests/sim/interleave.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define STACK_BYTES (256 * 1024)

const char *const actor_name[ACTORS] = {"lcore", "flush", "jobs", "rx", "control"};
static const char *const label_name[HOOK_N] = {
#define X(label) #label,
	HOOK_LABELS(X)
#undef X
};

static struct thread {
	ucontext_t context;
	void (*turn)(void);
	bool in_turn;
	enum hook_label at; /* stopped before this */
	uint8_t *stack;
} thread[ACTORS];
static ucontext_t scheduler;
static struct thread *running;
static struct sim_random dice;
static uint64_t one_in; /* labels at which it stops */
static uint64_t met[ACTORS][HOOK_N][ACTORS]; /* bits: labels passed by the last, while the first stood at .. */
static uint64_t seen[ACTORS];

/* Sanitizers must know of another stack; gcc's macro. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
static const void *main_stack;
static size_t main_bytes;
#define LEAVE(to, bytes) void *fake; __sanitizer_start_switch_fiber(&fake, to, bytes)
#define ARRIVED() __sanitizer_finish_switch_fiber(fake, &main_stack, &main_bytes)
#define FIRST() __sanitizer_finish_switch_fiber(NULL, &main_stack, &main_bytes)
#define BACK() __sanitizer_finish_switch_fiber(fake, NULL, NULL)
#else
static const void *const main_stack;
static const size_t main_bytes;
#define LEAVE(to, bytes) ((void)(to), (void)(bytes))
#define ARRIVED() ((void)0)
#define FIRST() ((void)0)
#define BACK() ((void)0)
#endif

static void
stop(struct thread *t)
{
	LEAVE(main_stack, main_bytes);
	running = NULL;
	(void)swapcontext(&t->context, &scheduler);
	ARRIVED();
}

void
hook(enum hook_label at)
{
	struct thread *t = running;

	if (!t || one_in == 0)
		return;
	seen[t - thread] |= (uint64_t)1 << at;
	for (unsigned a = 0; a < ACTORS; a++)
		if (&thread[a] != t && thread[a].in_turn)
			met[a][thread[a].at][t - thread] |= (uint64_t)1 << at;
	if (sim_random(&dice, one_in))
		return;
	t->at = at;
	stop(t);
}

static void
loop(void)
{
	FIRST();
	for (;;) {
		struct thread *t = running;

		t->turn();
		t->in_turn = false;
		stop(t);
	}
}

void
actors_begin(void (*const turn[ACTORS])(void), uint64_t seed)
{
	dice.state = seed;
	one_in = UINT64_C(1) << sim_random(&dice, 5);
	for (unsigned a = 0; a < ACTORS; a++) {
		struct thread *t = &thread[a];

		if (!t->stack)
			t->stack = malloc(STACK_BYTES);
		ASSERT(t->stack && getcontext(&t->context) == 0);
		t->turn = turn[a];
		t->in_turn = false;
		t->context.uc_stack.ss_sp = t->stack;
		t->context.uc_stack.ss_size = STACK_BYTES;
		t->context.uc_link = NULL;
		makecontext(&t->context, loop, 0);
	}
}

void
actor_go_on(enum actor a)
{
	ASSERT(!running);
	running = &thread[a];
	running->in_turn = true;
	{
		LEAVE(thread[a].stack, STACK_BYTES);
		(void)swapcontext(&scheduler, &thread[a].context);
		BACK();
	}
}

bool
actor_in_turn(enum actor a)
{
	return thread[a].in_turn;
}

void
actors_finish_turns(void)
{
	one_in = 0;
	for (unsigned a = 0; a < ACTORS; a++)
		if (thread[a].in_turn)
			actor_go_on((enum actor)a);
}

unsigned
actors_pairs(unsigned *of, bool tell)
{
	unsigned n = 0;

	*of = 0;
	for (unsigned a = 0; a < ACTORS; a++)
		for (unsigned b = 0; b < ACTORS; b++)
			for (unsigned x = 0; x < HOOK_N && a != b; x++)
				for (unsigned y = 0; y < HOOK_N; y++) {
					const bool met_it = met[a][x][b] >> y & 1;

					if (!(seen[a] >> x & 1) || !(seen[b] >> y & 1))
						continue;
					(*of)++;
					n += met_it;
					if (tell && !met_it)
						printf("never: %s at %s, %s at %s\n", actor_name[a],
							label_name[x], actor_name[b], label_name[y]);
				}
	return n;
}
