/* The fake cuDNN: handles, descriptors and their attributes. What finalising checks is cudnn_check.cpp's,
 * engines and plans are cudnn_engine.cpp's. Documents: NVIDIA cuDNN Backend API, graph library. */
#include <cstdio>
#include <cstring>

#include "tests/cuda/fake_cudnn.h"

using fake::descriptor;

namespace {

std::map<uintptr_t, struct descriptor> descriptors;
std::map<uintptr_t, cudaStream_t> handles;
uintptr_t next_number = 0x2000000;
char last_error[256];

/* The attributes that may be set. most 0: any number. */
struct attribute {
    cudnnBackendDescriptorType_t of;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t least, most;
    bool required;
};

#define FG_FAKE_CONVOLVE(type, conv, x, w, y, alpha, beta)                                                   \
    {type, conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},                                                 \
        {type, x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},                                                \
        {type, w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},                                                \
        {type, y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true}, {type, alpha, CUDNN_TYPE_FLOAT, 1, 1, true}, { \
        type, beta, CUDNN_TYPE_FLOAT, 1, 1, true                                                             \
    }

const struct attribute attributes[] = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 1, 8, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 1, 8, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1, true},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, 1, false},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1,
     true},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1,
     1, true},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1, true},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 1, 3, true},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 1, 3,
     true},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 1, 3,
     true},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 1, 3, true},
    FG_FAKE_CONVOLVE(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA),
    FG_FAKE_CONVOLVE(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA),
    FG_FAKE_CONVOLVE(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA),
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1, true},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, false},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
     1 + FG_FAKE_MOST_POINTWISE, true},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, 1,
     true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1, true},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, 1,
     true},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, false},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
     1, 0, false},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, 0,
     true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, 0, true},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1,
     false},
};

size_t size_of(cudnnBackendAttributeType_t type) {
    switch (type) {
    case CUDNN_TYPE_INT64:
        return sizeof(int64_t);
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return sizeof(void *);
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
        return 1;
    case CUDNN_TYPE_FLOAT:
        return sizeof(float);
    default: /* an enumeration */
        return sizeof(int);
    }
}

bool is_made_here(cudnnBackendDescriptorType_t type) {
    if (type == CUDNN_BACKEND_ENGINE_DESCRIPTOR || type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
        return true;
    for (const struct attribute &a : attributes)
        if (a.of == type)
            return true;
    return false;
}

cudnnStatus_t finalise(struct descriptor &d) {
    switch (d.type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        return fake::finalise_tensor(d);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        return fake::finalise_convolution(d);
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return fake::finalise_pointwise(d);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        return fake::finalise_graph(d);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        return fake::find_named(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                                CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
                   ? CUDNN_STATUS_SUCCESS
                   : fake::refuse(CUDNN_STATUS_BAD_PARAM, "heuristics of a graph that is not finalised");
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        return fake::finalise_plan(d);
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        return d.values[CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS].count ==
                       d.values[CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS].count
                   ? CUDNN_STATUS_SUCCESS
                   : fake::refuse(CUDNN_STATUS_BAD_PARAM,
                                  "a variant pack of more pointers than ids, or fewer");
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        return fake::finalise_convolve(d);
    default: /* engines and configurations come from heuristics */
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "an engine made by hand");
    }
}

} // namespace

cudnnStatus_t fake::refuse(cudnnStatus_t error, const char *why) {
    note_refusal(why);
    snprintf(last_error, sizeof last_error, "%s", why);
    return error;
}

cudnnStatus_t fake::cudnn_injected() {
    enum fg_fake_failure how;
    if (!fails(&how))
        return CUDNN_STATUS_SUCCESS;
    return how == FG_FAKE_MEMORY        ? CUDNN_STATUS_ALLOC_FAILED
           : how == FG_FAKE_UNSUPPORTED ? CUDNN_STATUS_NOT_SUPPORTED
                                        : CUDNN_STATUS_EXECUTION_FAILED;
}

struct descriptor *fake::find(cudnnBackendDescriptor_t handle) {
    const auto found = descriptors.find(reinterpret_cast<uintptr_t>(handle));
    return found == descriptors.end() ? nullptr : &found->second;
}

