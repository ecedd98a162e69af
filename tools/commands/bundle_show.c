/* flawgate bundle show: prints the header of a bundle and its tensors, for people and for scripts. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/base/json.h"
#include "runtime/bundle/bundle.h"
#include "tools/commands/bundle_command.h"
#include "trainer/bundle/calibrate.h"

static size_t count_values(const struct fg_bundle *bundle, uint32_t i) {
    const struct fg_tensor t =
        fg_param_tensor(&fg_bundle_network(bundle)->param[fg_bundle_tensor(bundle, i)->param]);
    return fg_tensor_count(&t);
}

static const char *name_tensor(const struct fg_bundle *bundle, uint32_t i) {
    return fg_bundle_network(bundle)->param[fg_bundle_tensor(bundle, i)->param].name;
}

static void print_hex(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
}

static void print_network(const struct fg_network_spec *spec) {
    printf("network      %s, %d x %d (height x width), levels", fg_backbone_name(spec->backbone),
           spec->height, spec->width);
    for (uint32_t level = 1; level <= FG_NETWORK_LEVELS; level++)
        if (spec->levels >> (level - 1) & 1)
            printf(" %u", level);
    printf("; scconv %s, %s gate, simam %s, fmm %s; score %s\n", spec->scconv ? "on" : "off",
           spec->soft_gate ? "soft" : "hard", spec->simam ? "on" : "off", spec->fmm ? "on" : "off",
           fg_score_name(spec->score));
}

static void print_contract(const struct fg_contract *contract) {
    printf("pictures     ");
    if (contract->width)
        printf("%d x %d pixels (width x height)", contract->width, contract->height);
    else
        printf("of any size");
    printf(", %s, %s\n",
           contract->channels == 1   ? "grey"
           : contract->channels == 3 ? "colour"
                                     : "grey and colour",
           contract->format[0] ? contract->format : "of any format");
}

static void print_figure(const char *name, float figure) {
    if (figure < 0)
        printf(", no %s", name);
    else
        printf(", %s %.2f %%", name, 100 * (double)figure);
}

static void print_provenance(const struct fg_provenance *p) {
    printf("training     %u pictures and %u held out; %u epochs, the best is %u with loss %g held out\n",
           p->train_pictures, p->held_out_pictures, p->epochs, p->best_epoch, (double)p->held_out_loss);
    printf("recipe       batch %u, learning rate %g, l2 %g, mask rate %g, %s loss, seed %" PRIu64 "\n",
           p->batch, (double)p->learning_rate, (double)p->l2, (double)p->mask_rate,
           p->global_loss ? "global" : "position", p->seed);
    if (p->test_pictures) {
        printf("evaluation   %u test pictures", p->test_pictures);
        print_figure("image AUROC", p->image_auroc);
        print_figure("pixel AUROC", p->pixel_auroc);
        print_figure("PRO", p->pro);
        putchar('\n');
    }
    char when[32] = "?";
    const time_t seconds = (time_t)p->unix_time;
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &utc);
    printf("made         %s by %s\n", when, p->program);
    printf("data         ");
    print_hex(p->data_hash, sizeof p->data_hash);
    putchar('\n');
}

/* Whether a node is a convolution; int8: whether it is an int8 one. */
static bool is_convolution(const struct fg_bundle *bundle, const struct fg_node *node, bool int8) {
    return fg_node_is_convolution(node) && (fg_bundle_readings(bundle)[node->weight].scale > 0) == int8;
}

static uint32_t count_convolutions(const struct fg_bundle *bundle, bool int8) {
    const struct fg_network *network = fg_bundle_network(bundle);
    uint32_t count = 0;
    for (uint32_t n = 0; n < network->nodes; n++)
        count += is_convolution(bundle, &network->node[n], int8);
    return count;
}

/* Prints the names of the float convolutions, which are their weights' less ".weight". */
static void print_float_names(const struct fg_bundle *bundle, const char *quote, const char *between) {
    const struct fg_network *network = fg_bundle_network(bundle);
    uint32_t count = 0;
    for (uint32_t n = 0; n < network->nodes; n++) {
        if (!is_convolution(bundle, &network->node[n], false))
            continue;
        const char *weight = network->param[network->node[n].weight].name;
        const size_t length = strlen(weight) - strlen(".weight");
        printf("%s%s%.*s%s", count++ ? between : "", quote, (int)length, weight, quote);
    }
}

