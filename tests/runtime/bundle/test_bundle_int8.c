/* Bundles with int8 weights: what is written comes back, is copied as it is, and is multiplied where floats
 * are wanted; nothing damaged or hostile is taken. */
#include "tests/runtime/bundle/small_bundle.h"

#include <fcntl.h>
#include <math.h>
#include <zlib.h>

#include "runtime/base/half.h"

static struct fg_quantised all[FG_NETWORK_PARAMS]; /* every convolution that can be int8 is */
static uint32_t count;                             /* how many these are */

/* Gives the value whose numbers a reader of this one reads, since a mask does nothing when judging. */
static int32_t source_of(int32_t value) {
    for (uint32_t n = 0; n < network.nodes; n++)
        if (network.node[n].op == FG_MASK && network.node[n].out[0] == value)
            return network.node[n].in[0];
    return value;
}

static int set_up_int8(void **state) {
    if (set_up(state))
        return -1;
    for (uint32_t n = 0; n < network.nodes; n++) {
        const struct fg_node *node = &network.node[n];
        if (!fg_node_can_be_int8(&network, node))
            continue;
        const uint32_t i = (uint32_t)node->weight;
        const int32_t channels = fg_param_channels(&network.param[i]), from = source_of(node->in[0]);
        struct fg_quantised *q = &all[i];
        q->weight = malloc(count_of(i));
        q->scale = malloc((size_t)channels * sizeof *q->scale);
        for (size_t k = 0; k < count_of(i); k++)
            q->weight[k] = (int8_t)(fg_philox(3, (uint32_t)k, i, 0, 0).word[0] % 255 - 127);
        for (int32_t c = 0; c < channels; c++)
            q->scale[c] = 0.001f * (float)(c + 1) + draw(i, 1) * 0.001f;
        q->reading = (struct fg_reading){0.01f * (float)(from + 1), from % 256};
        count++;
    }
    quantised = all;
    return 0;
}

static int tear_down_int8(void **state) {
    for (int i = 0; i < FG_NETWORK_PARAMS; i++) {
        free(all[i].weight);
        free(all[i].scale);
    }
    return tear_down(state);
}

static uint32_t find(const char *name) {
    const int32_t i = fg_network_find(&network, name);
    assert_true(i >= 0);
    return (uint32_t)i;
}

static uint32_t find_tensor(const struct fg_bundle *bundle, const char *name) {
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++)
        if (fg_bundle_tensor(bundle, i)->param == find(name))
            return i;
    fail_msg("%s is not in the bundle", name);
    return 0;
}

/* Where a sink puts what it gets. */
struct received {
    unsigned char *bytes;
    size_t width, count;
};

static enum fg_status receive(void *argument, size_t at, size_t number, const void *from,
                              struct fg_message *m) {
    struct received *to = argument;
    (void)m;
    assert_int_equal(at, to->count);
    memcpy(to->bytes + at * to->width, from, number * to->width);
    to->count += number;
    return FG_OK;
}

/* Gives a tensor's values as a type; the caller frees them. */
static void *receive_as(const struct fg_bundle *bundle, uint32_t i, enum fg_dtype dtype) {
    const size_t number = count_of(fg_bundle_tensor(bundle, i)->param);
    struct received to = {malloc(number * fg_dtype_size(dtype)), fg_dtype_size(dtype), 0};
    const struct fg_bundle_sink sink = {.dtype = dtype, .put = receive, .argument = &to};
    void *scratch = malloc(fg_bundle_scratch());
    if (fg_bundle_send(bundle, i, &sink, scratch, &message) != FG_OK)
        fail_msg("%s", message.text);
    free(scratch);
    assert_int_equal(to.count, number);
    return to.bytes;
}

