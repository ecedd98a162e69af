/* Derives what each step waits for, asks the backend for its needs, and gives activations their places. */
#include "runtime/network/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct fg_plan {
    struct fg_program program;
    struct fg_tensor *tensor;
    uint32_t tensors, tensor_room, step_room;
    bool *keep;       /* [tensor] read after the run */
    uint32_t *first;  /* [tensor] step that makes it */
    uint64_t *before; /* [step][words] steps that have ended whenever this one begins */
    uint64_t *uses;   /* [tensor][words] steps that touch it */
    uint32_t words;
    bool overrun; /* more was added than there is room for, so finish refuses */
};

const char *fg_operator_name(enum fg_operator op) {
#define NAME(constant, name) [FG_##constant] = #name,
    static const char *const names[FG_OPERATORS] = {FG_OPERATOR_TABLE(NAME)};
#undef NAME
    assert(op < FG_OPERATORS);
    return names[op];
}

enum fg_status fg_plan_open(uint32_t tensors, uint32_t steps, uint32_t lanes, struct fg_plan **plan,
                            struct fg_message *message) {
    assert(tensors && steps && lanes >= 1 && lanes <= FG_MAX_LANES);
    struct fg_plan *p = calloc(1, sizeof *p);
    if (p) {
        p->tensor_room = tensors;
        p->step_room = steps;
        p->words = (steps + 63) / 64;
        p->program.lanes = lanes;
        p->tensor = calloc(tensors, sizeof *p->tensor);
        p->program.step = calloc(steps, sizeof *p->program.step);
        p->keep = calloc(tensors, sizeof *p->keep);
        p->first = calloc(tensors, sizeof *p->first);
        p->before = calloc((size_t)steps * p->words, sizeof *p->before);
        p->uses = calloc((size_t)tensors * p->words, sizeof *p->uses);
    }
    if (!p || !p->tensor || !p->program.step || !p->keep || !p->first || !p->before || !p->uses) {
        fg_plan_close(p);
        return fg_fail(message, FG_ENVIRONMENT, "plan: no memory for %u tensors and %u steps", tensors,
                       steps);
    }
    *plan = p;
    return FG_OK;
}

void fg_plan_close(struct fg_plan *plan) {
    if (!plan)
        return;
    free(plan->tensor);
    free(plan->program.step);
    free(plan->keep);
    free(plan->first);
    free(plan->before);
    free(plan->uses);
    free(plan);
}

static uint32_t find_index(const struct fg_plan *plan, const struct fg_tensor *tensor) {
    assert(tensor >= plan->tensor && tensor < plan->tensor + plan->tensors);
    return (uint32_t)(tensor - plan->tensor);
}

const struct fg_tensor *fg_plan_tensor_at(struct fg_plan *plan, const struct fg_tensor *tensor) {
    if (plan->tensors == plan->tensor_room) {
        plan->overrun = true;
        plan->tensors--;
    }
    struct fg_tensor *t = &plan->tensor[plan->tensors++];
    *t = *tensor;
    size_t end = t->offset + fg_size_align(fg_tensor_bytes(t));
    if (end > plan->program.bytes[t->segment])
        plan->program.bytes[t->segment] = end;
    return t;
}

const struct fg_tensor *fg_plan_tensor(struct fg_plan *plan, enum fg_segment segment, enum fg_dtype dtype,
                                       int32_t n, int32_t h, int32_t w, int32_t c) {
    struct fg_tensor t = {.dtype = dtype, .n = n, .h = h, .w = w, .c = c, .segment = segment};
    if (segment != FG_SEGMENT_ACTIVATIONS && segment != FG_SEGMENT_FRAME)
        t.offset = plan->program.bytes[segment];
    return fg_plan_tensor_at(plan, &t);
}

void fg_plan_set_frame(struct fg_plan *plan, const struct fg_tensor *frame, int32_t h, int32_t w, int32_t c) {
    struct fg_tensor *t = &plan->tensor[find_index(plan, frame)];
    assert(t->segment == FG_SEGMENT_FRAME);
    t->h = h;
    t->w = w;
    t->c = c;
}

void fg_plan_keep(struct fg_plan *plan, const struct fg_tensor *tensor) {
    plan->keep[find_index(plan, tensor)] = true;
}

void fg_plan_key(struct fg_plan *plan, uint64_t key) {
    plan->program.key = key;
}

struct fg_step *fg_plan_step(struct fg_plan *plan, const struct fg_step *step, uint32_t branch) {
    if (plan->program.steps == plan->step_room) {
        plan->overrun = true;
        plan->program.steps--;
    }
    struct fg_step *s = &plan->program.step[plan->program.steps++];
    *s = *step;
    s->lane = branch % plan->program.lanes;
    return s;
}

