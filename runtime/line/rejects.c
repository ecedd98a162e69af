/* The reject queue: two threads meet in one atomic exchange for each part. */
#include "runtime/line/rejects.h"

int32_t fg_rejects_add(struct fg_rejects *rejects, int64_t point_ns, int64_t pulse_ns, int64_t now_ns) {
    if (now_ns >= point_ns)
        return -1;
    for (int32_t i = 0; i < FG_REJECTS; i++) {
        struct fg_reject *r = &rejects->part[i];
        if (atomic_load_explicit(&r->permission, memory_order_acquire) != FG_PERMISSION_FREE)
            continue;
        r->point_ns = point_ns;
        r->pulse_ns = pulse_ns;
        atomic_store_explicit(&r->permission, FG_PERMISSION_NONE, memory_order_release);
        return i;
    }
    return -1;
}

bool fg_rejects_room(const struct fg_rejects *rejects) {
    for (int32_t i = 0; i < FG_REJECTS; i++)
        if (atomic_load_explicit(&rejects->part[i].permission, memory_order_relaxed) == FG_PERMISSION_FREE)
            return true;
    return false;
}

bool fg_rejects_covers(enum fg_reason reason) {
    return reason != FG_REASON_NOT_FINITE && reason != FG_REASON_NOT_VERIFIED &&
           reason != FG_REASON_DEVICE_LOST && reason != FG_REASON_UNLIKE_TRAINING;
}

bool fg_rejects_permit(struct fg_rejects *rejects, int32_t place, enum fg_verdict verdict, bool covered) {
    struct fg_reject *r = &rejects->part[place];
    const uint32_t permission = verdict == FG_PASS     ? FG_PERMISSION_PASS
                                : verdict == FG_DEFECT ? FG_PERMISSION_DEFECT
                                : covered              ? FG_PERMISSION_INOPERATIVE
                                                       : FG_PERMISSION_UNCOVERED;
    uint32_t none = FG_PERMISSION_NONE;
    if (atomic_compare_exchange_strong(&r->permission, &none, permission))
        return true;
    /* The actuation lets the line free a part that it took, so that the place is not given away in
     * between. */
    atomic_store_explicit(&r->permission, FG_PERMISSION_FREE, memory_order_release);
    return false;
}

static bool must_reject(uint32_t permission, enum fg_inoperative_rule rule) {
    return permission == FG_PERMISSION_DEFECT || permission == FG_PERMISSION_UNCOVERED ||
           (permission != FG_PERMISSION_PASS && rule != FG_RULE_PASS);
}

bool fg_rejects_due(const struct fg_rejects *rejects, enum fg_inoperative_rule rule) {
    for (int i = 0; i < FG_REJECTS; i++) {
        const uint32_t permission = atomic_load(&rejects->part[i].permission);
        if (permission != FG_PERMISSION_FREE && permission != FG_PERMISSION_TAKEN &&
            must_reject(permission, rule))
            return true;
    }
    return false;
}

/* Decides one part at its point. */
static void decide_part(struct fg_reject *r, enum fg_inoperative_rule rule, int64_t now_ns,
                        struct fg_actuation *a) {
    const int64_t pulse_ns = r->pulse_ns, late_ns = now_ns - r->point_ns;
    uint32_t none = FG_PERMISSION_NONE;
    uint32_t permission = FG_PERMISSION_NONE;
    if (!atomic_compare_exchange_strong(&r->permission, &none, FG_PERMISSION_TAKEN)) {
        permission = none;
        atomic_store_explicit(&r->permission, FG_PERMISSION_FREE, memory_order_release);
    }
    if (!must_reject(permission, rule))
        return;
    if (permission != FG_PERMISSION_DEFECT && rule == FG_RULE_STOP)
        a->stop = true;
    if (late_ns > pulse_ns && late_ns > FG_REJECT_TARDY)
        a->missed++;
    const int64_t off_ns = now_ns + pulse_ns;
    a->off_ns = off_ns > a->off_ns ? off_ns : a->off_ns;
}

void fg_rejects_decide(struct fg_rejects *rejects, enum fg_inoperative_rule rule, int64_t now_ns,
                       struct fg_actuation *actuation) {
    actuation->stop = actuation->decided = false;
    actuation->missed = 0;
    actuation->next_ns = INT64_MAX;
    for (int i = 0; i < FG_REJECTS; i++) {
        struct fg_reject *r = &rejects->part[i];
        const uint32_t permission = atomic_load_explicit(&r->permission, memory_order_acquire);
        if (permission == FG_PERMISSION_FREE || permission == FG_PERMISSION_TAKEN)
            continue;
        const int64_t point_ns = r->point_ns;
        if (now_ns >= point_ns) {
            decide_part(r, rule, now_ns, actuation);
            actuation->decided = true;
        } else if (point_ns < actuation->next_ns) {
            actuation->next_ns = point_ns;
        }
    }
    actuation->reject = now_ns < actuation->off_ns;
    if (actuation->reject && actuation->off_ns < actuation->next_ns)
        actuation->next_ns = actuation->off_ns;
}
