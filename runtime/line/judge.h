/* The inference thread: it judges frames, and between parts loads bundles and runs self-tests.
 *
 * One job at a time. Who starts it learns from the descriptor that it has ended. The engine in use stays
 * until another is loaded whole and tested: a bundle that cannot be loaded changes nothing. Banks: the one in
 * use, and one to fill. */
#ifndef FG_RUNTIME_LINE_JUDGE_H
#define FG_RUNTIME_LINE_JUDGE_H

#include "runtime/engine/engine.h"

#define FG_JUDGE_BANKS 2

struct fg_judge_settings {
    struct fg_backend *backend;
    /* FG_JUDGE_BANKS banks, each for any of the bundles. device: NULL where it has no memory of its own. */
    struct fg_arena *arena, *device;
    int32_t max_width, max_height;
};

enum fg_job_kind { FG_JOB_JUDGE, FG_JOB_LOAD, FG_JOB_SELF_TEST };

struct fg_job {
    enum fg_job_kind kind;
    uint32_t part;         /* JUDGE: whose frame it is */
    struct fg_frame frame; /* JUDGE: stays lent until the job has ended */
    float threshold;       /* JUDGE */
    const char *path;      /* LOAD: the bundle; stays valid */
    uint16_t slot;         /* LOAD */
};

struct fg_job_result {
    enum fg_job_kind kind;
    uint32_t part;
    enum fg_status status;
    struct fg_message message; /* where status is not FG_OK */
    struct fg_judgement judgement;
};

struct fg_judge;

FG_MUST_USE enum fg_status fg_judge_open(const struct fg_judge_settings *settings, struct fg_judge **judge,
                                         struct fg_message *message);
/* Waits for the job under way, ends the thread, closes the engine. */
void fg_judge_close(struct fg_judge *judge);

/* Readable when a job has ended. */
int fg_judge_descriptor(const struct fg_judge *judge);
/* Starts a job. No job may be under way (of which the caller, its only user, keeps account). */
void fg_judge_start(struct fg_judge *judge, const struct fg_job *job);
/* The ended job's result; false when none has ended. */
bool fg_judge_result(struct fg_judge *judge, struct fg_job_result *result);

/* The engine in use and its slot; NULL before the first load. Not while a LOAD is under way. */
const struct fg_engine *fg_judge_engine(const struct fg_judge *judge);
uint16_t fg_judge_slot(const struct fg_judge *judge);

#endif
