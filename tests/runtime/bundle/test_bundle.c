/* The bundle at its boundary: what is written comes back, and nothing damaged or hostile is taken. The bundle
 * is that of a network with 1/16 of the channels. */
#include "tests/runtime/bundle/small_bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <zlib.h>

#include "runtime/base/half.h"

#define DRAWN_PLACES 10000

/* The nearest of all halves, found by looking at the neighbours in value. */
static void test_half(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float value = fg_half_to_float((uint16_t)h);
        const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
        const double sign = h >> 15 ? -1 : 1;
        if (exponent == 31 && mantissa) {
            assert_true(isnan(value));
            assert_true(isnan(fg_half_to_float(fg_float_to_half(value))));
            continue;
        }
        const double expected = exponent == 31 ? INFINITY
                                : exponent     ? ldexp(1024 + mantissa, (int)exponent - 25)
                                               : ldexp(mantissa, -24);
        assert_true((double)value == sign * expected && !signbit(value) == !(h >> 15));
        assert_int_equal(fg_float_to_half(value), h);
    }
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float low = fg_half_to_float((uint16_t)h), high = fg_half_to_float((uint16_t)(h + 1));
        const float middle = 0.5f * low + 0.5f * high;
        assert_int_equal(fg_float_to_half(nextafterf(middle, 0)), h);
        assert_int_equal(fg_float_to_half(nextafterf(middle, 1e9f)), h + 1);
        assert_int_equal(fg_float_to_half(middle), h & 1 ? h + 1 : h);
    }
    assert_int_equal(fg_float_to_half(65519.9f), 0x7bff);
    assert_int_equal(fg_float_to_half(-65520.0f), 0xfc00);
    assert_true(fg_bfloat_to_float(0xc0a0) == -5.0f);
}

static void test_round_trip(void **state) {
    (void)state;
    write_bundle(path);
    struct fg_bundle *bundle = open_bundle(path);
    const struct fg_bundle_header *h = fg_bundle_header(bundle);
    assert_memory_equal(&h->contract, &header.contract, sizeof header.contract);
    assert_true(h->calibrated && h->spec.base == 4 && h->spec.scconv && !h->spec.soft_gate);
    assert_true(h->calibration.threshold == 1.5f && h->calibration.location == -0.25f &&
                h->calibration.family == FG_TAIL_GUMBEL);
    assert_int_equal(h->calibration.pictures + h->calibration.odd, GOOD);
    assert_true(h->provenance.seed == UINT64_MAX - 1 && h->provenance.global_loss);
    assert_true(h->provenance.pro == 0.5f);
    assert_memory_equal(h->provenance.data_hash, header.provenance.data_hash, FG_HASH_SIZE);
    assert_string_equal(h->provenance.name, header.provenance.name);
    assert_string_equal(h->compatible, "press 4");
    assert_int_equal(h->security_counter, UINT32_MAX);
    assert_null(fg_bundle_key_id(bundle));

    void *scratch = malloc(fg_bundle_scratch());
    uint32_t seen = 0;
    for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++) {
        const uint32_t param = fg_bundle_tensor(bundle, i)->param;
        float *loaded = malloc(count_of(param) * sizeof(float));
        assert_int_equal(fg_bundle_load(bundle, i, loaded, scratch, &message), FG_OK);
        assert_int_equal(fg_bundle_tensor(bundle, i)->dtype, FG_F16);
        for (size_t k = 0; k < count_of(param); k++)
            assert_true(fabsf(loaded[k] - values[param][k]) <= 0.1f / 2048);
        free(loaded);
        seen++;
    }
    uint32_t folded = 0;
    for (uint32_t i = 0; i < network.params; i++)
        folded += values[i] != NULL;
    assert_int_equal(seen, folded);

    static uint8_t picture_back[sizeof picture];
    static float map_back[PIXELS];
    assert_int_equal(fg_bundle_self_test(bundle, picture_back, map_back, scratch, &message), FG_OK);
    assert_memory_equal(picture_back, picture, sizeof picture);
    assert_memory_equal(map_back, map, sizeof map);
    float mean_back[SCENE], scale_back[SCENE];
    assert_true(h->scene_limit == 2.5f);
    assert_int_equal(fg_bundle_scene(bundle, mean_back, scale_back, scratch, &message), FG_OK);
    assert_memory_equal(mean_back, scene[0], sizeof mean_back);
    assert_memory_equal(scale_back, scene[1], sizeof scale_back);
    static float place_back[2][PIXELS];
    assert_int_equal(h->spec.score, FG_SCORE_PRODUCT_LOCAL);
    assert_int_equal(fg_bundle_places(bundle, place_back[0], place_back[1], scratch, &message), FG_OK);
    assert_memory_equal(place_back, place, sizeof place);
    static struct fg_good good_back[GOOD];
    assert_int_equal(fg_bundle_good(bundle, good_back, scratch, &message), FG_OK);
    for (int i = 0; i < GOOD; i++) {
        assert_true(good_back[i].group == good[i].group && good_back[i].score == good[i].score);
        assert_memory_equal(good_back[i].hash, good[i].hash, FG_GOOD_HASH);
    }
    free(scratch);
    fg_bundle_close(bundle);

    struct fg_bundle_facts facts;
    assert_int_equal(fg_bundle_verify(path, &facts, &message), FG_OK);
    assert_true(facts.header && facts.calibrated && !facts.has_signature && !facts.infinite);
    assert_int_equal(facts.streams, folded + 7);
}