/* Compares all int8 weights of a bundle with what was written. */
static void compare_int8(const struct fg_bundle *bundle) {
    uint32_t seen = 0;
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++) {
        const struct fg_bundle_tensor *t = fg_bundle_tensor(bundle, i);
        const struct fg_quantised *q = &all[t->param];
        const struct fg_reading *reading = &fg_bundle_readings(bundle)[t->param];
        assert_int_equal(t->dtype == FG_I8, q->weight != NULL);
        assert_true(reading->scale == q->reading.scale && reading->zero == q->reading.zero);
        if (t->dtype != FG_I8)
            continue;
        seen++;
        int8_t *back = receive_as(bundle, i, FG_I8);
        assert_memory_equal(back, q->weight, count_of(t->param));
        assert_memory_equal(t->scale, q->scale,
                            (size_t)fg_param_channels(&network.param[t->param]) * sizeof(float));
        assert_true(t->reading.scale == q->reading.scale && t->reading.zero == q->reading.zero);
        free(back);
    }
    assert_int_equal(seen, count);
}

static void test_round_trip(void **state) {
    (void)state;
    write_bundle(path);
    struct fg_bundle *bundle = open_bundle(path);
    assert_true(count > 40);
    compare_int8(bundle);
    uint32_t transposed = 0;
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++) {
        const struct fg_bundle_tensor *t = fg_bundle_tensor(bundle, i);
        const struct fg_param *param = &network.param[t->param];
        const struct fg_tensor shape = fg_param_tensor(param);
        float *wide = receive_as(bundle, i, FG_F32);
        uint16_t *half = receive_as(bundle, i, FG_F16);
        for (size_t k = 0; k < count_of(t->param) && t->dtype == FG_I8; k++) {
            const size_t channel =
                param->transposed ? k % (size_t)shape.c : k * (size_t)shape.n / count_of(t->param);
            const float expected = (float)all[t->param].weight[k] * all[t->param].scale[channel];
            if (wide[k] != expected)
                fail_msg("%s: value %zu is %g, not %g", param->name, k, (double)wide[k], (double)expected);
            assert_int_equal(half[k], fg_float_to_half(expected));
        }
        transposed += t->dtype == FG_I8 && param->transposed;
        free(half);
        free(wide);
    }
    assert_true(transposed > 0);

    struct received none = {NULL, 1, 0};
    void *scratch = malloc(fg_bundle_scratch());
    assert_int_equal(fg_bundle_send(bundle, find_tensor(bundle, "bottleneck.scconv.gwc.weight"),
                                    &(struct fg_bundle_sink){FG_I8, receive, &none, NULL}, scratch, &message),
                     FG_USAGE);
    assert_non_null(
        strstr(message.text, "bottleneck.scconv.gwc.weight is wanted as int8, but it is stored as float"));
    free(scratch);
    fg_bundle_close(bundle);

    struct fg_bundle_facts facts;
    assert_int_equal(fg_bundle_verify(path, &facts, &message), FG_OK);
    const uint32_t streams = facts.streams;
    quantised = NULL;
    write_bundle(other);
    quantised = all;
    assert_int_equal(fg_bundle_verify(other, &facts, &message), FG_OK);
    assert_int_equal(streams, facts.streams + 3);
}

/* A bundle has what int8 weights need only where there are such. */
static void test_none(void **state) {
    (void)state;
    static const struct fg_quantised none[FG_NETWORK_PARAMS];
    quantised = none;
    struct fg_bundle *bundle = make_bundle(&header, written());
    quantised = NULL;
    struct fg_bundle *plain = make_bundle(&header, written());
    quantised = all;
    assert_int_equal(fg_bundle_checksum(bundle), fg_bundle_checksum(plain));
    for (uint32_t i = 0; i < FG_NETWORK_PARAMS; i++)
        assert_true(fg_bundle_readings(plain)[i].scale == 0);
    fg_bundle_close(plain);
    fg_bundle_close(bundle);
}