static void print_precision(const struct fg_bundle *bundle) {
    const uint32_t int8 = count_convolutions(bundle, true), all = int8 + count_convolutions(bundle, false);
    if (int8) {
        printf("precision    int8: %u of %u convolutions", int8, all);
        if (int8 < all) {
            printf("; float: ");
            print_float_names(bundle, "", ", ");
        }
        putchar('\n');
    } else {
        printf("precision    float: all %u convolutions\n", all);
    }
}

static void print_tensors(const struct fg_bundle *bundle) {
    uint64_t values = 0, stored = 0;
    uint32_t wide = 0;
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++) {
        values += count_values(bundle, i);
        stored += fg_bundle_tensor(bundle, i)->stored;
        wide += fg_bundle_tensor(bundle, i)->dtype == FG_F32;
    }
    printf("tensors      %u of %.2f M values in %.2f MiB; %u in float32, because float16 cannot hold them\n",
           fg_bundle_tensors(bundle), (double)values / 1e6, (double)stored / 1048576, wide);
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++)
        if (fg_bundle_tensor(bundle, i)->dtype == FG_F32)
            printf("             %s (%zu values)\n", name_tensor(bundle, i), count_values(bundle, i));
}

static void print_text(const struct fg_bundle *bundle) {
    const struct fg_bundle_header *header = fg_bundle_header(bundle);
    printf("bundle       %s \"%s\", checksum %08x\n", fg_bundle_path(bundle), header->provenance.name,
           fg_bundle_checksum(bundle));
    print_network(&header->spec);
    print_precision(bundle);
    print_contract(&header->contract);
    char sentence[512] = "none: it has no threshold and no self-test; run flawgate calibrate on it";
    if (header->calibrated)
        fg_decision_sentence(&header->calibration, sentence, sizeof sentence);
    printf("calibration  %s\n", sentence);
    if (header->scene_limit > 0)
        printf("scene        a frame further than %.2f from the good pictures does not pass\n",
               (double)header->scene_limit);
    else
        printf("scene        not known: a frame that shows no part may pass; calibrate the bundle anew\n");
    print_provenance(&header->provenance);
    const uint8_t *key = fg_bundle_key_id(bundle);
    printf("appliances   %s, security counter %u, ", header->compatible[0] ? header->compatible : "any",
           header->security_counter);
    if (key) {
        printf("signature of key ");
        print_hex(key, 8);
        puts(" (not checked)");
    } else {
        puts("unsigned");
    }
    print_tensors(bundle);
}

static void print_json_number(const char *key, double value) {
    printf("\"%s\":", key);
    fg_json_number(stdout, value);
    putchar(',');
}

static void print_json_figure(const char *key, const struct fg_provenance *p, float figure) {
    print_json_number(key, p->test_pictures && figure >= 0 ? (double)figure : NAN);
}

static void print_json_text(const char *key, const char *value) {
    printf("\"%s\":", key);
    fg_json_text(stdout, value);
    putchar(',');
}

static void print_json_switch(const char *key, bool value) {
    printf("\"%s\":%s,", key, value ? "true" : "false");
}

static void print_json_precision(const struct fg_bundle *bundle) {
    const uint32_t int8 = count_convolutions(bundle, true);
    print_json_text("precision", int8 ? "int8" : "float");
    printf("\"convolutions\":%u,\"float_convolutions\":[", int8 + count_convolutions(bundle, false));
    print_float_names(bundle, "\"", ",");
    printf("],");
}

static void print_json_calibration(const struct fg_bundle_header *header) {
    const struct fg_calibration *c = &header->calibration;
    if (!header->calibrated) {
        printf("\"calibration\":null,");
        return;
    }
    printf("\"calibration\":{");
    print_json_number("threshold", (double)c->threshold);
    print_json_number("doubtful", (double)c->doubtful);
    print_json_text("family", c->family == FG_TAIL_GUMBEL ? "gumbel" : "log-normal");
    print_json_number("location", (double)c->location);
    print_json_number("spread", (double)c->spread);
    print_json_number("false_rejects", (double)c->false_rejects);
    print_json_number("expected_rejects", (double)c->expected);
    print_json_number("rate_bound", (double)c->bound);
    print_json_number("bump", (double)c->bump);
    print_json_number("bump_anywhere", (double)c->bump_anywhere);
    print_json_number("self_test_score", (double)header->self_test_score);
    print_json_number("scene_limit", (double)header->scene_limit);
    printf("\"pictures\":%u,\"odd\":%u,\"unseen\":%u,\"unseen_rejected\":%u},", c->pictures, c->odd,
           c->unseen, c->rejected);
}