/* Whatever network can be built can be stored. */
static void test_every_backbone(void **state) {
    (void)state;
    static struct fg_network other_network;
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        struct fg_bundle_header h = header;
        h.spec.backbone = (enum fg_backbone)backbone;
        assert_int_equal(fg_network_init(&other_network, &h.spec, &message), FG_OK);
        size_t most = 0;
        for (uint32_t i = 0; i < other_network.params; i++) {
            const struct fg_tensor t = fg_param_tensor(&other_network.param[i]);
            most = fg_tensor_count(&t) > most ? fg_tensor_count(&t) : most;
        }
        float *zeros = calloc(most, sizeof *zeros);
        const float *all[FG_NETWORK_PARAMS];
        for (uint32_t i = 0; i < FG_NETWORK_PARAMS; i++)
            all[i] = zeros;
        struct fg_bundle *bundle = make_bundle(&h, all);
        assert_int_equal(fg_bundle_header(bundle)->spec.backbone, backbone);
        fg_bundle_close(bundle);
        free(zeros);
    }
}

/* Made in memory it leaves no file, is uncalibrated, and has the streams that the file gets, bit for bit. */
static void test_made_in_memory(void **state) {
    (void)state;
    unlink(path);
    struct fg_bundle *made = NULL;
    assert_int_equal(fg_bundle_make(path, &header, written(), NULL, &made, &message), FG_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_false(fg_bundle_header(made)->calibrated);
    assert_string_equal(fg_bundle_path(made), path);
    assert_int_equal(fg_bundle_write(made, path, &header, &evidence, &message), FG_OK);
    struct fg_bundle *bundle = open_bundle(path);
    assert_int_equal(fg_bundle_tensors(made), fg_bundle_tensors(bundle));
    void *scratch = malloc(fg_bundle_scratch());
    for (uint32_t i = 0; i < fg_bundle_tensors(made); i++) {
        const struct fg_bundle_tensor *a = fg_bundle_tensor(made, i), *b = fg_bundle_tensor(bundle, i);
        assert_int_equal(a->param, b->param);
        assert_int_equal(a->stored, b->stored);
        assert_memory_equal(a->hash, b->hash, sizeof a->hash);
        const size_t bytes = count_of(a->param) * sizeof(float);
        float *before = malloc(bytes), *after = malloc(bytes);
        assert_int_equal(fg_bundle_load(made, i, before, scratch, &message), FG_OK);
        assert_int_equal(fg_bundle_load(bundle, i, after, scratch, &message), FG_OK);
        assert_memory_equal(before, after, bytes);
        free(before);
        free(after);
    }
    free(scratch);
    fg_bundle_close(bundle);
    fg_bundle_close(made);
}

/* Values that float16 cannot hold stay exactly what they are. */
static void test_float32_exceptions(void **state) {
    (void)state;
    static const float hard[] = {1e6f, 3e-8f, INFINITY, NAN};
    const uint32_t param = (uint32_t)fg_network_find(&network, "fmm.0.gen2.bias");
    float *const kept = values[param];
    void *scratch = malloc(fg_bundle_scratch());
    for (size_t k = 0; k < sizeof hard / sizeof *hard; k++) {
        float changed[64] = {0}, loaded[64];
        assert_true(count_of(param) <= 64);
        changed[1] = hard[k];
        values[param] = changed;
        write_bundle(other);
        values[param] = kept;
        struct fg_bundle *bundle = open_bundle(other);
        for (uint32_t i = 0; i < fg_bundle_tensors(bundle); i++) {
            const struct fg_bundle_tensor *t = fg_bundle_tensor(bundle, i);
            assert_int_equal(t->dtype, t->param == param ? FG_F32 : FG_F16);
            if (t->param == param)
                assert_int_equal(fg_bundle_load(bundle, i, loaded, scratch, &message), FG_OK);
        }
        assert_memory_equal(loaded, changed, count_of(param) * sizeof(float));
        fg_bundle_close(bundle);
        struct fg_bundle_facts facts;
        assert_int_equal(fg_bundle_verify(other, &facts, &message), FG_OK);
        assert_int_equal(facts.infinite, k >= 2);
    }
    free(scratch);
}

/* Loads the stream that byte belongs to, of a bundle opened before the byte was changed. */
static bool loads(const struct fg_bundle *bundle, uint64_t byte, float *loaded, void *scratch) {
    for (uint32_t i = 0; i < bundle->tensors; i++)
        if (byte - bundle->tensor[i].offset < bundle->tensor[i].stored)
            return fg_bundle_load(bundle, i, loaded, scratch, &message) == FG_OK;
    if (byte - bundle->annex[FG_ANNEX_GOOD].offset < bundle->annex[FG_ANNEX_GOOD].stored)
        return fg_bundle_good(bundle, (struct fg_good[GOOD]){{.score = 0}}, scratch, &message) == FG_OK;
    float mean[SCENE], scale[SCENE];
    for (int i = FG_ANNEX_SCENE_MEAN; i <= FG_ANNEX_SCENE_SCALE; i++)
        if (byte - bundle->annex[i].offset < bundle->annex[i].stored)
            return fg_bundle_scene(bundle, mean, scale, scratch, &message) == FG_OK;
    for (int i = FG_ANNEX_PLACE_MEAN; i <= FG_ANNEX_PLACE_SCALE; i++)
        if (byte - bundle->annex[i].offset < bundle->annex[i].stored)
            return fg_bundle_places(bundle, loaded, loaded, scratch, &message) == FG_OK;
    const bool input = byte - bundle->annex[FG_ANNEX_INPUT].offset < bundle->annex[FG_ANNEX_INPUT].stored;
    return fg_bundle_self_test(bundle, input ? (uint8_t *)loaded : NULL, input ? NULL : loaded, scratch,
                               &message) == FG_OK;
}

/* Flips one bit of the byte, has it noticed, and puts it back. */
static void flip(int file, off_t at, const char *from, const struct fg_bundle *bundle, float *loaded,
                 void *scratch) {
    unsigned char byte, flipped;
    assert_int_equal(pread(file, &byte, 1, at), 1);
    flipped = (unsigned char)(byte ^ 1 << at % 8);
    assert_int_equal(pwrite(file, &flipped, 1, at), 1);
    const bool head = (uint64_t)at < bundle->tensor[0].offset;
    if (head ? opens(from) : loads(bundle, (uint64_t)at, loaded, scratch))
        fail_msg("byte %lld: the flip was not noticed", (long long)at);
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
}

static void test_every_byte(void **state) {
    (void)state;
    write_bundle(path);
    struct fg_bundle *bundle = open_bundle(path);
    float *loaded = malloc(((size_t)1 << 20) * sizeof(float));
    void *scratch = malloc(fg_bundle_scratch());
    int file = open(path, O_RDWR);
    struct stat info;
    assert_int_equal(fstat(file, &info), 0);
    for (off_t at = 0; at < info.st_size; at++)
        flip(file, at, path, bundle, loaded, scratch);
    printf("%lld bytes flipped, of them %llu of head, fields and table\n", (long long)info.st_size,
           (unsigned long long)bundle->tensor[0].offset);
    assert_true(opens(path));
    for (off_t size = info.st_size; size-- > 0;) {
        assert_int_equal(ftruncate(file, size), 0);
        if (opens(path))
            fail_msg("the cut to %lld bytes was not noticed", (long long)size);
    }
    close(file);
    free(scratch);
    free(loaded);
    fg_bundle_close(bundle);
    write_bundle(path);
    file = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(file, "", 1), 1);
    close(file);
    assert_false(opens(path));
}

