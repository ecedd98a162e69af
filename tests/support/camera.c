/* The test camera: frames in buffers of its own, a pipe that is readable while one waits. */
#include "tests/support/camera.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define BUFFERS 16
#define PLANS 64

struct test_camera {
    struct fg_camera camera;
    pthread_mutex_t lock;
    int write_end;
    bool here, connected; /* the plug is in; it was opened since */
    int32_t width, height;
    test_draw draw;
    int pictures;
    enum test_frame plan[PLANS];
    uint32_t plans, planned; /* how many, and how many have been used */
    struct fg_camera_frame waiting[BUFFERS], delayed[BUFFERS], doubled;
    uint32_t waits, delays;
    bool double_next;
    bool used[BUFFERS]; /* a frame lies there */
    uint8_t *memory;    /* all buffers */
    uint32_t sequence;
    struct test_camera_counts counts;
};

static struct test_camera *lock_camera(struct fg_camera *camera) {
    struct test_camera *c = (struct test_camera *)camera;
    pthread_mutex_lock(&c->lock);
    return c;
}

static enum fg_status unlock_camera(struct test_camera *c, enum fg_status status) {
    pthread_mutex_unlock(&c->lock);
    return status;
}

static size_t buffer_bytes(const struct test_camera *c) {
    return (size_t)c->width * (size_t)c->height * 3;
}

/* A new frame in a free buffer. */
static struct fg_camera_frame expose(struct test_camera *c) {
    uint32_t buffer = 0;
    while (buffer < BUFFERS && c->used[buffer])
        buffer++;
    if (buffer == BUFFERS)
        abort();
    c->used[buffer] = true;
    uint8_t *pixels = c->memory + buffer * buffer_bytes(c);
    c->draw(pixels, (int)(c->sequence % (uint32_t)c->pictures));
    return (struct fg_camera_frame){.buffer = buffer,
                                    .pixels = pixels,
                                    .bytes = buffer_bytes(c),
                                    .format = FG_RGB8,
                                    .pitch = (size_t)c->width * 3,
                                    .width = c->width,
                                    .height = c->height,
                                    .sequence = ++c->sequence,
                                    .exposed_ns = fg_clock_ns(),
                                    .status = FG_FRAME_WHOLE};
}

static void put(struct test_camera *c, const struct fg_camera_frame *frame) {
    c->waiting[c->waits++] = *frame;
    if (write(c->write_end, "f", 1) != 1)
        abort();
}

static void forget_frames(struct test_camera *c) {
    char byte;
    while (read(c->camera.descriptor, &byte, 1) > 0)
        ;
    for (; c->waits; c->waits--)
        c->used[c->waiting[c->waits - 1].buffer] = false;
    for (; c->delays; c->delays--)
        c->used[c->delayed[c->delays - 1].buffer] = false;
    c->double_next = false;
}

static enum fg_status arm(struct fg_camera *camera, struct fg_message *message) {
    struct test_camera *c = lock_camera(camera);
    if (!c->here)
        return unlock_camera(c, fg_fail(message, FG_ENVIRONMENT, "test camera: gone"));
    forget_frames(c);
    c->sequence = 0;
    return unlock_camera(c, FG_OK);
}

static enum fg_status trigger(struct fg_camera *camera, struct fg_message *message) {
    struct test_camera *c = lock_camera(camera);
    c->counts.triggers++;
    if (!c->here || !c->connected)
        return unlock_camera(c, fg_fail(message, FG_ENVIRONMENT, "test camera: gone"));
    if (c->double_next) {
        c->doubled.exposed_ns = fg_clock_ns();
        put(c, &c->doubled);
        c->double_next = false;
    }
    struct fg_camera_frame frame = expose(c);
    const enum test_frame plan = c->planned < c->plans ? c->plan[c->planned++] : TEST_WHOLE;
    if (plan == TEST_DAMAGED)
        frame.status = FG_FRAME_DAMAGED;
    if (plan == TEST_LOST)
        c->used[frame.buffer] = false;
    else if (plan == TEST_DELAYED)
        c->delayed[c->delays++] = frame;
    else
        put(c, &frame);
    if (plan == TEST_DOUBLED) {
        const uint32_t sequence = frame.sequence;
        c->double_next = true;
        c->doubled = expose(c);
        memcpy(c->memory + c->doubled.buffer * buffer_bytes(c), frame.pixels, buffer_bytes(c));
        c->doubled.sequence = c->sequence = sequence;
    }
    return unlock_camera(c, FG_OK);
}