static void print_json_provenance(const struct fg_provenance *p) {
    printf("\"provenance\":{\"data_hash\":\"");
    print_hex(p->data_hash, sizeof p->data_hash);
    printf("\",\"train_pictures\":%u,\"held_out_pictures\":%u,\"epochs\":%u,\"best_epoch\":%u,\"batch\":%u,",
           p->train_pictures, p->held_out_pictures, p->epochs, p->best_epoch, p->batch);
    print_json_number("learning_rate", (double)p->learning_rate);
    print_json_number("l2", (double)p->l2);
    print_json_number("mask_rate", (double)p->mask_rate);
    print_json_switch("global_loss", p->global_loss);
    print_json_number("held_out_loss", (double)p->held_out_loss);
    print_json_figure("image_auroc", p, p->image_auroc);
    print_json_figure("pixel_auroc", p, p->pixel_auroc);
    print_json_figure("pro", p, p->pro);
    print_json_text("program", p->program);
    printf("\"test_pictures\":%u,\"seed\":%" PRIu64 ",\"unix_time\":%" PRIu64 "},", p->test_pictures, p->seed,
           p->unix_time);
}

static void print_json_tensors(const struct fg_bundle *bundle) {
    printf("\"tensors\":[");
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++) {
        const struct fg_bundle_tensor *t = fg_bundle_tensor(bundle, i);
        printf("%s{", i ? "," : "");
        print_json_text("name", name_tensor(bundle, i));
        printf("\"values\":%zu,\"stored\":%" PRIu64 ",\"type\":\"%s\"}", count_values(bundle, i), t->stored,
               t->dtype == FG_I8    ? "int8"
               : t->dtype == FG_F16 ? "float16"
                                    : "float32");
    }
    printf("]");
}

static void print_json(const struct fg_bundle *bundle) {
    const struct fg_bundle_header *header = fg_bundle_header(bundle);
    const struct fg_network_spec *spec = &header->spec;
    putchar('{');
    print_json_text("file", fg_bundle_path(bundle));
    print_json_text("name", header->provenance.name);
    printf("\"checksum\":\"%08x\",\"network\":{", fg_bundle_checksum(bundle));
    print_json_text("backbone", fg_backbone_name(spec->backbone));
    print_json_text("score", fg_score_name(spec->score));
    print_json_switch("scconv", spec->scconv);
    print_json_switch("simam", spec->simam);
    print_json_switch("fmm", spec->fmm);
    print_json_switch("soft_gate", spec->soft_gate);
    printf("\"height\":%d,\"width\":%d,\"base\":%d,\"levels\":%u},\"contract\":{", spec->height, spec->width,
           spec->base, spec->levels);
    print_json_text("format", header->contract.format);
    printf("\"width\":%d,\"height\":%d,\"channels\":%d},", header->contract.width, header->contract.height,
           header->contract.channels);
    print_json_precision(bundle);
    print_json_switch("calibrated", header->calibrated);
    print_json_calibration(header);
    print_json_provenance(&header->provenance);
    print_json_text("compatible", header->compatible);
    printf("\"security_counter\":%u,", header->security_counter);
    print_json_switch("signature", fg_bundle_key_id(bundle) != NULL);
    print_json_tensors(bundle);
    puts("}");
}

enum fg_status fg_bundle_show(const char *path, const struct fg_common *common, struct fg_message *message) {
    struct fg_bundle *bundle;
    enum fg_status status = fg_bundle_open(path, &bundle, message);
    if (status != FG_OK)
        return status;
    if (common->json)
        print_json(bundle);
    else
        print_text(bundle);
    fg_bundle_close(bundle);
    return FG_OK;
}