/* Operands of a step, split by what it does to them. A tensor that is changed in place is in both lists. Both
 * have room for all that operands_of could add. */
struct operands {
    const struct fg_tensor *read[2 * (FG_MAX_IN + FG_MAX_PARAM + FG_MAX_OUT)];
    const struct fg_tensor *write[FG_MAX_IN + 2 * FG_MAX_PARAM + FG_MAX_OUT];
    uint32_t reads, writes;
};

static void add_operand(const struct fg_tensor **list, uint32_t *count, const struct fg_tensor *tensor) {
    if (tensor)
        list[(*count)++] = tensor;
}

static struct operands list_operands(const struct fg_step *step) {
    struct operands o = {.reads = 0};
    const bool backward = step->pass == FG_BACKWARD;
    for (int i = 0; i < FG_MAX_IN; i++) {
        add_operand(o.read, &o.reads, step->in[i]);
        if (step->accumulate >> i & 1)
            add_operand(o.read, &o.reads, step->d_in[i]);
        add_operand(o.write, &o.writes, step->d_in[i]);
    }
    for (int i = 0; i < FG_MAX_PARAM; i++) {
        add_operand(o.read, &o.reads, step->param[i]);
        /* Running statistics, and what Adam updates. */
        if (!backward && ((step->op == FG_BATCH_NORM && i >= 2) || step->op == FG_ADAM))
            add_operand(o.write, &o.writes, step->param[i]);
        if (step->op == FG_ADAM)
            add_operand(o.read, &o.reads, step->d_param[i]);
        else
            add_operand(o.write, &o.writes, step->d_param[i]);
    }
    for (int i = 0; i < FG_MAX_OUT; i++) {
        if (backward)
            add_operand(o.read, &o.reads, step->out[i]);
        else
            add_operand(o.write, &o.writes, step->out[i]);
        add_operand(o.read, &o.reads, step->d_out[i]);
    }
    return o;
}

_Static_assert(FG_MAX_WAITS >= FG_MAX_LANES - 1, "a step waits for one step of each other lane at most");

static void add_wait(struct fg_program *program, uint32_t step, uint32_t earlier) {
    struct fg_step *s = &program->step[step];
    if (earlier == NONE || earlier == step || program->step[earlier].lane == s->lane)
        return;
    /* A lane runs in order, so of each other lane only the latest step matters. */
    for (uint32_t i = 0; i < s->waits; i++)
        if (program->step[s->wait[i]].lane == program->step[earlier].lane) {
            if (s->wait[i] < earlier)
                s->wait[i] = earlier;
            return;
        }
    s->wait[s->waits++] = earlier;
}

static void mark_step(uint64_t *set, uint32_t step) {
    set[step / 64] |= (uint64_t)1 << (step % 64);
}

/* Derives waits, uses, first uses, and the steps before each step. writer and readers follow each tensor
 * through the order given: a read waits for the last write, a write for the last write and for every lane's
 * last read since then. */
static enum fg_status derive_edges(struct fg_plan *plan, struct fg_message *message) {
    struct fg_program *program = &plan->program;
    uint32_t *writer = malloc(plan->tensors * sizeof *writer);
    uint32_t(*reader)[FG_MAX_LANES] = malloc(plan->tensors * sizeof *reader);
    if (!writer || !reader) {
        free(writer);
        free(reader);
        return fg_fail(message, FG_ENVIRONMENT, "plan: no memory for %u tensors", plan->tensors);
    }
    memset(writer, 0xff, plan->tensors * sizeof *writer);
    memset(reader, 0xff, plan->tensors * sizeof *reader);
    memset(plan->first, 0xff, plan->tensors * sizeof *plan->first);