/* A ResNet-18 of full size: every byte of head, fields and table, and places drawn from all of it. */
static void test_full_size(void **state) {
    (void)state;
    static struct fg_network full;
    struct fg_bundle_header whole = header;
    whole.spec.base = 64;
    whole.spec.height = whole.spec.width = 256;
    whole.scene_limit = 0; /* the test has no such large scene, and not so many places */
    whole.spec.score = FG_SCORE_SUM;
    assert_int_equal(fg_network_init(&full, &whole.spec, &message), FG_OK);
    const float *drawn[FG_NETWORK_PARAMS] = {NULL};
    size_t most = 0;
    for (uint32_t i = 0; i < full.params; i++) {
        const struct fg_tensor t = fg_param_tensor(&full.param[i]);
        const size_t count = fg_tensor_count(&t);
        float *made = fg_param_folded(&full.param[i]) ? malloc(count * sizeof(float)) : NULL;
        for (size_t k = 0; made && k < count; k++)
            made[k] = draw(i, (uint32_t)k);
        most = count > most ? count : most;
        drawn[i] = made;
    }
    const size_t pixels = (size_t)256 * 256;
    uint8_t *large_picture = calloc(pixels, 3);
    float *large_map = calloc(pixels, sizeof(float));
    struct fg_bundle *bundle = make_bundle(&whole, drawn);
    assert_int_equal(fg_bundle_write(bundle, path, &whole,
                                     &(struct fg_evidence){.input = large_picture,
                                                           .map = large_map,
                                                           .good = good,
                                                           .scene_mean = scene[0],
                                                           .scene_scale = scene[1]},
                                     &message),
                     FG_OK);
    fg_bundle_close(bundle);
    for (uint32_t i = 0; i < full.params; i++)
        free((void *)drawn[i]);
    bundle = open_bundle(path);
    float *loaded = malloc(most * sizeof(float));
    void *scratch = malloc(fg_bundle_scratch());
    int file = open(path, O_RDWR);
    struct stat info;
    assert_int_equal(fstat(file, &info), 0);
    const off_t first = (off_t)bundle->tensor[0].offset;
    for (off_t at = 0; at < first; at++)
        flip(file, at, path, bundle, loaded, scratch);
    for (uint32_t k = 0; k < DRAWN_PLACES; k++) {
        const struct fg_philox r = fg_philox(7, k, 0, 0, 0);
        const uint64_t wide = (uint64_t)r.word[0] << 32 | r.word[1];
        flip(file, (off_t)(wide % (uint64_t)info.st_size), path, bundle, loaded, scratch);
    }
    printf("%lld bytes of head, fields and table and %d of all %lld flipped\n", (long long)first,
           DRAWN_PLACES, (long long)info.st_size);
    struct fg_bundle_facts facts;
    assert_int_equal(fg_bundle_verify(path, &facts, &message), FG_OK);
    close(file);
    free(scratch);
    free(loaded);
    free(large_map);
    free(large_picture);
    fg_bundle_close(bundle);
}