/* Calibrating, calibrating anew and a new header leave what int8 weights need as it is. */
static void test_written_again(void **state) {
    (void)state;
    struct fg_bundle_header raw = header;
    raw.calibrated = false;
    raw.spec.score = FG_SCORE_SUM;
    struct fg_bundle *made = make_bundle(&raw, written()), *copy = NULL;
    compare_int8(made);
    assert_int_equal(fg_bundle_write(made, path, &raw, NULL, &message), FG_OK);
    struct fg_bundle *bundle = open_bundle(path);
    assert_false(fg_bundle_header(bundle)->calibrated);
    compare_int8(bundle);
    assert_int_equal(fg_bundle_write(bundle, path, &header, &evidence, &message), FG_OK);
    fg_bundle_close(bundle);
    bundle = open_bundle(path);
    compare_int8(bundle);

    struct fg_bundle_header judged = header;
    judged.calibration.threshold = 3;
    assert_int_equal(fg_bundle_copy(bundle, &judged, &evidence, &copy, &message), FG_OK);
    fg_bundle_close(bundle);
    compare_int8(copy);
    assert_true(fg_bundle_header(copy)->calibration.threshold == 3);
    assert_int_equal(fg_bundle_write(copy, path, &judged, NULL, &message), FG_OK);
    fg_bundle_close(copy);
    bundle = open_bundle(path);
    compare_int8(bundle);
    for (int i = 0; i < FG_ANNEX_EVIDENCE; i++)
        assert_memory_equal(bundle->annex[i].hash, made->annex[i].hash, FG_HASH_SIZE);
    fg_bundle_close(bundle);
    fg_bundle_close(made);
}

/* Every byte of head, fields and table, of what int8 weights need, and of one int8 weight. */
static void test_every_byte(void **state) {
    (void)state;
    write_bundle(path);
    struct fg_bundle *bundle = open_bundle(path);
    const uint32_t some = find_tensor(bundle, "student.layer1.0.conv1.weight");
    float *loaded = malloc(count_of(find("student.layer1.0.conv1.weight")) * sizeof(float));
    void *scratch = malloc(fg_bundle_scratch());
    const struct {
        uint64_t offset, size;
    } part[] = {{0, bundle->tensor[0].offset},
                {bundle->annex[FG_ANNEX_WEIGHT_SCALE].offset, bundle->annex[FG_ANNEX_WEIGHT_SCALE].stored},
                {bundle->annex[FG_ANNEX_INPUT_SCALE].offset, bundle->annex[FG_ANNEX_INPUT_SCALE].stored},
                {bundle->annex[FG_ANNEX_INPUT_ZERO].offset, bundle->annex[FG_ANNEX_INPUT_ZERO].stored},
                {bundle->tensor[some].offset, bundle->tensor[some].stored}};
    const size_t parts = sizeof part / sizeof *part;
    int file = open(path, O_RDWR);
    for (size_t k = 0; k < parts; k++)
        for (off_t at = (off_t)part[k].offset; at < (off_t)(part[k].offset + part[k].size); at++) {
            unsigned char byte, flipped;
            assert_int_equal(pread(file, &byte, 1, at), 1);
            flipped = (unsigned char)(byte ^ 1 << at % 8);
            assert_int_equal(pwrite(file, &flipped, 1, at), 1);
            if (k + 1 < parts ? opens(path)
                              : fg_bundle_load(bundle, some, loaded, scratch, &message) == FG_OK)
                fail_msg("byte %lld: the flip was not noticed", (long long)at);
            assert_int_equal(pwrite(file, &byte, 1, at), 1);
        }
    close(file);
    assert_true(opens(path));
    free(scratch);
    free(loaded);
    fg_bundle_close(bundle);
}

/* Finds the place of an entry in a forged table. */
static uint32_t find_entry(const struct forge *f, const char *name) {
    for (uint32_t i = 0; i < entries_of(f); i++)
        if (!strcmp((const char *)entry_of(f, i), name))
            return i;
    fail_msg("%s is not in the table", name);
    return 0;
}

/* Finds the place of a parameter among the int8 weights of a forged table. */
static uint32_t find_int8(const struct forge *f, const char *name) {
    uint32_t place_of = 0;
    for (uint32_t i = 0; i < find_entry(f, name); i++)
        place_of += fg_get_u32(entry_of(f, i) + 80) == FG_BUNDLE_INT8;
    return place_of;
}