struct descriptor *fake::find_named(const struct descriptor &d, cudnnBackendAttributeName_t name, int type,
                                    size_t i) {
    struct descriptor *p = d.has(name) ? find(d.get<cudnnBackendDescriptor_t>(name, i)) : nullptr;
    return p && p->finalised && (type < 0 || p->type == (cudnnBackendDescriptorType_t)type) ? p : nullptr;
}

bool fake::is_handle(cudnnHandle_t handle) {
    return handles.count(reinterpret_cast<uintptr_t>(handle)) != 0;
}

size_t fake::cudnn_left(char *text, size_t size) {
    snprintf(text, size, "%zu handles, %zu descriptors", handles.size(), descriptors.size());
    return handles.size() + descriptors.size();
}

const char *cudnnGetErrorString(cudnnStatus_t status) {
    static thread_local char text[32];
    snprintf(text, sizeof text, "fake status %d", (int)status);
    return text;
}

void cudnnGetLastErrorString(char *message, size_t size) {
    snprintf(message, size, "%s", last_error);
    last_error[0] = 0;
}

/* ---- Handles ---- */

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    FG_FAKE_ENTER_CUDNN();
    handles[next_number += 16] = nullptr;
    *handle = reinterpret_cast<cudnnHandle_t>(next_number);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    auto held = fake::lock();
    const cudnnStatus_t injected = fake::cudnn_injected();
    if (!handles.erase(reinterpret_cast<uintptr_t>(handle)))
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "no such handle to destroy");
    return injected;
}

/* cudnnSetStream: CUDNN_STATUS_BAD_PARAM for an invalid handle. */
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    FG_FAKE_ENTER_CUDNN();
    if (!fake::is_handle(handle) || fake::check(stream) != cudaSuccess)
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "a handle's stream that is none");
    handles[reinterpret_cast<uintptr_t>(handle)] = stream;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- Descriptors ---- */

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d) {
    FG_FAKE_ENTER_CUDNN();
    if (!is_made_here(type)) /* cudnnBackendCreateDescriptor: a type that is not supported */
        return fake::refuse(CUDNN_STATUS_NOT_SUPPORTED, "a descriptor of another type");
    descriptors[next_number += 16].type = type;
    *d = reinterpret_cast<cudnnBackendDescriptor_t>(next_number);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d) {
    auto held = fake::lock();
    const cudnnStatus_t injected = fake::cudnn_injected();
    if (!descriptors.erase(reinterpret_cast<uintptr_t>(d)))
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "no such descriptor to destroy");
    return injected;
}

/* cudnnBackendSetAttribute: CUDNN_STATUS_NOT_INITIALIZED of a finalised descriptor; CUDNN_STATUS_BAD_PARAM of
 * an attribute that it has not, of another type or number. */
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    FG_FAKE_ENTER_CUDNN();
    struct descriptor *d = fake::find(descriptor);
    if (!d || !values)
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "an attribute of no descriptor, or without a value");
    if (d->finalised)
        return fake::refuse(CUDNN_STATUS_NOT_INITIALIZED, "an attribute set of a finalised descriptor");
    for (const struct attribute &a : attributes)
        if (a.of == d->type && a.name == name && a.type == type && count >= a.least &&
            (!a.most || count <= a.most)) {
            const char *bytes = static_cast<const char *>(values);
            d->values[name] = {type, count, {bytes, bytes + (size_t)count * size_of(type)}};
            return CUDNN_STATUS_SUCCESS;
        }
    return fake::refuse(CUDNN_STATUS_BAD_PARAM, "an attribute that this descriptor has not, or not so");
}

/* cudnnBackendGetAttribute: CUDNN_STATUS_NOT_INITIALIZED of a descriptor that is not finalised. */
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t *count,
                                       void *values) {
    FG_FAKE_ENTER_CUDNN();
    (void)type;
    const struct descriptor *d = fake::find(descriptor);
    if (!d || (room && !values))
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "an attribute of no descriptor, or no place for it");
    if (!d->finalised)
        return fake::refuse(CUDNN_STATUS_NOT_INITIALIZED, "an attribute asked of what is not finalised");
    return fake::get_computed(*d, name, room, count, values);
}

/* cudnnBackendFinalize: CUDNN_STATUS_BAD_PARAM of missing or inconsistent values. */
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    FG_FAKE_ENTER_CUDNN();
    struct descriptor *d = fake::find(descriptor);
    if (!d || d->finalised)
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "no descriptor to finalise, or one that is");
    for (const struct attribute &a : attributes)
        if (a.of == d->type && a.required && !d->has(a.name))
            return fake::refuse(CUDNN_STATUS_BAD_PARAM, "an attribute is missing");
    const cudnnStatus_t error = finalise(*d);
    d->finalised = error == CUDNN_STATUS_SUCCESS;
    return error;
}