static void test_hostile_table(void **state) {
    (void)state;
    struct forge f = forge_begin();
    fg_put_u32(f.bytes + 4, 2);
    expect_refused(f, "version 2");
    f = forge_begin();
    fg_put_u32(f.bytes + 16, UINT32_MAX);
    expect_refused(f, "bytes of fields");
    f = forge_begin();
    fg_put_u32(f.bytes + 20, UINT32_MAX / FG_BUNDLE_ENTRY + 1);
    expect_refused(f, "entries in the table");
    f = forge_begin();
    fg_put_u32(f.bytes + 16, 65536);
    fg_put_u32(f.bytes + 20, FG_BUNDLE_ENTRIES);
    f.size = 4096;
    fg_put_u64(f.bytes + 8, f.size);
    expect_refused(f, "copy it again");
    f = forge_begin();
    fg_put_u64(entry_of(&f, 1) + 84, fg_get_u64(entry_of(&f, 0) + 84));
    expect_refused(f, "must begin at");
    f = forge_begin();
    fg_put_u64(entry_of(&f, 0) + 92, UINT64_MAX);
    expect_refused(f, "must begin at");
    f = forge_begin();
    fg_put_u64(entry_of(&f, entries_of(&f) - 1) + 92, 1);
    expect_refused(f, "behind the last stream");
    f = forge_begin();
    memcpy(entry_of(&f, 5), entry_of(&f, 4), FG_NAME_SIZE);
    expect_refused(f, "there twice");
    f = forge_begin();
    memset(entry_of(&f, 5), 'x', FG_NAME_SIZE);
    expect_refused(f, "a name of 64 bytes");
    f = forge_begin();
    entry_of(&f, 5)[FG_NAME_SIZE - 1] = 'x';
    expect_refused(f, "filled up with zeros");
    f = forge_begin();
    fg_put_u32(entry_of(&f, 5) + 80, 9);
    expect_refused(f, "of element type 9");
    f = forge_begin();
    fg_put_u32(entry_of(&f, 5) + 76, 0x80000004);
    expect_refused(f, "x2147483652, not ");
    /* All three kinds at once, each named. */
    f = forge_begin();
    snprintf((char *)entry_of(&f, 0), FG_NAME_SIZE, "teacher.conv9.weight");
    fg_put_u32(entry_of(&f, 1) + 64, 3);
    expect_refused(f, "3 tensors are not the network's: teacher.conv9.weight is extra; teacher.bn1.bias is "
                      "3x1x1x4, not 1x1x1x4; teacher.conv1.weight is missing");
}