static void rename_entry(struct forge *f, const char *name, const char *to) {
    unsigned char *e = entry_of(f, find_entry(f, name));
    memset(e, 0, FG_NAME_SIZE);
    memcpy(e, to, strlen(to));
}

/* Replaces a stream by one of these bytes, which has a right checksum. */
static void forge_values(struct forge *f, const char *name, const void *plain, size_t size) {
    static unsigned char packed[65536];
    uLongf length = sizeof packed;
    assert_int_equal(compress(packed, &length, plain, size), Z_OK);
    forge_stream(f, find_entry(f, name), packed, length);
}

/* Puts one float among the scales of all inputs or channels, laid out as a stream has them. */
static void forge_scale(struct forge *f, const char *name, const float *scales, size_t number, size_t at,
                        float scale) {
    static unsigned char plain[4096 * 4];
    assert_true(number <= 4096);
    for (size_t i = 0; i < number; i++) {
        const uint32_t bits = fg_float_bits(i == at ? scale : scales[i]);
        for (size_t k = 0; k < 4; k++)
            plain[k * number + i] = (unsigned char)(bits >> 8 * k);
    }
    forge_values(f, name, plain, number * 4);
}

static void test_hostile_table(void **state) {
    (void)state;
    struct forge f = forge_begin();
    fg_put_u32(entry_of(&f, find_entry(&f, "teacher.bn1.bias")) + 80, FG_BUNDLE_INT8);
    expect_refused(f, "teacher.bn1.bias is of element type 4");
    f = forge_begin();
    fg_put_u32(entry_of(&f, find_entry(&f, FG_BUNDLE_INPUT)) + 80, FG_BUNDLE_INT8);
    expect_refused(f, FG_BUNDLE_INPUT " is of element type 4");
    f = forge_begin();
    fg_put_u32(entry_of(&f, find_entry(&f, FG_BUNDLE_INPUT_ZERO)) + 80, FG_BUNDLE_INT8);
    expect_refused(f, FG_BUNDLE_INPUT_ZERO " is of element type 4");
    f = forge_begin();
    fg_put_u32(entry_of(&f, find_entry(&f, FG_BUNDLE_WEIGHT_SCALE)) + 80, FG_BUNDLE_FLOAT16);
    expect_refused(f, FG_BUNDLE_WEIGHT_SCALE " is of element type 2");

    static const char *const names[] = {FG_BUNDLE_WEIGHT_SCALE, FG_BUNDLE_INPUT_SCALE, FG_BUNDLE_INPUT_ZERO};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char because[128];
        f = forge_begin();
        rename_entry(&f, names[i], "int8.other");
        snprintf(because, sizeof because, "int8.other is extra; %s is missing", names[i]);
        expect_refused(f, because);
        f = forge_begin();
        fg_put_u32(entry_of(&f, find_entry(&f, names[i])) + 76, UINT32_MAX);
        snprintf(because, sizeof because, "%s is 1x1x1x4294967295, not 1x1x1x", names[i]);
        expect_refused(f, because);
        f = forge_begin();
        rename_entry(&f, "fmm.0.gen1.bias", names[i]);
        snprintf(because, sizeof because, "%s is there twice", names[i]);
        expect_refused(f, because);
        quantised = NULL;
        f = forge_begin();
        quantised = all;
        rename_entry(&f, "fmm.0.gen1.bias", names[i]);
        snprintf(because, sizeof because, "%s is extra; fmm.0.gen1.bias is missing", names[i]);
        expect_refused(f, because);
    }

    /* An int8 weight more, or less, than the scales and readings are for. */
    f = forge_begin();
    fg_put_u32(entry_of(&f, find_entry(&f, "bottleneck.scconv.gwc.weight")) + 80, FG_BUNDLE_INT8);
    expect_refused(f, "3 tensors are not the network's: " FG_BUNDLE_WEIGHT_SCALE " is 1x1x1x");
    f = forge_begin();
    fg_put_u32(entry_of(&f, find_entry(&f, "teacher.layer1.0.conv1.weight")) + 80, FG_BUNDLE_FLOAT16);
    expect_refused(f, "3 tensors are not the network's: " FG_BUNDLE_WEIGHT_SCALE " is 1x1x1x");
    /* As many, but one convolution has two groups, of two channels each. */
    f = forge_begin();
    fg_put_u32(entry_of(&f, find_entry(&f, "bottleneck.scconv.gwc.weight")) + 80, FG_BUNDLE_INT8);
    fg_put_u32(entry_of(&f, find_entry(&f, "bottleneck.scconv.pwc1.weight")) + 80, FG_BUNDLE_FLOAT16);
    expect_refused(f, "bottleneck.scconv.gwc.weight cannot have weights of 8 bits");
}

