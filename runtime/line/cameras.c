/* Triggers the cameras, hands their frames to the parts, and tries those again that are gone. */
#include "runtime/line/cameras.h"

#include "runtime/base/log.h"
#include "runtime/line/faults.h"
#include "runtime/line/jobs.h"
#include "runtime/line/part.h"
#include "runtime/line/state.h"

/* Writes "camera TOP", or "camera" where there is one camera without a name. */
static const char *name_camera(const struct fg_line *l, uint32_t camera, char text[FG_CONFIG_NAME + 8]) {
    const char *name = l->s.config->camera[camera].name;
    snprintf(text, FG_CONFIG_NAME + 8, "camera%s%s", *name ? " " : "", name);
    return text;
}

void fg_cameras_report(struct fg_line *l, uint32_t camera, const char *what) {
    char name[FG_CONFIG_NAME + 8];
    fg_count(&l->show.counters.camera_errors);
    fg_faults_raise(l, FG_FAULT_CAMERA);
    fg_log(FG_LOG_ERROR, "%s: %s", name_camera(l, camera, name), what);
}

/* The time until the next try: twice as long as the last one, until the camera has given a frame. */
static int64_t find_wait(const struct fg_line_camera *c) {
    const int64_t wait_ns = c->wait_ns ? 2 * c->wait_ns : FG_CAMERA_FIRST_WAIT;
    return wait_ns < FG_CAMERA_LONGEST_WAIT ? wait_ns : FG_CAMERA_LONGEST_WAIT;
}

static void lose_camera(struct fg_line *l, uint32_t camera) {
    struct fg_line_camera *c = &l->camera[camera];
    c->gone = true;
    c->testing = c->tested = false;
    c->wait_ns = find_wait(c);
    c->retry_ns = fg_clock_ns() + c->wait_ns;
    fg_part_no_frame(l, camera);
}

/* Makes a camera ready: what it still has is no part's. */
static void arm_camera(struct fg_line *l, uint32_t camera) {
    struct fg_camera *device = l->s.camera[camera];
    struct fg_message message;
    l->camera[camera].counted = false;
    if (device->arm(device, &message) == FG_OK)
        return;
    fg_cameras_report(l, camera, message.text);
    lose_camera(l, camera);
}

void fg_cameras_arm(struct fg_line *l) {
    for (uint32_t i = 0; i < l->s.config->cameras; i++)
        arm_camera(l, i);
}

void fg_cameras_trigger(struct fg_line *l, uint32_t mask) {
    for (uint32_t i = 0; i < l->s.config->cameras; i++) {
        struct fg_camera *camera = l->s.camera[i];
        struct fg_message message;
        if (!(mask & 1u << i))
            continue;
        const enum fg_status status = camera->trigger(camera, &message);
        if (status == FG_OK)
            continue;
        fg_cameras_report(l, i, message.text);
        if (status == FG_ENVIRONMENT)
            lose_camera(l, i);
        else
            fg_part_no_frame(l, i);
    }
    /* A camera may have its frame at once, and then its descriptor need not be waited for. */
    for (uint32_t i = 0; i < l->s.config->cameras; i++)
        if (mask & 1u << i && !l->camera[i].gone)
            fg_cameras_take(l, i, false);
}

/* ---- The test ---- */

static void fail_test(struct fg_line *l, uint32_t camera, const char *why) {
    l->camera[camera].testing = false;
    fg_cameras_report(l, camera, why);
}

/* Judges a test's frame: it must be whole, and one that each view of the camera takes. */
static void end_test(struct fg_line *l, uint32_t camera, const struct fg_camera_frame *frame) {
    struct fg_line_camera *c = &l->camera[camera];
    const int64_t took_ns = fg_clock_ns() - c->asked_ns;
    struct fg_message message;
    char name[FG_CONFIG_NAME + 8];
    c->testing = false;
    if (frame->status != FG_FRAME_WHOLE) {
        fail_test(l, camera, "its test's frame is damaged");
        return;
    }
    for (uint32_t v = 0; v < l->s.config->views; v++) {
        const struct fg_config_view *view = &l->s.config->view[v];
        const struct fg_frame seen = fg_jobs_aim(view, frame);
        if (view->camera != camera ||
            fg_engine_accepts(fg_judge_engine(l->s.judge, v), &seen, &message) == FG_OK)
            continue;
        fg_faults_raise(l, FG_FAULT_SELF_TEST);
        fg_log(FG_LOG_ERROR, "%s: test: %s", name_camera(l, camera, name), message.text);
        return;
    }
    c->tested = true;
    l->exposure_ns = took_ns > l->exposure_ns ? took_ns : l->exposure_ns;
}