static void test_hostile_fields(void **state) {
    (void)state;
    static const unsigned char unknown[] = {11, 0, FG_BUNDLE_BYTES, 0, 3, 0, 0, 0, 1, 2, 3};
    unsigned char field[sizeof unknown];
    const size_t levels = FG_BUNDLE_HEAD + 8 * (FG_BUNDLE_FIELD + 4); /* field 9 */
    const size_t score = levels + FG_BUNDLE_FIELD + 4, behind = score + FG_BUNDLE_FIELD + 4;

    struct forge f = forge_begin();
    forge_insert(&f, behind, unknown, sizeof unknown);
    forge_end(&f, other);
    if (!opens(other))
        fail_msg("an unknown field that need not be understood: %s", message.text);
    memcpy(field, unknown, sizeof field);
    field[3] = FG_BUNDLE_MUST;
    f = forge_begin();
    forge_insert(&f, behind, field, sizeof field);
    expect_refused(f, "field 11 must be understood");
    field[3] = 2;
    f = forge_begin();
    forge_insert(&f, behind, field, sizeof field);
    expect_refused(f, "unknown flags");
    memcpy(field, unknown, sizeof field);
    field[4] = 0xff;
    field[7] = 0xff;
    f = forge_begin();
    forge_insert(&f, behind, field, sizeof field);
    expect_refused(f, "beyond the fields' end");
    f = forge_begin();
    forge_insert(&f, score, f.bytes + levels, FG_BUNDLE_FIELD + 4);
    expect_refused(f, "field 9 stands behind field 9");
    f = forge_begin();
    f.bytes[levels + 2] = FG_BUNDLE_F32;
    expect_refused(f, "field spec.levels: type 3");
    f = forge_begin();
    fg_put_u32(f.bytes + levels + FG_BUNDLE_FIELD, 0);
    expect_refused(f, "level set 0");
    f = forge_begin();
    fg_put_u32(f.bytes + levels + FG_BUNDLE_FIELD, 8);
    expect_refused(f, "at most 7");
    f = forge_begin();
    fg_put_u32(f.bytes + score + FG_BUNDLE_FIELD, FG_SCORE_FORMS);
    expect_refused(f, "field spec.score: 4, but at most 3");
    /* Places without a form that has them, and an uncalibrated bundle whose form has them. */
    f = forge_begin();
    fg_put_u32(f.bytes + score + FG_BUNDLE_FIELD, FG_SCORE_SUM);
    expect_refused(f, "place.mean is extra");
    f = forge_begin();
    fg_put_u32(f.bytes + behind + 4 * (FG_BUNDLE_FIELD + 4) + strlen(header.contract.format) - 4 +
                   FG_BUNDLE_FIELD,
               0);
    expect_refused(f, "score product-local: a bundle that is not calibrated");
    f = forge_begin();
    fg_put_u16(f.bytes + levels, 8);
    expect_refused(f, "field 8 stands behind field 8");
    f = forge_begin();
    forge_cut(&f, levels, FG_BUNDLE_FIELD + 4);
    expect_refused(f, "field spec.levels is missing");
    f = forge_begin();
    fg_put_u32(f.bytes + FG_BUNDLE_HEAD + FG_BUNDLE_FIELD, UINT32_MAX); /* the first: the backbone */
    char most[32];
    snprintf(most, sizeof most, "at most %d", FG_BACKBONES - 1);
    expect_refused(f, most);

    /* What the reader refuses is not written either. */
    struct fg_bundle_header bad = header;
    bad.calibration.threshold = NAN;
    struct fg_bundle *bundle = make_bundle(&header, written()), *none = NULL;
    assert_int_equal(fg_bundle_write(bundle, other, &bad, &evidence, &message), FG_USAGE);
    assert_non_null(strstr(message.text, "calibration.threshold: not a finite number"));
    assert_int_equal(fg_bundle_make(other, &bad, written(), NULL, &none, &message), FG_USAGE);
    assert_non_null(strstr(message.text, "calibration.threshold: not a finite number"));
    fg_bundle_close(bundle);
}