static void test_hostile_streams(void **state) {
    (void)state;
    static const float wrong[] = {0, -1, INFINITY, NAN};
    static const unsigned char zeros[4096 * 4 + 1];
    write_bundle(path);
    struct fg_bundle *bundle = open_bundle(path);
    const size_t channels = bundle->channels;
    float *scales = malloc(channels * sizeof *scales), inputs[FG_NETWORK_PARAMS];
    memcpy(scales, bundle->scale, channels * sizeof *scales);
    uint32_t k = 0;
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++)
        if (fg_bundle_tensor(bundle, i)->dtype == FG_I8)
            inputs[k++] = fg_bundle_tensor(bundle, i)->reading.scale;
    fg_bundle_close(bundle);
    assert_int_equal(k, count);

    struct forge f;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        f = forge_begin();
        forge_scale(&f, FG_BUNDLE_WEIGHT_SCALE, scales, channels, channels - 1, wrong[i]);
        char because[128];
        snprintf(because, sizeof because, FG_BUNDLE_WEIGHT_SCALE ": scale %zu is ", channels);
        expect_refused(f, because);
        f = forge_begin();
        forge_scale(&f, FG_BUNDLE_INPUT_SCALE, inputs, count, 6, wrong[i]);
        expect_refused(f, FG_BUNDLE_INPUT_SCALE ": scale 7 is ");
    }
    /* Two convolutions that read one value read it in two ways. */
    f = forge_begin();
    const uint32_t beside = find_int8(&f, "teacher.layer2.0.downsample.0.weight");
    forge_scale(&f, FG_BUNDLE_INPUT_SCALE, inputs, count, beside, 2 * inputs[beside]);
    expect_refused(f, "teacher.layer2.0.conv1.weight reads its input in another way");
    f = forge_begin();
    forge_values(&f, FG_BUNDLE_INPUT_ZERO, zeros, count);
    forge_end(&f, other);
    assert_true(opens(other));

    const struct {
        const char *name;
        size_t right;
    } stream[] = {{FG_BUNDLE_WEIGHT_SCALE, channels * 4},
                  {FG_BUNDLE_INPUT_SCALE, (size_t)count * 4},
                  {FG_BUNDLE_INPUT_ZERO, count}};
    for (size_t i = 0; i < sizeof stream / sizeof *stream; i++)
        for (int longer = 0; longer < 2; longer++) {
            char because[128];
            f = forge_begin();
            forge_values(&f, stream[i].name, zeros, longer ? stream[i].right + 1 : stream[i].right - 1);
            snprintf(because, sizeof because, "%s is damaged: its stream ", stream[i].name);
            expect_refused(f, because);
        }
    struct fg_bundle_facts facts;
    assert_int_equal(fg_bundle_verify(other, &facts, &message), FG_INPUT);
    assert_false(facts.header);
    assert_non_null(strstr(message.text, FG_BUNDLE_INPUT_ZERO " is damaged"));
    free(scales);
}

