/* The fake cuDNN: heuristics, engines, plans, and their arithmetic, which is the CPU backend's. */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "tests/cuda/fake_cudnn.h"

extern "C" {
#include "kernels/backend.h"
#include "runtime/base/half.h"
}

using fake::descriptor;
using fake::refuse;

namespace {

const struct engine {
    size_t said, workspace; /* bytes */
    int note;               /* -1: none */
    double ms;
} engines[FG_FAKE_ENGINES] = {
    {(size_t)512 << 20, (size_t)512 << 20, -1, 2},
    {0, (size_t)512 << 20, -1, 2},
    {0, 0, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, 2},
    {0, 0, -1, 2},
    {0, 0, -1, 2},
    {0, 0, -1, 3},
    {0, 0, -1, 3},
    {65536, 65536, CUDNN_NUMERICAL_NOTE_TENSOR_CORE, 4},
    {4096, 4096, -1, 5},
    {0, 0, -1, 9},
};

uint64_t runs[FG_FAKE_ENGINES];
int update;
bool relu_drops;

/* How many values a caller gets of those that there are: CUDNN Backend API, cudnnBackendGetAttribute. */
template <typename T>
cudnnStatus_t give(const T *from, int64_t there, int64_t room, int64_t *count, void *values) {
    *count = there;
    if (room)
        memcpy(values, from, (size_t)(room < there ? room : there) * sizeof *from);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- A plan's text ---- */

#define WORDS (sizeof(struct fake::task) / sizeof(int64_t))

std::string head() {
    return std::string("{\"fake\":").append(std::to_string(cudnnGetVersion())).append(",\"engine\":");
}

std::string text_of(const struct fake::plan &plan) {
    int64_t words[WORDS];
    memcpy(words, &plan.task, sizeof words);
    std::string text = head().append(std::to_string(plan.engine));
    for (const int64_t word : words)
        text.append(",").append(std::to_string(word));
    return text.append("}");
}

bool read_text(const std::string &text, struct fake::plan *plan) {
    const std::string begin = head();
    if (text.compare(0, begin.size(), begin))
        return false;
    const char *at = text.c_str() + begin.size();
    int64_t words[1 + WORDS];
    for (size_t i = 0; i < std::size(words); i++) {
        char *end;
        words[i] = strtoll(at, &end, 10);
        if (end == at || *end != (i + 1 < std::size(words) ? ',' : '}'))
            return false;
        at = end + 1;
    }
    if (*at || words[0] < 0 || words[0] >= FG_FAKE_ENGINES)
        return false;
    plan->engine = words[0];
    memcpy(&plan->task, words + 1, sizeof plan->task);
    plan->workspace = engines[plan->engine].workspace;
    return true;
}

/* ---- Arithmetic ---- */

struct fg_backend *cpu;

size_t count_of(const struct fake::tensor &t) {
    return (size_t)(t.n * t.c * t.h * t.w);
}

std::vector<float> load(const struct fake::tensor &t, const void *data, bool tf32) {
    std::vector<float> values(count_of(t));
    for (size_t i = 0; i < values.size(); i++)
        if (t.type == CUDNN_DATA_HALF) {
            values[i] = fg_half_to_float(static_cast<const uint16_t *>(data)[i]);
        } else {
            values[i] = static_cast<const float *>(data)[i];
            uint32_t bits;
            memcpy(&bits, &values[i], sizeof bits);
            if (tf32 && std::isfinite(values[i])) { /* 10 bits behind the point, to the nearest */
                bits = (bits + 0x1000) & ~0x1fffu;
                memcpy(&values[i], &bits, sizeof bits);
            }
        }
    return values;
}

void store(const struct fake::tensor &t, const std::vector<float> &values, void *data) {
    for (size_t i = 0; i < values.size(); i++)
        if (t.type == CUDNN_DATA_HALF)
            static_cast<uint16_t *>(data)[i] = fg_float_to_half(values[i]);
        else
            static_cast<float *>(data)[i] = values[i];
}

struct fg_tensor plain(const struct fake::tensor &t, enum fg_segment segment) {
    return {FG_F32, (int32_t)t.n, (int32_t)t.h, (int32_t)t.w, (int32_t)t.c, segment, 0};
}

void run(struct fg_step *step, struct fg_memory *memory) {
    const struct fg_kernel *kernel = &cpu->kernel[step->op];
    step->workspace_bytes = kernel->workspace ? kernel->workspace(cpu, step) : 0;
    void *scratch = nullptr;
    if (posix_memalign(&scratch, FG_ALIGNMENT, step->workspace_bytes + 1))
        abort();
    memory->segment[FG_SEGMENT_WORKSPACE] = scratch;
    const struct fg_program program = {step, 1, 1, {0}, 0};
    if (!kernel->supports(cpu, step) || fg_backend_run(cpu, &program, memory, nullptr) != FG_OK)
        abort();
    free(scratch);
}

/* The convolution alone, of plain values. CONV's own filters are odd; a 2x2 one is DECONV's. */
std::vector<float> convolve(const struct fake::task &task, std::vector<float> x, std::vector<float> w) {
    std::vector<float> y(count_of(task.y));
    const bool data = task.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
               filter = task.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
    struct fake::tensor in = data ? task.y : task.x, weight = filter ? task.y : task.w,
                        out = data     ? task.x
                              : filter ? task.w
                                       : task.y;
    std::vector<float> &in_values = data ? y : x, &weight_values = filter ? y : w,
                       &out_values = data     ? x
                                     : filter ? w
                                              : y;
    std::vector<float> unread(count_of(out)); /* a result that the gradients do not need */
    struct fg_memory memory = {};
    memory.segment[FG_SEGMENT_IO] = in_values.data();
    memory.segment[FG_SEGMENT_TRAINED] = weight_values.data();
    memory.segment[FG_SEGMENT_ACTIVATIONS] = out_values.data();
    memory.segment[FG_SEGMENT_MOMENTS] = unread.data();
    const struct fg_tensor a = plain(in, FG_SEGMENT_IO), f = plain(weight, FG_SEGMENT_TRAINED),
                           b = plain(out, FG_SEGMENT_ACTIVATIONS), value = plain(out, FG_SEGMENT_MOMENTS);
    struct fg_step step = {};
    if (weight.h % 2) {
        step.op = FG_CONV;
        step.stride = (int32_t)task.stride;
        step.groups = (int32_t)(in.c / weight.c);
        step.in[0] = &a;
        step.param[0] = &f;
        step.out[0] = data || filter ? &value : &b;
        step.pass = data || filter ? FG_BACKWARD : FG_FORWARD;
        step.d_out[0] = data || filter ? &b : nullptr;
        step.d_in[0] = data ? &a : nullptr;
        step.d_param[0] = filter ? &f : nullptr;
        run(&step, &memory);
        return y;
    }
    /* The transposed convolution reads the small picture and writes the large one. */
    unread.resize(count_of(in));
    memory.segment[FG_SEGMENT_MOMENTS] = unread.data();
    const struct fg_tensor large = plain(in, FG_SEGMENT_MOMENTS);
    step.op = FG_DECONV;
    step.in[0] = &b;
    step.param[0] = &f;
    step.out[0] = data ? &a : &large;
    step.pass = data ? FG_FORWARD : FG_BACKWARD;
    step.d_out[0] = data ? nullptr : &a;
    step.d_in[0] = !data && !filter ? &b : nullptr;
    step.d_param[0] = filter ? &f : nullptr;
    run(&step, &memory);
    return y;
}

} // namespace

void fake::compute(const struct plan &plan, const std::map<int64_t, void *> &data, void *workspace) {
    const opened device;
    const struct task &task = plan.task;
    if (!cpu && fg_cpu_open(1, 1, &cpu, nullptr) != FG_OK)
        abort();
    runs[plan.engine]++;
    if (plan.workspace) /* what it writes there is in nobody's way */
        memset(workspace, 0xff, plan.workspace);
    const bool tf32 = plan.engine == FG_FAKE_TENSOR;
    std::vector<float> y =
        convolve(task, load(task.x, data.at(task.x.id), tf32), load(task.w, data.at(task.w.id), tf32));
    if (task.adds) {
        const std::vector<float> before = load(task.y, data.at(task.y.id), false);
        for (size_t i = 0; i < y.size(); i++)
            y[i] += before[i];
    }
    for (int64_t p = 0; p < task.pointwise; p++) {
        if (task.relu[p]) {
            for (float &value : y)
                value = value < 0 || (relu_drops && std::isnan(value)) ? 0 : value;
            continue;
        }
        const struct tensor &t = task.added[p];
        const std::vector<float> added = load(t, data.at(t.id), false);
        for (size_t i = 0; i < y.size(); i++)
            y[i] += added[added.size() == y.size() ? i : i % added.size()];
    }
    for (float &value : y) {
        if (plan.engine == FG_FAKE_DROPS && std::isnan(value))
            value = 0;
        if (plan.engine == FG_FAKE_SATURATES && std::fabs(value) > 65504)
            value = std::copysign(65504.0f, value);
    }
    store(task.out, y, data.at(task.out.id));
}

double fake::engine_ms(int64_t engine) {
    return engines[engine].ms;
}

uint64_t fg_fake_runs(enum fg_fake_engine engine) {
    return runs[engine];
}

void fg_fake_relu_drops(int drops) {
    relu_drops = drops;
}

void fg_fake_update(int newer) {
    update = newer;
}

size_t cudnnGetCudartVersion(void) {
    return CUDART_VERSION;
}

size_t cudnnGetVersion(void) {
    return CUDNN_VERSION + (size_t)update;
}

/* CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: of a configuration, or of a text that the same cuDNN has written.
 */
cudnnStatus_t fake::finalise_plan(struct descriptor &d) {
    if (!is_handle(d.get<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE)))
        return refuse(CUDNN_STATUS_BAD_PARAM, "a plan's handle that is none");
    if (d.has(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION)) {
        const std::vector<char> &bytes = d.values[CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION].bytes;
        return read_text(std::string(bytes.begin(), bytes.end()), &d.plan)
                   ? CUDNN_STATUS_SUCCESS
                   : refuse(CUDNN_STATUS_NOT_SUPPORTED, "a plan's text that is not this cuDNN's");
    }
    const struct descriptor *config =
        find_named(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!config)
        return refuse(CUDNN_STATUS_BAD_PARAM, "a plan of no configuration");
    if (config->engine == FG_FAKE_REFUSES)
        return refuse(CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED,
                      "an engine whose kernel does not compile");
    if ((config->engine == FG_FAKE_DROPS || config->engine == FG_FAKE_SATURATES) &&
        config->task.x.type != CUDNN_DATA_HALF)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "an engine of float16 only");
    d.plan = {config->engine, engines[config->engine].workspace, config->task};
    return CUDNN_STATUS_SUCCESS;
}

/* CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: CUDNN_ATTR_ENGINEHEUR_RESULTS are configurations that the caller has
 * created. */
static cudnnStatus_t give_configurations(const struct descriptor &d, int64_t room, int64_t *count,
                                         void *values) {
    const struct descriptor *graph =
        fake::find_named(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (!graph)
        return refuse(CUDNN_STATUS_BAD_PARAM, "heuristics of a graph that is gone");
    const int mode = d.get<int>(CUDNN_ATTR_ENGINEHEUR_MODE);
    const int64_t first = mode == CUDNN_HEUR_MODE_FALLBACK ? FG_FAKE_SLOW : 0,
                  end = mode == CUDNN_HEUR_MODE_FALLBACK ? FG_FAKE_ENGINES : FG_FAKE_SLOW;
    *count = end - first;
    for (int64_t i = 0; i < room && first + i < end; i++) {
        struct descriptor *config = fake::find(static_cast<cudnnBackendDescriptor_t *>(values)[i]);
        if (!config || config->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
            return refuse(CUDNN_STATUS_BAD_PARAM, "no configuration to fill");
        config->engine = first + i;
        config->task = graph->task;
        config->finalised = true;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t fake::get_computed(const struct descriptor &d, cudnnBackendAttributeName_t name, int64_t room,
                                 int64_t *count, void *values) {
    const struct engine &engine = engines[d.engine];
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        if (d.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
            return give_configurations(d, room, count, values);
        break;
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        if (d.type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR && room == 1) {
            struct descriptor *made = find(*static_cast<cudnnBackendDescriptor_t *>(values));
            if (!made || made->type != CUDNN_BACKEND_ENGINE_DESCRIPTOR)
                return refuse(CUDNN_STATUS_BAD_PARAM, "no engine to fill");
            made->engine = d.engine;
            made->finalised = true;
            *count = 1;
            return CUDNN_STATUS_SUCCESS;
        }
        break;
    case CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE:
        if (d.type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR) {
            const int64_t bytes = (int64_t)engine.said;
            return give(&bytes, 1, room, count, values);
        }
        break;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        if (d.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR)
            return give(&engine.note, engine.note >= 0, room, count, values);
        break;
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
        if (d.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR)
            return give(&engine.note, 0, room, count, values);
        break;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        if (d.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
            const int64_t bytes = (int64_t)d.plan.workspace;
            return give(&bytes, 1, room, count, values);
        }
        break;
    case CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION:
        if (d.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
            const std::string text = text_of(d.plan);
            return give(text.data(), (int64_t)text.size(), room, count, values);
        }
        break;
    default:
        break;
    }
    return refuse(CUDNN_STATUS_BAD_PARAM, "an attribute that this descriptor has not");
}
