/* Reads every byte of a bundle and counts what is damaged. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/bundle/file.h"

static size_t find_largest_tensor(const struct fg_bundle *bundle) {
    size_t largest = (size_t)bundle->header.spec.height * (size_t)bundle->header.spec.width;
    for (uint32_t i = 0; i < bundle->tensors; i++) {
        const struct fg_tensor t = fg_param_tensor(&bundle->network.param[bundle->tensor[i].param]);
        if (fg_tensor_count(&t) > largest)
            largest = fg_tensor_count(&t);
    }
    return largest;
}

static bool are_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

/* Counts one stream; count 0: its values are bytes. Keeps the first failure's status and message. */
static void count_stream(struct fg_bundle_facts *facts, enum fg_status loaded, const struct fg_message *why,
                         const float *values, size_t count, enum fg_status *status,
                         struct fg_message *message) {
    facts->streams++;
    if (loaded == FG_OK) {
        facts->infinite += !are_finite(values, count);
        return;
    }
    facts->damaged++;
    if (*status == FG_OK && message)
        *message = *why;
    if (*status == FG_OK)
        *status = loaded;
}

enum fg_status fg_bundle_verify(const char *path, struct fg_bundle_facts *facts, struct fg_message *message) {
    memset(facts, 0, sizeof *facts);
    struct fg_bundle *bundle;
    enum fg_status status = fg_bundle_open(path, &bundle, message);
    if (status != FG_OK)
        return status;
    facts->header = true;
    facts->calibrated = bundle->header.calibrated;
    facts->has_signature = fg_bundle_key_id(bundle) != NULL;
    float *values =
        malloc(find_largest_tensor(bundle) * sizeof *values); /* has room for the picture's bytes too */
    struct fg_good *good =
        malloc((size_t)fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_GOOD).w * sizeof *good + 1);
    void *scratch = malloc(fg_bundle_scratch());
    if (!values || !good || !scratch) {
        status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to read it", path);
        goto out;
    }
    for (int i = 0; i < FG_ANNEX_EVIDENCE; i++) /* opening has read these */
        facts->streams += (uint32_t)fg_annex_tensor(bundle, &bundle->header, (enum fg_annex)i).n;
    struct fg_message why;
    for (uint32_t i = 0; i < bundle->tensors; i++) {
        const struct fg_tensor t = fg_param_tensor(&bundle->network.param[bundle->tensor[i].param]);
        enum fg_status loaded = fg_bundle_load(bundle, i, values, scratch, &why);
        count_stream(facts, loaded, &why, values, fg_tensor_count(&t), &status, message);
    }
    if (bundle->header.calibrated) {
        const struct fg_tensor map = fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_MAP);
        enum fg_status loaded = fg_bundle_self_test(bundle, (uint8_t *)values, NULL, scratch, &why);
        count_stream(facts, loaded, &why, values, 0, &status, message);
        loaded = fg_bundle_self_test(bundle, NULL, values, scratch, &why);
        count_stream(facts, loaded, &why, values, fg_tensor_count(&map), &status, message);
        if (fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_GOOD).n) {
            loaded = fg_bundle_good(bundle, good, scratch, &why);
            count_stream(facts, loaded, &why, values, 0, &status, message);
        }
        const struct fg_tensor scene = fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_SCENE_MEAN),
                               place = fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_PLACE_MEAN);
        for (int scale = 0; scale < 2 && scene.n; scale++) {
            loaded = fg_bundle_scene(bundle, scale ? NULL : values, scale ? values : NULL, scratch, &why);
            count_stream(facts, loaded, &why, values, fg_tensor_count(&scene), &status, message);
        }
        for (int scale = 0; scale < 2 && place.n; scale++) {
            loaded = fg_bundle_places(bundle, scale ? NULL : values, scale ? values : NULL, scratch, &why);
            count_stream(facts, loaded, &why, values, fg_tensor_count(&place), &status, message);
        }
    }
out:
    free(scratch);
    free(good);
    free(values);
    fg_bundle_close(bundle);
    return status;
}