/* Two's complement has -128, an int8 weight has not: it is damage, whoever asks for the weights. */
static void test_wrong_weight(void **state) {
    (void)state;
    static const char name[] = "bottleneck.oce.0.conv2.weight";
    const size_t number = count_of(find(name));
    static unsigned char plain[65536];
    assert_true(number > FG_BUNDLE_BLOCK && number <= sizeof plain);
    memcpy(plain, all[find(name)].weight, number);
    plain[number - 1] = 0x80;
    struct forge f = forge_begin();
    forge_values(&f, name, plain, number);
    forge_end(&f, other);
    struct fg_bundle *bundle = open_bundle(other);
    void *scratch = malloc(fg_bundle_scratch());
    static const enum fg_dtype types[] = {FG_F32, FG_F16, FG_I8};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct received to = {malloc(number * 4), fg_dtype_size(types[i]), 0};
        assert_int_equal(fg_bundle_send(bundle, find_tensor(bundle, name),
                                        &(struct fg_bundle_sink){types[i], receive, &to, NULL}, scratch,
                                        &message),
                         FG_INPUT);
        assert_non_null(strstr(message.text, "conv2.weight is damaged: it has a weight of -128"));
        free(to.bytes);
    }
    free(scratch);
    fg_bundle_close(bundle);
    struct fg_bundle_facts facts;
    assert_int_equal(fg_bundle_verify(other, &facts, &message), FG_INPUT);
    assert_true(facts.header && facts.damaged == 1);
    assert_non_null(strstr(message.text, "conv2.weight is damaged: it has a weight of -128"));
}

static void expect_unwritable(const char *because) {
    struct fg_bundle *none = NULL;
    assert_int_equal(fg_bundle_make(path, &header, written(), all, &none, &message), FG_USAGE);
    if (!strstr(message.text, because))
        fail_msg("refused, not because \"%s\" but: %s", because, message.text);
}

/* What could not be read again is not written. */
static void test_unwritable(void **state) {
    (void)state;
    struct fg_quantised *const q = &all[find("teacher.layer2.0.conv1.weight")], right = *q;
    static const float wrong[] = {0, -1, INFINITY, NAN};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        q->reading.scale = wrong[i];
        expect_unwritable(FG_BUNDLE_INPUT_SCALE ": scale ");
        q->reading.scale = right.reading.scale;
        const float scale = q->scale[1];
        q->scale[1] = wrong[i];
        expect_unwritable(FG_BUNDLE_WEIGHT_SCALE ": scale ");
        q->scale[1] = scale;
    }
    q->reading.scale *= 2;
    expect_unwritable("reads its input in another way than the convolution beside it");
    q->reading = (struct fg_reading){right.reading.scale, 256};
    expect_unwritable("layer2.0.conv1.weight: the zero of its input is 256, but must be 0 to 255");
    q->reading.zero = -1;
    expect_unwritable("layer2.0.conv1.weight: the zero of its input is -1, but must be 0 to 255");
    q->reading = right.reading;
    const int8_t weight = q->weight[5];
    q->weight[5] = INT8_MIN;
    expect_unwritable("layer2.0.conv1.weight has a weight of -128");
    q->weight[5] = weight;

    /* Its two groups have two channels each. */
    const uint32_t grouped = find("bottleneck.scconv.gwc.weight");
    int8_t *numbers = calloc(count_of(grouped), 1);
    float *scales = malloc((size_t)fg_param_channels(&network.param[grouped]) * sizeof *scales);
    for (int32_t c = 0; c < fg_param_channels(&network.param[grouped]); c++)
        scales[c] = 1;
    all[grouped] = (struct fg_quantised){numbers, scales, {1, 0}};
    expect_unwritable("bottleneck.scconv.gwc.weight cannot have weights of 8 bits");
    all[grouped] = (struct fg_quantised){.weight = NULL};
    free(numbers);
    free(scales);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_none),
        cmocka_unit_test(test_written_again), cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_hostile_table), cmocka_unit_test(test_hostile_streams),
        cmocka_unit_test(test_wrong_weight),  cmocka_unit_test(test_unwritable),
    };
    return cmocka_run_group_tests(tests, set_up_int8, tear_down_int8);
}