/* deadline_ns: the line only looks. */
static enum fg_status next(struct fg_camera *camera, int64_t deadline_ns, struct fg_camera_frame *frame,
                           struct fg_message *message) {
    (void)deadline_ns;
    struct test_camera *c = lock_camera(camera);
    char byte;
    c->counts.looks++;
    if (!c->here || !c->connected)
        return unlock_camera(c, fg_fail(message, FG_ENVIRONMENT, "test camera: gone"));
    if (!c->waits)
        return unlock_camera(c, fg_fail(message, FG_TIMEOUT, "test camera: no frame"));
    if (read(camera->descriptor, &byte, 1) != 1)
        abort();
    *frame = c->waiting[0];
    memmove(c->waiting, c->waiting + 1, --c->waits * sizeof *c->waiting);
    c->counts.lent++;
    return unlock_camera(c, FG_OK);
}

/* Whoever still looks at a frame that was given back sees that it is none. */
static void release(struct fg_camera *camera, const struct fg_camera_frame *frame) {
    struct test_camera *c = lock_camera(camera);
    assert(c->used[frame->buffer] && c->counts.lent);
    memset(c->memory + frame->buffer * buffer_bytes(c), 0, buffer_bytes(c));
    c->used[frame->buffer] = false;
    c->counts.lent--;
    unlock_camera(c, FG_OK);
}

static void make_pipe(struct test_camera *c) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        abort();
    c->camera.descriptor = ends[0];
    c->write_end = ends[1];
    c->connected = true;
}

static void close_pipe(struct test_camera *c) {
    close(c->camera.descriptor);
    if (c->write_end >= 0)
        close(c->write_end);
    c->write_end = -1;
    c->connected = false;
}

static enum fg_status reopen(struct fg_camera *camera, struct fg_message *message) {
    struct test_camera *c = lock_camera(camera);
    c->counts.reopens++;
    if (!c->here)
        return unlock_camera(c, fg_fail(message, FG_ENVIRONMENT, "test camera: still gone"));
    close_pipe(c);
    make_pipe(c);
    c->sequence = 0;
    return unlock_camera(c, FG_OK);
}

static void close_camera(struct fg_camera *camera) {
    struct test_camera *c = (struct test_camera *)camera;
    close_pipe(c);
    pthread_mutex_destroy(&c->lock);
    free(c->memory);
    free(c);
}

struct fg_camera *test_camera_open(int32_t width, int32_t height, test_draw draw, int pictures) {
    struct test_camera *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->camera = (struct fg_camera){.arm = arm,
                                   .trigger = trigger,
                                   .next = next,
                                   .release = release,
                                   .reopen = reopen,
                                   .close = close_camera};
    pthread_mutex_init(&c->lock, NULL);
    c->width = width;
    c->height = height;
    c->draw = draw;
    c->pictures = pictures;
    c->here = true;
    c->memory = calloc(BUFFERS, buffer_bytes(c));
    if (!c->memory)
        abort();
    make_pipe(c);
    return &c->camera;
}

void test_camera_plan(struct fg_camera *camera, enum test_frame frame) {
    struct test_camera *c = lock_camera(camera);
    assert(c->plans < PLANS);
    c->plan[c->plans++] = frame;
    unlock_camera(c, FG_OK);
}

void test_camera_deliver(struct fg_camera *camera) {
    struct test_camera *c = lock_camera(camera);
    for (uint32_t i = 0; i < c->delays; i++)
        put(c, &c->delayed[i]);
    c->delays = 0;
    unlock_camera(c, FG_OK);
}

void test_camera_vanish(struct fg_camera *camera) {
    struct test_camera *c = lock_camera(camera);
    c->here = c->connected = false;
    close(c->write_end);
    c->write_end = -1;
    unlock_camera(c, FG_OK);
}

void test_camera_return(struct fg_camera *camera) {
    struct test_camera *c = lock_camera(camera);
    c->here = true;
    unlock_camera(c, FG_OK);
}

struct test_camera_counts test_camera_count(struct fg_camera *camera) {
    struct test_camera *c = lock_camera(camera);
    const struct test_camera_counts counts = c->counts;
    unlock_camera(c, FG_OK);
    return counts;
}