static void begin_test(struct fg_line *l, uint32_t camera) {
    struct fg_line_camera *c = &l->camera[camera];
    struct fg_message message;
    c->testing = true;
    c->asked_ns = fg_clock_ns();
    const enum fg_status status = l->s.camera[camera]->trigger(l->s.camera[camera], &message);
    if (status == FG_OK) {
        fg_cameras_take(l, camera, false);
    } else {
        fail_test(l, camera, message.text);
        if (status == FG_ENVIRONMENT)
            lose_camera(l, camera);
    }
}

void fg_cameras_test(struct fg_line *l) {
    for (uint32_t i = 0; i < l->s.config->cameras; i++) {
        const struct fg_line_camera *c = &l->camera[i];
        if (l->loaded && !fg_jobs_loading(l) && !c->gone && !c->testing && !c->tested)
            begin_test(l, i);
    }
}

bool fg_cameras_testing(const struct fg_line *l) {
    for (uint32_t i = 0; i < l->s.config->cameras; i++)
        if (l->camera[i].testing)
            return true;
    return false;
}

bool fg_cameras_tested(const struct fg_line *l) {
    for (uint32_t i = 0; i < l->s.config->cameras; i++)
        if (!l->camera[i].tested)
            return false;
    return true;
}

int64_t fg_cameras_exposure(const struct fg_line *l) {
    return l->exposure_ns;
}

/* ---- Frames ---- */

void fg_cameras_take(struct fg_line *l, uint32_t camera, bool dead) {
    struct fg_line_camera *c = &l->camera[camera];
    struct fg_camera *device = l->s.camera[camera];
    struct fg_message message;
    struct fg_camera_frame frame;
    enum fg_status status;
    while ((status = device->next(device, 0, &frame, &message)) == FG_OK) {
        const bool again = c->counted && frame.sequence == c->sequence; /* the camera gave it before */
        c->counted = true;
        c->wait_ns = 0;
        c->sequence = frame.sequence;
        if (c->testing && frame.exposed_ns >= c->asked_ns) {
            end_test(l, camera, &frame);
            device->release(device, &frame);
            arm_camera(l, camera);
        } else if (again || !fg_part_frame(l, camera, &frame)) {
            device->release(device, &frame);
        }
    }
    if (status == FG_TIMEOUT && !dead)
        return;
    fg_cameras_report(l, camera, status == FG_TIMEOUT ? "its descriptor is dead" : message.text);
    lose_camera(l, camera);
}

bool fg_cameras_gone(const struct fg_line *l) {
    for (uint32_t i = 0; i < l->s.config->cameras; i++)
        if (l->camera[i].gone)
            return true;
    return false;
}

/* When something is due with a camera; INT64_MAX: never. */
static int64_t find_due(const struct fg_line_camera *c) {
    return c->gone ? c->retry_ns : c->testing ? c->asked_ns + FG_CAMERA_TEST : INT64_MAX;
}

int64_t fg_cameras_due(const struct fg_line *l) {
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < l->s.config->cameras; i++)
        due = find_due(&l->camera[i]) < due ? find_due(&l->camera[i]) : due;
    return due;
}

static void retry_camera(struct fg_line *l, uint32_t camera, int64_t now_ns) {
    struct fg_line_camera *c = &l->camera[camera];
    struct fg_camera *device = l->s.camera[camera];
    struct fg_message message;
    char name[FG_CONFIG_NAME + 8];
    enum fg_status status = device->reopen(device, &message);
    if (status == FG_OK)
        status = device->arm(device, &message);
    if (status == FG_OK) {
        *c = (struct fg_line_camera){.wait_ns = c->wait_ns};
        fg_log(FG_LOG_INFO, "%s: it is back", name_camera(l, camera, name));
        fg_cameras_test(l);
        return;
    }
    fg_faults_raise(l, FG_FAULT_CAMERA);
    c->wait_ns = find_wait(c);
    c->retry_ns = now_ns + c->wait_ns;
}

void fg_cameras_retry(struct fg_line *l, int64_t now_ns) {
    for (uint32_t i = 0; i < l->s.config->cameras; i++) {
        if (find_due(&l->camera[i]) > now_ns)
            continue;
        if (l->camera[i].gone)
            retry_camera(l, i, now_ns);
        else
            fail_test(l, i, "it gave no frame when it was tested");
    }
}