/* ---- Execution ---- */

/* Whether a tensor's data are whole in live device memory, as aligned as it says. */
static cudnnStatus_t check_data(const struct fake::tensor &t, const std::map<int64_t, void *> &data) {
    const size_t size = t.type == CUDNN_DATA_HALF ? 2 : 4, bytes = (size_t)(t.n * t.c * t.h * t.w) * size;
    if (t.is_virtual) /* CUDNN_ATTR_TENSOR_IS_VIRTUAL: it has no memory */
        return data.count(t.id) ? fake::refuse(CUDNN_STATUS_BAD_PARAM, "data for a virtual tensor")
                                : CUDNN_STATUS_SUCCESS;
    const auto found = data.find(t.id);
    if (found == data.end())
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "no data for a tensor of the plan");
    /* CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT */
    if (reinterpret_cast<uintptr_t>(found->second) % (uintptr_t)t.alignment)
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "data that are not aligned");
    if (!fake::inside(fake::place::device, found->second, bytes))
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "data beyond device memory, or freed");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_pack(const struct fake::plan &plan, const std::map<int64_t, void *> &data,
                                void *workspace) {
    const struct fake::task &task = plan.task;
    std::vector<struct fake::tensor> all = {task.x, task.w, task.y, task.out};
    size_t places = 3 + (task.pointwise > 0);
    for (int64_t i = 0; i < task.pointwise; i++)
        if (!task.relu[i])
            all.push_back(task.added[i]);
    size_t real = 0;
    for (size_t i = 0; i < all.size(); i++) {
        if (i == 3 && places == 3)
            continue; /* the convolution's own result is the last */
        if (const cudnnStatus_t error = check_data(all[i], data); error != CUDNN_STATUS_SUCCESS)
            return error;
        real += !all[i].is_virtual;
    }
    if (real != data.size())
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "data for tensors that the plan has not, or twice");
    /* CUDNN_ATTR_VARIANT_PACK_WORKSPACE: as large as CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE says. */
    if (plan.workspace && (reinterpret_cast<uintptr_t>(workspace) % 16 ||
                           !fake::inside(fake::place::device, workspace, plan.workspace)))
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "a workspace that is too small, or not aligned");
    return CUDNN_STATUS_SUCCESS;
}

/* cudnnBackendExecute: CUDNN_STATUS_BAD_PARAM for wrong data or a handle that the plan was not made for. */
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_handle,
                                  cudnnBackendDescriptor_t pack_handle) {
    FG_FAKE_ENTER_CUDNN();
    const struct descriptor *plan = fake::find(plan_handle), *pack = fake::find(pack_handle);
    if (!fake::is_handle(handle) || !plan || !pack || plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
        pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR || !plan->finalised || !pack->finalised)
        return fake::refuse(CUDNN_STATUS_BAD_PARAM, "no handle, plan or variant pack that is finalised");
    std::map<int64_t, void *> data;
    for (int64_t i = 0; i < pack->values.at(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).count; i++)
        data[pack->get<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, (size_t)i)] =
            pack->get<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, (size_t)i);
    void *workspace = pack->has(CUDNN_ATTR_VARIANT_PACK_WORKSPACE)
                          ? pack->get<void *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE)
                          : nullptr;
    if (const cudnnStatus_t error = check_pack(plan->plan, data, workspace); error != CUDNN_STATUS_SUCCESS)
        return error;
    cudaStream_t stream = handles[reinterpret_cast<uintptr_t>(handle)];
    cudaError_t error = fake::queue(
        stream, [plan = plan->plan, data, workspace] { fake::compute(plan, data, workspace); },
        fake::engine_ms(plan->plan.engine));
    if (error == cudaSuccess && plan->plan.engine == FG_FAKE_COPIES) {
        void *result = data.at(plan->plan.task.out.id);
        error = cudaMemcpyAsync(result, result, 4, cudaMemcpyDefault, stream);
    }
    return error == cudaSuccess ? CUDNN_STATUS_SUCCESS
                                : fake::refuse(CUDNN_STATUS_EXECUTION_FAILED, "the handle's stream is gone");
}
