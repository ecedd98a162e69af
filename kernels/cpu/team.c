/* The threads of one lane: they wait for a run, and share its tasks. */
#include "kernels/cpu/team.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Looks before sleeping: about ten microseconds, as long as waking a sleeper takes. */
#define SPINS 300

struct worker {
    struct fg_team *team;
    uint32_t thread;
    pthread_t id;
};

struct fg_team {
    uint32_t threads, started;
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    atomic_uint run;     /* number of the current run; a worker starts when it moves */
    atomic_uint working; /* workers that have not ended the current run */
    bool quit;
    uint32_t tasks;
    fg_cpu_task *task;
    void *argument;
    struct worker worker[FG_TEAM_THREADS];
};

static void relax_core(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_own_tasks(const struct fg_team *team, uint32_t thread) {
    for (uint32_t t = thread; t < team->tasks; t += team->threads) {
        team->task(team->argument, t, thread);
    }
}

/* Returns when the run's number is no longer the one last seen. */
static void wait_for_run(struct fg_team *team, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&team->run) != seen) {
            return;
        }
        relax_core();
    }
    pthread_mutex_lock(&team->mutex);
    while (atomic_load(&team->run) == seen) {
        pthread_cond_wait(&team->work, &team->mutex);
    }
    pthread_mutex_unlock(&team->mutex);
}

static void *run_worker(void *argument) {
    const struct worker *worker = argument;
    struct fg_team *team = worker->team;
    for (unsigned seen = 0;; seen++) {
        wait_for_run(team, seen);
        if (team->quit) {
            return NULL;
        }
        run_own_tasks(team, worker->thread);
        if (atomic_fetch_sub(&team->working, 1) == 1) {
            pthread_mutex_lock(&team->mutex);
            pthread_cond_signal(&team->done);
            pthread_mutex_unlock(&team->mutex);
        }
    }
}

static void start_run(struct fg_team *team) {
    pthread_mutex_lock(&team->mutex);
    atomic_store(&team->working, team->started);
    atomic_fetch_add(&team->run, 1);
    pthread_cond_broadcast(&team->work);
    pthread_mutex_unlock(&team->mutex);
}

void fg_team_run(struct fg_team *team, uint32_t tasks, fg_cpu_task *task, void *argument) {
    team->tasks = tasks;
    team->task = task;
    team->argument = argument;
    if (team->threads == 1 || tasks < 2) {
        run_own_tasks(team, 0);
        return;
    }
    start_run(team);
    run_own_tasks(team, 0);
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&team->working) == 0) {
            return;
        }
        relax_core();
    }
    pthread_mutex_lock(&team->mutex);
    while (atomic_load(&team->working) > 0) {
        pthread_cond_wait(&team->done, &team->mutex);
    }
    pthread_mutex_unlock(&team->mutex);
}

enum fg_status fg_team_open(uint32_t threads, struct fg_team **result, struct fg_message *message) {
    assert(threads >= 1 && threads <= FG_TEAM_THREADS);
    struct fg_team *team = calloc(1, sizeof *team);
    if (!team) {
        return fg_fail(message, FG_ENVIRONMENT, "no memory for a team of %u threads", threads);
    }
    team->threads = threads;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->work, NULL);
    pthread_cond_init(&team->done, NULL);
    for (uint32_t t = 1; t < threads; t++) {
        struct worker *worker = &team->worker[t];
        *worker = (struct worker){.team = team, .thread = t};
        int error = pthread_create(&worker->id, NULL, run_worker, worker);
        if (error) {
            fg_team_close(team);
            return fg_fail_errno(message, FG_ENVIRONMENT, error,
                                 "cannot start thread %u of %u; give fewer threads", t, threads);
        }
        team->started++;
    }
    *result = team;
    return FG_OK;
}

void fg_team_close(struct fg_team *team) {
    if (!team) {
        return;
    }
    team->quit = true;
    start_run(team);
    for (uint32_t t = 1; t <= team->started; t++) {
        pthread_join(team->worker[t].id, NULL);
    }
    pthread_cond_destroy(&team->done);
    pthread_cond_destroy(&team->work);
    pthread_mutex_destroy(&team->mutex);
    free(team);
}