    uint32_t last_of_lane[FG_MAX_LANES] = {NONE, NONE, NONE, NONE};
    for (uint32_t s = 0; s < program->steps; s++) {
        struct fg_step *step = &program->step[s];
        const struct operands o = list_operands(step);
        for (uint32_t i = 0; i < o.reads; i++)
            add_wait(program, s, writer[find_index(plan, o.read[i])]);
        for (uint32_t i = 0; i < o.writes; i++) {
            uint32_t t = find_index(plan, o.write[i]);
            add_wait(program, s, writer[t]);
            for (uint32_t lane = 0; lane < program->lanes; lane++)
                add_wait(program, s, reader[t][lane]);
        }
        for (uint32_t i = 0; i < o.reads; i++)
            reader[find_index(plan, o.read[i])][step->lane] = s;
        for (uint32_t i = 0; i < o.writes; i++) {
            uint32_t t = find_index(plan, o.write[i]);
            writer[t] = s;
            memset(reader[t], 0xff, sizeof reader[t]);
        }
        for (uint32_t i = 0; i < o.reads + o.writes; i++) {
            uint32_t t = find_index(plan, i < o.reads ? o.read[i] : o.write[i - o.reads]);
            mark_step(plan->uses + (size_t)t * plan->words, s);
            if (plan->first[t] == NONE)
                plan->first[t] = s;
        }

        uint64_t *before = plan->before + (size_t)s * plan->words;
        for (uint32_t i = 0; i <= step->waits; i++) {
            uint32_t earlier = i < step->waits ? step->wait[i] : last_of_lane[step->lane];
            if (earlier == NONE)
                continue;
            mark_step(before, earlier);
            for (uint32_t w = 0; w < plan->words; w++)
                before[w] |= plan->before[(size_t)earlier * plan->words + w];
        }
        last_of_lane[step->lane] = s;
    }
    free(writer);
    free(reader);
    return FG_OK;
}

static enum fg_status ask_backend(struct fg_plan *plan, const struct fg_backend *backend,
                                  struct fg_message *message) {
    struct fg_program *program = &plan->program;
    size_t lane_bytes[FG_MAX_LANES] = {0}, lane_start[FG_MAX_LANES], start = 0, prepared = 0;
    for (uint32_t s = 0; s < program->steps; s++) {
        struct fg_step *step = &program->step[s];
        const struct fg_kernel *kernel = &backend->kernel[step->op];
        if (!kernel->supports || !kernel->supports(backend, step) ||
            !(step->pass == FG_FORWARD ? kernel->forward : kernel->backward))
            return fg_fail(message, FG_USAGE, "plan: step %u (%s, %s) is not supported by backend %s", s,
                           fg_operator_name(step->op), step->pass == FG_FORWARD ? "forward" : "backward",
                           backend->name);
        step->workspace_bytes = kernel->workspace ? fg_size_align(kernel->workspace(backend, step)) : 0;
        if (step->workspace_bytes > lane_bytes[step->lane])
            lane_bytes[step->lane] = step->workspace_bytes;
        if (kernel->prepared && step->param[0] && step->param[0]->segment == FG_SEGMENT_FROZEN) {
            step->prepared = prepared;
            step->prepared_bytes = fg_size_align(kernel->prepared(backend, step));
            prepared += step->prepared_bytes;
        }
    }
    for (uint32_t lane = 0; lane < program->lanes; lane++) {
        lane_start[lane] = start;
        start += lane_bytes[lane];
    }
    for (uint32_t s = 0; s < program->steps; s++)
        program->step[s].workspace = lane_start[program->step[s].lane];
    program->bytes[FG_SEGMENT_WORKSPACE] = start;
    program->bytes[FG_SEGMENT_PREPARED] = prepared;
    return FG_OK;
}

/* Whether every use of a has ended before b is made, in every legal order. */
static bool is_used_before(const struct fg_plan *plan, uint32_t a, uint32_t b) {
    if (plan->keep[a])
        return false;
    const uint64_t *uses = plan->uses + (size_t)a * plan->words;
    const uint64_t *before = plan->before + (size_t)plan->first[b] * plan->words;
    for (uint32_t w = 0; w < plan->words; w++)
        if (uses[w] & ~before[w])
            return false;
    return true;
}

struct item {
    uint32_t tensor, last; /* last: the latest use in the order given */
    size_t bytes, offset;
};

static int compare_sizes(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor < y->tensor ? -1 : 1;
}

