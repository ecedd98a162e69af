/* The threads of one lane: fork and join, without a queue.
 *
 * The caller of fg_team_run is thread 0; the team owns the others, which sleep between runs after a spin of
 * a few microseconds.
 *
 * Errors: FG_ENVIRONMENT from fg_team_open. Owner: who opens a team closes it. Thread: one caller at a time.
 * NULL: fg_team_close takes it; no other argument may be, but for a message. */
#ifndef FG_KERNELS_CPU_TEAM_H
#define FG_KERNELS_CPU_TEAM_H

#include "kernels/cpu/cpu.h"

#define FG_TEAM_THREADS 64

struct fg_team;

/* threads 1 to FG_TEAM_THREADS, the caller included. FG_ENVIRONMENT: no memory or no thread. */
FG_MUST_USE enum fg_status fg_team_open(uint32_t threads, struct fg_team **team, struct fg_message *message);
void fg_team_close(struct fg_team *team);

/* Task t on thread t % threads, ascending; returns when all have ended. One caller at a time. */
void fg_team_run(struct fg_team *team, uint32_t tasks, fg_cpu_task *task, void *argument);

#endif
