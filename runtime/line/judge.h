/* The judge: the thread that runs engines for the line. It judges frames, and between parts loads bundles and
 * runs self-tests.
 *
 * One job at a time. Who starts it learns from the descriptor that it has ended. There is one engine for each
 * view; those in use stay until all of another slot are loaded whole and tested: bundles that cannot be
 * loaded change nothing. Banks: one for each view, and as many again to fill where there is more than one
 * slot.
 *
 * Errors: FG_ENVIRONMENT from opening, for memory, a descriptor or a thread; a job's failure stands in its
 * result. Owner: who opens a judge closes it; backend and arenas are the caller's and must outlive it.
 * Thread: one, which starts every job and takes its result; the engines run on the judge's own thread. NULL:
 * fg_judge_close takes it; no other argument may be, but for a message. */
#ifndef FG_RUNTIME_LINE_JUDGE_H
#define FG_RUNTIME_LINE_JUDGE_H

#include "runtime/engine/engine.h"
#include "runtime/line/drift.h"
#include "runtime/line/sink.h"
#include "runtime/modbus/registers.h"

struct fg_judge_settings {
    struct fg_backend *backend;
    /* Banks for any of the bundles, those of a set of views side by side. device: NULL where it has no memory
     * of its own. */
    struct fg_arena *arena, *device;
    uint32_t views;                                    /* 1 to FG_VIEWS */
    int32_t max_width[FG_VIEWS], max_height[FG_VIEWS]; /* pixels of the largest frame that each view judges */
};

enum fg_job_kind { FG_JOB_JUDGE, FG_JOB_LOAD, FG_JOB_SELF_TEST, FG_JOB_KEEP };

struct fg_job {
    enum fg_job_kind kind;
    uint32_t part, view;              /* JUDGE, KEEP: the part and the view that the frame is of */
    struct fg_frame frame;            /* JUDGE: stays lent until the job has ended */
    float threshold;                  /* JUDGE: the threshold of the view */
    const char *path[FG_VIEWS];       /* LOAD: the bundle of each view; valid until the job has ended */
    uint16_t slot;                    /* LOAD: the slot of these bundles */
    struct fg_frame sample[FG_VIEWS]; /* LOAD: region and rotation of each view's frames */
    struct fg_drift *drift;           /* LOAD: {views}; the judge begins each with its bundle's pictures */
    const struct fg_sink *sink;       /* KEEP: gets the picture */
    /* KEEP: stays valid until the job has ended; the judge adds the bundle, and the map where judged. */
    struct fg_sink_picture picture;
    bool judged; /* KEEP: the view's engine has judged this part last */
};

struct fg_job_result {
    enum fg_job_kind kind;
    uint32_t part, view; /* LOAD and SELF_TEST: the view that failed */
    float threshold;     /* JUDGE: the job's */
    int64_t judge_ns;    /* LOAD: what all views take to judge their frames of a part */
    enum fg_status status;
    struct fg_message message; /* where status is not FG_OK */
    struct fg_judgement judgement;
};

struct fg_judge;

FG_MUST_USE enum fg_status fg_judge_open(const struct fg_judge_settings *settings, struct fg_judge **judge,
                                         struct fg_message *message);
/* Waits for the job under way, ends the thread, closes the engines. NULL is allowed. */
void fg_judge_close(struct fg_judge *judge);

/* Readable when a job has ended. */
int fg_judge_descriptor(const struct fg_judge *judge);
/* Starts a job. None may be under way: the caller keeps account of it. */
void fg_judge_start(struct fg_judge *judge, const struct fg_job *job);
/* The ended job's result; false when none has ended. */
bool fg_judge_result(struct fg_judge *judge, struct fg_job_result *result);

/* The engine that a view uses; NULL before the first load. Not to be called while a LOAD is under way. */
const struct fg_engine *fg_judge_engine(const struct fg_judge *judge, uint32_t view);
/* The slot that the engines in use are of. Not to be called while a LOAD is under way. */
uint16_t fg_judge_slot(const struct fg_judge *judge);

#endif