static int compare_offsets(const void *a, const void *b) {
    const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Gives each item, in the order of the list, the lowest place that no placed item needs at the same time.
 * conflict is the items' matrix, indexed by their first position; taken is room for pointers. Returns the
 * height reached. */
static size_t place_items(struct item *const *order, uint32_t items, const struct item *all,
                          const bool *conflict, struct item **taken) {
    size_t height = 0;
    for (uint32_t i = 0; i < items; i++) {
        struct item *item = order[i];
        uint32_t count = 0;
        for (uint32_t k = 0; k < i; k++)
            if (conflict[(size_t)(item - all) * items + (size_t)(order[k] - all)])
                taken[count++] = order[k];
        qsort(taken, count, sizeof *taken, compare_offsets);
        size_t at = 0;
        for (uint32_t k = 0; k < count && taken[k]->offset < at + item->bytes; k++)
            if (taken[k]->offset + taken[k]->bytes > at)
                at = taken[k]->offset + taken[k]->bytes;
        item->offset = at;
        if (at + item->bytes > height)
            height = at + item->bytes;
    }
    return height;
}

/* Largest first is within a few percent of the floor on most networks. Where it is not, the item that reaches
 * the top moves to the front of the order and all are placed again: the best of ROUNDS stays. */
#define ROUNDS 64

static size_t place_all(struct fg_plan *plan, struct item *item, uint32_t items, size_t floor, bool *conflict,
                        struct item **order, struct item **taken, size_t *best_offset) {
    if (!items)
        return 0;
    qsort(item, items, sizeof *item, compare_sizes);
    for (uint32_t i = 0; i < items; i++) {
        order[i] = &item[i];
        for (uint32_t k = 0; k < i; k++) {
            bool shared = is_used_before(plan, item[i].tensor, item[k].tensor) ||
                          is_used_before(plan, item[k].tensor, item[i].tensor);
            conflict[(size_t)i * items + k] = conflict[(size_t)k * items + i] = !shared;
        }
    }
    size_t best = SIZE_MAX;
    for (uint32_t round = 0; round < ROUNDS && best > floor; round++) {
        size_t height = place_items(order, items, item, conflict, taken);
        if (height < best) {
            best = height;
            for (uint32_t i = 0; i < items; i++)
                best_offset[i] = item[i].offset;
        }
        uint32_t top = 0;
        while (order[top]->offset + order[top]->bytes < height)
            top++;
        struct item *moved = order[top];
        memmove(order + 1, order, top * sizeof *order);
        order[0] = moved;
    }
    for (uint32_t i = 0; i < items; i++)
        plan->tensor[item[i].tensor].offset = best_offset[i];
    return best;
}

static size_t find_live_peak(const struct fg_plan *plan, const struct item *item, uint32_t items) {
    size_t peak = 0;
    for (uint32_t s = 0; s < plan->program.steps; s++) {
        size_t live = 0;
        for (uint32_t i = 0; i < items; i++)
            if (plan->first[item[i].tensor] <= s && s <= item[i].last)
                live += item[i].bytes;
        if (live > peak)
            peak = live;
    }
    return peak;
}

static enum fg_status place_activations(struct fg_plan *plan, struct fg_plan_report *report,
                                        struct fg_message *message) {
    enum fg_status status = FG_OK;
    const size_t room = plan->tensors + 1;
    struct item *item = malloc(room * sizeof *item), **order = malloc(room * sizeof *order),
                **taken = malloc(room * sizeof *taken);
    size_t *offset = malloc(room * sizeof *offset);
    bool *conflict = calloc(room * room, sizeof *conflict);
    if (!item || !order || !taken || !offset || !conflict) {
        status = fg_fail(message, FG_ENVIRONMENT, "plan: no memory to place %u tensors", plan->tensors);
        goto out;
    }
    uint32_t items = 0;
    for (uint32_t t = 0; t < plan->tensors; t++) {
        if (plan->tensor[t].segment != FG_SEGMENT_ACTIVATIONS || plan->first[t] == NONE)
            continue;
        uint32_t last = plan->first[t];
        for (uint32_t s = 0; s < plan->program.steps; s++)
            if (plan->keep[t] || plan->uses[(size_t)t * plan->words + s / 64] >> (s % 64) & 1)
                last = s;
        item[items++] = (struct item){
            .tensor = t, .last = last, .bytes = fg_size_align(fg_tensor_bytes(&plan->tensor[t]))};
    }
    report->live_peak = find_live_peak(plan, item, items);
    report->planned = place_all(plan, item, items, report->live_peak, conflict, order, taken, offset);
    plan->program.bytes[FG_SEGMENT_ACTIVATIONS] = report->planned;
out:
    free(item);
    free(order);
    free(taken);
    free(offset);
    free(conflict);
    return status;
}

enum fg_status fg_plan_finish(struct fg_plan *plan, const struct fg_backend *backend,
                              const struct fg_program **program, struct fg_plan_report *report,
                              struct fg_message *message) {
    if (plan->overrun)
        return fg_fail(message, FG_USAGE, "plan: opened for %u tensors and %u steps, but more were added",
                       plan->tensor_room, plan->step_room);
    if (plan->program.lanes > backend->device.lanes)
        return fg_fail(message, FG_USAGE, "plan: %u lanes, but backend %s has %u", plan->program.lanes,
                       backend->name, backend->device.lanes);
    enum fg_status status = derive_edges(plan, message);
    if (status == FG_OK)
        status = ask_backend(plan, backend, message);
    if (status == FG_OK)
        status = place_activations(plan, report, message);
    if (status == FG_OK)
        *program = &plan->program;
    return status;
}