/* What an older program did not know yet is 0; what a newer one has added is skipped. */
static void test_other_versions(void **state) {
    (void)state;
    struct forge f = forge_begin();
    size_t at = FG_BUNDLE_HEAD;
    while (fg_get_u16(f.bytes + at) != 82)
        at += FG_BUNDLE_FIELD + fg_get_u32(f.bytes + at + 4);
    fg_put_u16(f.bytes + at, 83);
    forge_end(&f, other);
    struct fg_bundle *bundle = open_bundle(other);
    assert_true(fg_bundle_header(bundle)->provenance.pro == 0);
    assert_string_equal(fg_bundle_header(bundle)->provenance.name, header.provenance.name);
    assert_string_equal(fg_bundle_header(bundle)->compatible, "press 4");
    fg_bundle_close(bundle);
}

/* Streams with the right checksum and the wrong content. */
static void test_hostile_streams(void **state) {
    (void)state;
    static unsigned char plain[2 * PIXELS * sizeof(float)], packed[65536];
    float *loaded = malloc(PIXELS * sizeof(float));
    void *scratch = malloc(fg_bundle_scratch());
    enum { RIGHT, SHORT, LONG, TRAILING, CUT, NOT_ZLIB, CASES };
    for (int k = 0; k < CASES; k++) {
        const size_t right = PIXELS * sizeof(float);
        uLongf size = sizeof packed;
        assert_int_equal(compress(packed, &size, plain, k == SHORT ? right - 1 : right + (k == LONG)), Z_OK);
        if (k == NOT_ZLIB)
            memset(packed, 0xff, size);
        struct forge f = forge_begin();
        forge_stream(&f, entries_of(&f) - 1, packed, k == TRAILING ? size + 1 : k == CUT ? size - 1 : size);
        forge_end(&f, other);
        struct fg_bundle *bundle = open_bundle(other);
        enum fg_status status = fg_bundle_self_test(bundle, NULL, loaded, scratch, &message);
        if (status != (k == RIGHT ? FG_OK : FG_INPUT))
            fail_msg("stream %d: status %d", k, status);
        assert_true(k == RIGHT || strstr(message.text, FG_BUNDLE_MAP " is damaged"));
        fg_bundle_close(bundle);
    }
    free(scratch);
    free(loaded);
}

