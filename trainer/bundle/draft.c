/* Makes a bundle of trained weights, or opens one again, holds it while it is judged, and writes it once. */
#include "trainer/bundle/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"

enum fg_status fg_draft_open(struct fg_draft *draft, const char *path, const struct fg_weights *weights,
                             const struct fg_bundle_header *header, struct fg_backend *backend,
                             struct fg_message *message) {
    struct fg_folded folded;
    memset(draft, 0, sizeof *draft);
    enum fg_status status = fg_folded_open(&folded, weights, message);
    if (status != FG_OK)
        return fg_fail_in(message, status, path);
    status = fg_draft_open_folded(draft, path, &folded, NULL, header, backend, message);
    fg_folded_close(&folded);
    return status;
}

enum fg_status fg_draft_open_folded(struct fg_draft *draft, const char *path, const struct fg_folded *folded,
                                    const struct fg_quantised *quantised,
                                    const struct fg_bundle_header *header, struct fg_backend *backend,
                                    struct fg_message *message) {
    struct fg_bundle *bundle = NULL;
    memset(draft, 0, sizeof *draft);
    draft->header = *header;
    enum fg_status status = fg_bundle_make(path, header, folded->value, quantised, &bundle, message);
    return status == FG_OK ? fg_desk_take(&draft->desk, bundle, backend, false, message) : status;
}

enum fg_status fg_draft_open_file(struct fg_draft *draft, const char *path, struct fg_backend *backend,
                                  struct fg_message *message) {
    memset(draft, 0, sizeof *draft);
    enum fg_status status = fg_desk_open(&draft->desk, path, backend, false, message);
    if (status == FG_OK)
        draft->header = *fg_bundle_header(draft->desk.bundle);
    return status;
}

static struct fg_evidence list_evidence(const struct fg_draft *draft) {
    return (struct fg_evidence){.input = draft->picture,
                                .map = draft->map,
                                .good = draft->good,
                                .scene_mean = draft->scene_mean,
                                .scene_scale = draft->scene_scale,
                                .place_mean = draft->place_mean,
                                .place_scale = draft->place_scale};
}

enum fg_status fg_draft_reload(struct fg_draft *draft, struct fg_message *message) {
    const struct fg_evidence evidence = list_evidence(draft);
    struct fg_backend *backend = draft->desk.backend;
    struct fg_bundle *copy = NULL;
    enum fg_status status = fg_bundle_copy(draft->desk.bundle, &draft->header, &evidence, &copy, message);
    if (status != FG_OK)
        return status;
    fg_desk_close(&draft->desk);
    return fg_desk_take(&draft->desk, copy, backend, false, message);
}

enum fg_status fg_draft_write(const struct fg_draft *draft, const char *path, struct fg_message *message) {
    const struct fg_evidence evidence = list_evidence(draft);
    return fg_bundle_write(draft->desk.bundle, path, &draft->header, draft->picture ? &evidence : NULL,
                           message);
}

enum fg_status fg_draft_replace(const struct fg_draft *draft, const char *path, const char *ending,
                                struct fg_message *message) {
    char backup[4096];
    if ((size_t)snprintf(backup, sizeof backup, "%s%s", path, ending) >= sizeof backup)
        return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", path);
    const enum fg_status status = fg_file_copy(path, backup, message);
    return status == FG_OK ? fg_draft_write(draft, path, message) : status;
}

void fg_draft_close(struct fg_draft *draft) {
    fg_desk_close(&draft->desk);
    free(draft->picture);
    free(draft->map);
    free(draft->good);
    free(draft->scene_mean);
    free(draft->scene_scale);
    free(draft->place_mean);
    free(draft->place_scale);
    memset(draft, 0, sizeof *draft);
}

void fg_draft_name(const char *path, char name[FG_NAME_SIZE]) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    snprintf(name, FG_NAME_SIZE, "%.*s", (int)(strlen(base) - strlen(FG_BUNDLE_ENDING)), base);
    for (char *c = name; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '_';
}
