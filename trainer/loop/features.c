/* Keeps a picture's features in a block of its own, level behind level, taken when they are first made. */
#include "trainer/loop/features.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct fg_features {
    size_t bytes;      /* of one picture's features */
    size_t kept, most; /* bytes that all kept ones take, and may take */
    uint32_t pictures;
    float **block;  /* {pictures}: each {bytes}, or NULL where a picture's are not kept */
    float *passing; /* {bytes}: features that are not kept */
};

enum fg_status fg_features_open(const struct fg_network *network, uint32_t pictures, uint32_t mib,
                                struct fg_features **features, struct fg_message *message) {
    struct fg_features *f = calloc(1, sizeof *f);
    if (!f)
        return fg_fail(message, FG_ENVIRONMENT, "training: no memory");
    for (uint32_t l = 0; l < network->levels; l++) {
        const struct fg_value *v = &network->value[network->teacher[l]];
        f->bytes += (size_t)v->h * (size_t)v->w * (size_t)v->c * sizeof(float);
    }
    f->pictures = pictures;
    const size_t all = pictures * f->bytes, most = (size_t)mib << 20;
    f->most = most < all ? most : all;
    f->block = calloc(pictures, sizeof *f->block);
    f->passing = malloc(f->bytes);
    if (!f->block || !f->passing) {
        fg_features_close(f);
        return fg_fail(message, FG_ENVIRONMENT, "training: no memory");
    }
    *features = f;
    return FG_OK;
}

void fg_features_close(struct fg_features *features) {
    if (!features)
        return;
    for (uint32_t i = 0; features->block && i < features->pictures; i++)
        free(features->block[i]);
    free(features->block);
    free(features->passing);
    free(features);
}

size_t fg_features_memory(const struct fg_features *features) {
    return features ? features->most + features->bytes : 0;
}

/* Collects what the teacher's program has made of a picture that is not kept, and keeps it where it fits and
 * the machine has memory. */
static const float *collect_features(struct fg_features *f, uint32_t picture, const struct fg_graph *teacher,
                                     const struct fg_memory *memory) {
    float *own = f->kept + f->bytes <= f->most ? malloc(f->bytes) : NULL, *block = own ? own : f->passing;
    f->block[picture] = own;
    f->kept += own ? f->bytes : 0;
    char *to = (char *)block;
    for (uint32_t l = 0; l < FG_NETWORK_LEVELS; l++)
        if (teacher->target[l]) {
            const size_t bytes = fg_tensor_bytes(teacher->target[l]);
            memcpy(to, fg_tensor_data(teacher->target[l], memory), bytes);
            to += bytes;
        }
    return block;
}

/* Copies a picture's features to its place among a graph's targets. */
static void put_features(const float *features, const struct fg_graph *graph, const struct fg_memory *memory,
                         uint32_t place) {
    const char *from = (const char *)features;
    for (uint32_t l = 0; l < FG_NETWORK_LEVELS; l++)
        if (graph->target[l]) {
            const size_t bytes = fg_tensor_bytes(graph->target[l]) / (size_t)graph->batch;
            memcpy((char *)fg_tensor_data(graph->target[l], memory) + place * bytes, from, bytes);
            from += bytes;
        }
}

static enum fg_status run_teacher(const struct fg_graph *teacher, const struct fg_replica *replica,
                                  uint32_t replicas, const uint32_t *picture, uint32_t stride,
                                  struct fg_message *message) {
    for (uint32_t r = 0; r < replicas; r++) {
        const struct fg_memory memory = fg_replica_memory(&replica[r], FG_TEACH);
        struct fg_draw *draw = fg_tensor_data(teacher->draw, &memory);
        draw->image[0] = picture[r * stride];
    }
    return fg_replica_run(replica, replicas, FG_TEACH, message);
}

enum fg_status fg_features_give(struct fg_features *features, const struct fg_graph *graph,
                                enum fg_stage stage, const struct fg_replica *replica, uint32_t replicas,
                                const uint32_t *index, struct fg_message *message) {
    const struct fg_graph *teacher = &graph[FG_TEACH], *to = &graph[stage];
    const uint32_t share = (uint32_t)to->batch;
    /* Both have a draw in front, and a teacher's program must leave the targets alone. */
    assert(teacher->program->bytes[FG_SEGMENT_IO] <= to->target[0]->offset);
    for (uint32_t place = 0; place < share; place++) {
        bool missing = false;
        for (uint32_t r = 0; r < replicas; r++)
            missing = missing || !features->block[index[r * share + place]];
        if (missing) {
            enum fg_status status = run_teacher(teacher, replica, replicas, index + place, share, message);
            if (status != FG_OK)
                return status;
        }
        for (uint32_t r = 0; r < replicas; r++) {
            const uint32_t picture = index[r * share + place];
            const struct fg_memory memory = fg_replica_memory(&replica[r], stage);
            const float *block = features->block[picture];
            put_features(block ? block : collect_features(features, picture, teacher, &memory), to, &memory,
                         place);
        }
    }
    return FG_OK;
}