static void test_not_a_bundle(void **state) {
    (void)state;
    assert_false(opens(folder));
    assert_false(opens("/dev/null"));
    assert_false(opens("/nowhere/at.fgb"));
    unlink(other);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_false(opens(other)); /* and does not wait for a writer */
    unlink(other);
}

/* Good pictures that no program writes are refused, and which one it is is said. */
static void test_wrong_good_pictures(void **state) {
    (void)state;
    const struct fg_good wrong[] = {
        {.group = FG_GOOD_GROUPS, .score = 1}, {.score = NAN}, {.score = INFINITY}};
    const struct fg_good right = good[5];
    struct fg_good back[GOOD];
    struct fg_bundle_facts facts;
    void *scratch = malloc(fg_bundle_scratch());
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        good[5] = wrong[i];
        write_bundle(path);
        struct fg_bundle *bundle = open_bundle(path);
        assert_int_equal(fg_bundle_good(bundle, back, scratch, &message), FG_INPUT);
        assert_non_null(strstr(message.text, "good.pictures: picture 6 is wrong"));
        assert_int_equal(fg_bundle_verify(path, &facts, &message), FG_INPUT);
        assert_int_equal(facts.damaged, 1);
        fg_bundle_close(bundle);
    }
    good[5] = right;

    /* A scale is above 0, and none of the values may hide what a place shows. */
    static const float wrong_place[][2] = {{0, 0}, {0, -1}, {0, INFINITY}, {0, NAN}, {NAN, 1}, {INFINITY, 1}};
    const float mean = place[0][3], scale = place[1][3];
    for (size_t i = 0; i < sizeof wrong_place / sizeof *wrong_place; i++) {
        place[0][3] = wrong_place[i][0];
        place[1][3] = wrong_place[i][1];
        write_bundle(path);
        struct fg_bundle *bundle = open_bundle(path);
        static float places[2][PIXELS];
        assert_int_equal(fg_bundle_places(bundle, places[0], places[1], scratch, &message), FG_INPUT);
        assert_non_null(strstr(message.text, "place 4: its mean or scale is wrong"));
        assert_int_equal(fg_bundle_verify(path, &facts, &message), FG_INPUT);
        fg_bundle_close(bundle);
    }
    place[0][3] = mean;
    place[1][3] = scale;
    free(scratch);
}

