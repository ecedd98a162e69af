/* Inside the fake cuDNN of the tests: descriptors, and the work that a graph of the backend describes.
 *
 * Errors: cuDNN's own status. Owner: the fake owns its descriptors until they are destroyed. Thread: any that
 * holds the lock. NULL: find and find_named give it; no argument may be. */
#ifndef FG_TESTS_CUDA_FAKE_CUDNN_H
#define FG_TESTS_CUDA_FAKE_CUDNN_H

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/cuda/runtime.h"

#include <cudnn.h>

namespace fake {

/* A tensor as a graph has it; extents in cuDNN's order. Numbers only, so that it can be written and read. */
struct tensor {
    int64_t id, type, is_virtual, n, c, h, w, alignment;
};

#define FG_FAKE_MOST_POINTWISE 3

/* One convolution and what is done to each value behind it. */
struct task {
    int64_t kind; /* the operation's descriptor type */
    int64_t padding, stride, adds;
    struct tensor x, w, y; /* read, read, written by the convolution, */
    struct tensor out;     /* by the last operation */
    int64_t pointwise;     /* operations on each value, */
    int64_t relu[FG_FAKE_MOST_POINTWISE];
    struct tensor added[FG_FAKE_MOST_POINTWISE]; /* where it is not a ReLU */
};

struct plan {
    int64_t engine;
    size_t workspace;
    struct task task;
};

struct descriptor {
    cudnnBackendDescriptorType_t type;
    bool finalised = false;
    struct value {
        cudnnBackendAttributeType_t type;
        int64_t count;
        std::vector<char> bytes;
    };
    std::map<cudnnBackendAttributeName_t, struct value> values;
    /* What a finalised descriptor says about its values. They are copied, because what it is made of may
     * end before it. */
    struct tensor tensor = {};
    struct task task = {};
    struct plan plan = {};
    int64_t engine = 0; /* the engine that a configuration names */

    template <typename T> T get(cudnnBackendAttributeName_t name, size_t i = 0) const {
        T value;
        memcpy(&value, values.at(name).bytes.data() + i * sizeof value, sizeof value);
        return value;
    }
    bool has(cudnnBackendAttributeName_t name) const {
        return values.count(name) != 0;
    }
};

/* NULL where there is none. */
struct descriptor *find(cudnnBackendDescriptor_t handle);
/* The descriptor that an attribute names, finalised and of a type (-1: any); NULL where it is not. */
struct descriptor *find_named(const struct descriptor &d, cudnnBackendAttributeName_t name, int type,
                              size_t i = 0);

cudnnStatus_t refuse(cudnnStatus_t error, const char *why);
cudnnStatus_t cudnn_injected();
bool is_handle(cudnnHandle_t handle);

/* What cudnnBackendFinalize finds, by type. */
cudnnStatus_t finalise_tensor(struct descriptor &d);
cudnnStatus_t finalise_convolution(struct descriptor &d);
cudnnStatus_t finalise_convolve(struct descriptor &d);
cudnnStatus_t finalise_pointwise(struct descriptor &d);
cudnnStatus_t finalise_graph(struct descriptor &d);
cudnnStatus_t finalise_plan(struct descriptor &d);

/* The attributes that a descriptor gives; count is at most the room for values. */
cudnnStatus_t get_computed(const struct descriptor &d, cudnnBackendAttributeName_t name, int64_t room,
                           int64_t *count, void *values);

/* What one run of an engine takes on the device. */
double engine_ms(int64_t engine);
/* Computes on the CPU; data by unique id. */
void compute(const struct plan &plan, const std::map<int64_t, void *> &data, void *workspace);

} // namespace fake

/* As FG_FAKE_ENTER. */
#define FG_FAKE_ENTER_CUDNN()                                                                                \
    auto held = fake::lock();                                                                                \
    if (const cudnnStatus_t injected = fake::cudnn_injected(); injected != CUDNN_STATUS_SUCCESS)             \
    return injected

#endif