static void test_written_again(void **state) {
    (void)state;
    struct fg_bundle_header raw = header;
    raw.calibrated = false;
    raw.spec.score = FG_SCORE_SUM;
    struct fg_bundle *bundle = make_bundle(&raw, written());
    assert_int_equal(fg_bundle_write(bundle, path, &raw, NULL, &message), FG_OK);
    fg_bundle_close(bundle);
    bundle = open_bundle(path);
    assert_false(fg_bundle_header(bundle)->calibrated);
    float ignored;
    assert_int_equal(fg_bundle_self_test(bundle, NULL, &ignored, &ignored, &message), FG_INPUT);

    /* Over itself; then it is what was written calibrated at once. */
    assert_int_equal(fg_bundle_write(bundle, path, &header, &evidence, &message), FG_OK);
    fg_bundle_close(bundle);
    write_bundle(other);
    bundle = open_bundle(path);
    struct fg_bundle *direct = open_bundle(other);
    assert_int_equal(fg_bundle_checksum(bundle), fg_bundle_checksum(direct));
    fg_bundle_close(direct);

    /* A new header alone: weights and self-test stay. */
    struct fg_bundle_header judged = header;
    judged.provenance.test_pictures = 83;
    judged.provenance.pro = 0.95f;
    assert_int_equal(fg_bundle_write(bundle, path, &judged, NULL, &message), FG_OK);
    fg_bundle_close(bundle);
    bundle = open_bundle(path);
    assert_true(fg_bundle_header(bundle)->provenance.pro == 0.95f);
    static float map_back[PIXELS];
    void *scratch = malloc(fg_bundle_scratch());
    assert_int_equal(fg_bundle_self_test(bundle, NULL, map_back, scratch, &message), FG_OK);
    free(scratch);
    assert_memory_equal(map_back, map, sizeof map_back);

    /* Damage is not sealed in, and leaves what was there. */
    const off_t at = (off_t)fg_bundle_tensor(bundle, 3)->offset;
    int file = open(path, O_WRONLY);
    assert_int_equal(pwrite(file, "?", 1, at), 1);
    close(file);
    assert_int_equal(fg_bundle_write(bundle, other, &header, &evidence, &message), FG_INPUT);
    fg_bundle_close(bundle);
    struct fg_bundle_facts facts;
    assert_int_equal(fg_bundle_verify(other, &facts, &message), FG_OK);
    assert_int_equal(fg_bundle_verify(path, &facts, &message), FG_INPUT);
    assert_true(facts.header && facts.damaged == 1);
}

/* No room (here: a limit of the process) is said, and the old file stays. */
static void test_full_disk(void **state) {
    (void)state;
    write_bundle(other);
    struct fg_bundle *bundle = make_bundle(&header, written());
    struct rlimit old, little;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    little = (struct rlimit){.rlim_cur = 60000, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    enum fg_status status = fg_bundle_write(bundle, other, &header, &evidence, &message);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, FG_ENVIRONMENT);
    assert_non_null(strstr(message.text, strerror(EFBIG)));
    fg_bundle_close(bundle);
    struct fg_bundle_facts facts;
    assert_int_equal(fg_bundle_verify(other, &facts, &message), FG_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_made_in_memory),
        cmocka_unit_test(test_every_backbone),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_full_size),
        cmocka_unit_test(test_float32_exceptions),
        cmocka_unit_test(test_hostile_table),
        cmocka_unit_test(test_hostile_fields),
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_hostile_streams),
        cmocka_unit_test(test_not_a_bundle),
        cmocka_unit_test(test_wrong_good_pictures),
        cmocka_unit_test(test_written_again),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
