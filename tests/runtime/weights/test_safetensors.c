/* Safetensors: what is written comes back, other programs' files are taken, wrong ones are named tensor by
 * tensor and hostile ones refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/philox.h"
#include "runtime/base/bytes.h"
#include "runtime/base/half.h"
#include "runtime/weights/safetensors.h"

static char folder[64], path[128], other[128];
static struct fg_network network;
static float *values[FG_NETWORK_PARAMS], *loaded[FG_NETWORK_PARAMS];
static struct fg_message message;

static size_t get_count(uint32_t param) {
    const struct fg_tensor t = fg_param_tensor(&network.param[param]);
    return fg_tensor_count(&t);
}

static struct fg_network_spec make_spec(enum fg_backbone backbone) {
    return (struct fg_network_spec){.backbone = backbone,
                                    .height = 64,
                                    .width = 64,
                                    .base = 4,
                                    .scconv = true,
                                    .simam = true,
                                    .fmm = true,
                                    .levels = 7};
}

static void drop_network(void) {
    for (uint32_t i = 0; i < network.params; i++) {
        free(values[i]);
        free(loaded[i]);
    }
    network.params = 0;
}

static void make_network(enum fg_backbone backbone) {
    drop_network();
    const struct fg_network_spec s = make_spec(backbone);
    assert_int_equal(fg_network_init(&network, &s, &message), FG_OK);
    for (uint32_t i = 0; i < network.params; i++) {
        values[i] = malloc(get_count(i) * sizeof(float));
        loaded[i] = malloc(get_count(i) * sizeof(float));
        for (size_t k = 0; k < get_count(i); k++)
            values[i][k] = fg_philox_uniform(fg_philox(3, (uint32_t)k, i, 0, 0).word[0]) - 0.5f;
    }
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/flawgate-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    snprintf(other, sizeof other, "%s/b.safetensors", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    drop_network();
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

static const float *const *get_written(void) {
    return (const float *const *)values;
}

static struct fg_safetensors *open_file(const char *from) {
    struct fg_safetensors *file = NULL;
    if (fg_safetensors_open(from, &file, &message) != FG_OK)
        fail_msg("%s", message.text);
    return file;
}

static void load_file(const char *from, enum fg_safetensors_kind kind) {
    struct fg_safetensors *file = open_file(from);
    struct fg_report report = {0};
    if (fg_safetensors_load(file, kind, &network, loaded, &report, &message) != FG_OK)
        fail_msg("%s", message.text);
    assert_int_equal(report.lines, 0);
    fg_safetensors_close(file);
}

static void *read_all(const char *from, size_t *size) {
    FILE *file = fopen(from, "rb");
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*size);
    assert_int_equal(fread(bytes, *size, 1, file), 1);
    fclose(file);
    return bytes;
}

static void test_round_trip(void **state) {
    (void)state;
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        make_network((enum fg_backbone)backbone);
        assert_int_equal(fg_safetensors_write(path, &network, get_written(), &message), FG_OK);
        load_file(path, FG_SAFETENSORS_NETWORK);
        for (uint32_t i = 0; i < network.params; i++)
            assert_memory_equal(loaded[i], values[i], get_count(i) * sizeof(float));
        struct fg_safetensors *file = open_file(path);
        enum fg_backbone found;
        assert_int_equal(fg_safetensors_backbone(file, FG_SAFETENSORS_NETWORK, &found, &message), FG_OK);
        assert_int_equal(found, backbone);
        fg_safetensors_close(file);
    }
    size_t size, again;
    assert_int_equal(fg_safetensors_write(other, &network, get_written(), &message), FG_OK);
    void *a = read_all(path, &size), *b = read_all(other, &again);
    assert_int_equal(size, again);
    assert_memory_equal(a, b, size);
    free(a);
    free(b);
}

/* The stored order is PyTorch's: (d0, d1, kh, kw), read here by hand. */
static void test_order(void **state) {
    (void)state;
    make_network(FG_RESNET18);
    assert_int_equal(fg_safetensors_write(path, &network, get_written(), &message), FG_OK);
    struct fg_safetensors *file = open_file(path);
    const struct fg_safetensors_tensor *t = fg_safetensors_find(file, "teacher.conv1.weight");
    if (!t) {
        fail();
        return;
    }
    const size_t offset = (size_t)t->offset;
    assert_true(t->rank == 4 && t->shape[1] == 3 && offset % 8 == 0);
    size_t size;
    unsigned char *bytes = read_all(path, &size);
    const int32_t param = fg_network_find(&network, "teacher.conv1.weight");
    for (size_t o = 0; o < 4; o++)
        for (size_t c = 0; c < 3; c++)
            for (size_t y = 0; y < 7; y++)
                for (size_t x = 0; x < 7; x++) {
                    const size_t stored = ((o * 3 + c) * 7 + y) * 7 + x, ours = ((o * 7 + y) * 7 + x) * 3 + c;
                    assert_true(fg_bits_float(fg_get_u32(bytes + offset + 4 * stored)) ==
                                values[param][ours]);
                }
    free(bytes);
    fg_safetensors_close(file);
}

/* A folded network's batch norms are written as ones that change nothing but add the bias. */
static void test_folded(void **state) {
    (void)state;
    make_network(FG_RESNET18);
    const float *folded[FG_NETWORK_PARAMS];
    for (uint32_t i = 0; i < network.params; i++)
        folded[i] = fg_param_folded(&network.param[i]) ? values[i] : NULL;
    assert_int_equal(fg_safetensors_write(path, &network, folded, &message), FG_OK);
    load_file(path, FG_SAFETENSORS_NETWORK);
    for (uint32_t i = 0; i < network.params; i++)
        for (size_t k = 0; k < get_count(i); k++) {
            const enum fg_param_kind kind = network.param[i].kind;
            const float expected = folded[i]                    ? values[i][k]
                                   : kind == FG_PARAM_BN_WEIGHT ? 1.0f
                                   : kind == FG_PARAM_BN_VAR    ? 0.99999f
                                                                : 0.0f;
            assert_true(loaded[i][k] == expected);
        }
}

static void test_teacher(void **state) {
    (void)state;
    for (int backbone = 0; backbone < FG_BACKBONES; backbone++) {
        make_network((enum fg_backbone)backbone);
        const int32_t large = fg_network_find(&network, "teacher.bn1.running_var");
        values[large][0] = 1e6f; /* stays float32 */
        assert_int_equal(fg_safetensors_write_teacher(path, &network, get_written(), &message), FG_OK);
        struct fg_safetensors *file = open_file(path);
        enum fg_backbone found;
        assert_int_equal(fg_safetensors_backbone(file, FG_SAFETENSORS_TEACHER, &found, &message), FG_OK);
        assert_int_equal(found, backbone);
        assert_string_equal(fg_safetensors_find(file, "bn1.running_var")->type, "F32");
        assert_string_equal(fg_safetensors_find(file, "conv1.weight")->type, "F16");
        fg_safetensors_close(file);
        load_file(path, FG_SAFETENSORS_TEACHER);
        for (uint32_t i = 0; i < network.params; i++)
            if (network.param[i].module == FG_TEACHER)
                for (size_t k = 0; k < get_count(i); k++)
                    assert_true(fabsf(loaded[i][k] - values[i][k]) <= 0.5f / 2048);
    }
}

/* Writes a file from a header's text and size bytes of data. It claims the given length of header, or the
 * real one where that is 0. */
static void write_file(const char *header, uint64_t claimed, const void *data, size_t size) {
    FILE *file = fopen(other, "wb");
    unsigned char length[8];
    fg_put_u64(length, claimed ? claimed : strlen(header));
    fwrite(length, 8, 1, file);
    fwrite(header, strlen(header), 1, file);
    if (size)
        fwrite(data, size, 1, file);
    assert_int_equal(fclose(file), 0);
}

static void test_hostile(void **state) {
    (void)state;
    static const unsigned char data[64];
#define TENSOR(name, shape, begin, end)                                                                      \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
#define META "\"__metadata__\":{\"a\\u00e9\\\"\":\"b\"}"
    static const struct {
        const char *header;
        size_t size;
        const char *because; /* NULL when the file is taken */
    } cases[] = {
        {"{" TENSOR("a", "2,1", "0", "8") "," TENSOR("b", "", "8", "12") "," META "}  ", 12, NULL},
        {" { " META " , \"a\" : { \"data_offsets\" : [ 0 , 4 ] , \"shape\" : [ ] , \"dtype\" : \"F32\" } } ",
         4, NULL},
        {"{" TENSOR("b", "1", "8", "12") "," TENSOR("a", "2", "0", "8") "}", 12, NULL},
        {"{" TENSOR("a", "0,5", "0", "0") "," TENSOR("b", "1", "0", "4") "}", 4, NULL},
        {"{}", 0, "no tensor"},
        {"[]", 0, "begins with {"},
        {"{" TENSOR("a", "1", "0", "4"), 4, "does not end"},
        {"{" TENSOR("a", "1", "0", "4") "}x", 4, "behind the header's end"},
        {"{" TENSOR("a", "1", "0", "4") ",}", 4, "name in quotes"},
        {"{" TENSOR("a", "1", "0", "4") "," TENSOR("a", "1", "4", "8") "}", 8, "a is there twice"},
        {"{" TENSOR("a", "1", "0", "4") "," TENSOR("b", "1", "0", "4") "}", 4, "must begin at 4"},
        {"{" TENSOR("a", "1", "0", "4") "," TENSOR("b", "2", "2", "10") "}", 10, "must begin at 4"},
        {"{" TENSOR("a", "1", "4", "8") "}", 8, "must begin at 0"},
        {"{" TENSOR("a", "1", "0", "4") "}", 5, "1 bytes behind"},
        {"{" TENSOR("a", "1", "0", "4") "}", 3, "end within"},
        {"{" TENSOR("a", "1", "4", "0") "}", 4, "begin and end"},
        {"{" TENSOR("a", "2", "0", "4") "}", 4, "do not fit its type and shape"},
        {"{" TENSOR("a", "4294967296,4294967297", "0", "4") "}", 4, "do not fit its type and shape"},
        {"{" TENSOR("a", "18446744073709551617", "0", "4") "}", 4, "too large"},
        {"{" TENSOR("a", "-1", "0", "4") "}", 4, "whole number"},
        {"{" TENSOR("a", "01", "0", "4") "}", 4, "whole number"},
        {"{" TENSOR("a", "1.0", "0", "4") "}", 4, "list does not end"},
        {"{" TENSOR("a", "1,1,1,1,1,1,1,1,1", "0", "4") "}", 4, "list is too long"},
        {"{" TENSOR("a", "[[[[", "0", "4") "}", 4, "whole number"},
        {"{" TENSOR("a\\u0000", "1", "0", "4") "}", 4, "printable ASCII"},
        {"{" TENSOR("a\x1b[2J", "1", "0", "4") "}", 4, "printable ASCII"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown element type"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "each once"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "each once"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":{}}}", 4, "each once"},
        {"{" META "," META "," TENSOR("a", "1", "0", "4") "}", 4, "__metadata__ is there twice"},
        {"{\"__metadata__\":{\"a\":{}}," TENSOR("a", "1", "0", "4") "}", 4, "text in quotes"},
        {"{\"__metadata__\":{\"a\":\"\\x\"}," TENSOR("a", "1", "0", "4") "}", 4, "unknown escape"},
        {"{\"__metadata__\":{\"a\":\"\\u12", 4, "four digits"},
        {"{\"a", 0, "does not end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(cases[i].header, 0, data, cases[i].size);
        struct fg_safetensors *file = NULL;
        enum fg_status status = fg_safetensors_open(other, &file, &message);
        if (status != (cases[i].because ? FG_INPUT : FG_OK))
            fail_msg("%s: status %d: %s", cases[i].header, status, message.text);
        if (cases[i].because && !strstr(message.text, cases[i].because))
            fail_msg("%s: %s", cases[i].header, message.text);
        if (status == FG_OK)
            fg_safetensors_close(file);
    }
    static const uint64_t lengths[] = {1, 39, 1ull << 40, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct fg_safetensors *file = NULL;
        write_file("{" TENSOR("a", "1", "0", "4") "}", lengths[i], NULL, 0);
        assert_int_equal(fg_safetensors_open(other, &file, &message), FG_INPUT);
    }
}

/* A good file that is cut anywhere is refused. With one bit of its header changed it is refused, or still
 * describes all its bytes. Neither is a crash. */
static void test_mutations(void **state) {
    (void)state;
    make_network(FG_RESNET18);
    assert_int_equal(fg_safetensors_write_teacher(path, &network, get_written(), &message), FG_OK);
    size_t size;
    unsigned char *bytes = read_all(path, &size);
    const size_t header = 8 + (size_t)fg_get_u64(bytes);
    struct fg_safetensors *file = NULL;
    FILE *out = fopen(other, "wb");
    assert_int_equal(fwrite(bytes, size, 1, out), 1);
    fflush(out);
    for (size_t at = 0; at < header; at++) {
        const unsigned char flipped = (unsigned char)(bytes[at] ^ 1 << at % 8);
        assert_int_equal(pwrite(fileno(out), &flipped, 1, (off_t)at), 1);
        if (fg_safetensors_open(other, &file, &message) == FG_OK)
            fg_safetensors_close(file);
        assert_int_equal(pwrite(fileno(out), &bytes[at], 1, (off_t)at), 1);
    }
    for (size_t cut = size; cut-- > header - 64;) {
        assert_int_equal(ftruncate(fileno(out), (off_t)cut), 0);
        if (cut % 97 == 0 || cut < header + 64)
            assert_int_equal(fg_safetensors_open(other, &file, &message), FG_INPUT);
    }
    fclose(out);
    free(bytes);
}

/* Every wrong tensor has its line. */
static void test_report(void **state) {
    (void)state;
    make_network(FG_RESNET18);
    const int32_t shape = fg_network_find(&network, "bottleneck.fuse.weight"),
                  name = fg_network_find(&network, "student.layer1.0.bn1.bias"),
                  bad = fg_network_find(&network, "fmm.1.gen1.bias");
    static struct fg_network changed;
    changed = network;
    changed.param[shape].shape[0] /= 2;
    changed.param[shape].shape[1] *= 2;
    snprintf(changed.param[name].name, FG_NAME_SIZE, "student.layer1.0.bn1.bius");
    snprintf(changed.param[0].name, FG_NAME_SIZE, "teacher.layer4.0.num_batches_tracked");
    assert_int_equal(fg_safetensors_write(path, &changed, get_written(), &message), FG_OK);
    struct fg_safetensors *file = open_file(path);
    struct fg_report report = {0};
    assert_int_equal(fg_safetensors_load(file, FG_SAFETENSORS_NETWORK, &network, loaded, &report, &message),
                     FG_INPUT);
    assert_string_equal(report.text, "teacher.conv1.weight is missing\n"
                                     "bottleneck.fuse.weight is 8x96x1x1, not 16x48x1x1\n"
                                     "student.layer1.0.bn1.bias is missing\n"
                                     "student.layer1.0.bn1.bius is extra\n");
    assert_non_null(
        strstr(message.text, "4 tensors do not fit the network: teacher.conv1.weight is missing; "));
    fg_report_free(&report);
    fg_safetensors_close(file);

    values[bad][1] = NAN;
    assert_int_equal(fg_safetensors_write(path, &network, get_written(), &message), FG_OK);
    file = open_file(path);
    assert_int_equal(fg_safetensors_load(file, FG_SAFETENSORS_NETWORK, &network, loaded, &report, &message),
                     FG_INPUT);
    assert_string_equal(report.text, "fmm.1.gen1.bias has a value that is not finite\n");
    fg_report_free(&report);
    /* Read as a teacher alone, everything is wrong; the message keeps to its size. */
    assert_int_equal(fg_safetensors_load(file, FG_SAFETENSORS_TEACHER, &network, loaded, &report, &message),
                     FG_INPUT);
    assert_true(report.lines > network.params);
    assert_non_null(strstr(message.text, " more"));
    fg_report_free(&report);
    fg_safetensors_close(file);
}

static void test_types(void **state) {
    (void)state;
    make_network(FG_RESNET18);
    static struct fg_network tiny; /* one vector of four */
    tiny = network;
    tiny.params = 1;
    tiny.param[0] =
        (struct fg_param){.name = "teacher.x", .module = FG_TEACHER, .rank = 1, .shape = {4, 1, 1, 1}};
    static const struct {
        const char *type;
        uint16_t bits[4];
    } cases[] = {
        {"F16", {0x3c00, 0x8001, 0x7bff, 0xb555}}, {"BF16", {0x3f80, 0xb380, 0x477f, 0xbeaa}}, {"I16", {0}}};
    static const float expected[2][4] = {{1.0f, -0x1p-24f, 65504.0f, -0.33325195f},
                                         {1.0f, -0x1p-24f, 65280.0f, -0.33203125f}};
    for (size_t k = 0; k < 3; k++) {
        char header[256];
        unsigned char data[8];
        for (size_t i = 0; i < 4; i++)
            fg_put_u16(data + 2 * i, cases[k].bits[i]);
        snprintf(header, sizeof header,
                 "{\"x\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,8]},\"layer4.1.x\":{\"dtype\":"
                 "\"I64\",\"shape\":[0],\"data_offsets\":[8,8]},\"fc.bias\":{\"dtype\":\"U8\",\"shape\":[0],"
                 "\"data_offsets\":[8,8]},\"bn1.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[0],"
                 "\"data_offsets\":[8,8]}}",
                 cases[k].type);
        write_file(header, 0, data, sizeof data);
        struct fg_safetensors *file = open_file(other);
        struct fg_report report = {0};
        float back[4], *into[] = {back};
        enum fg_status status =
            fg_safetensors_load(file, FG_SAFETENSORS_TEACHER, &tiny, into, &report, &message);
        if (k < 2) {
            assert_int_equal(status, FG_OK);
            assert_memory_equal(back, expected[k], sizeof back);
        } else {
            assert_int_equal(status, FG_INPUT);
            assert_string_equal(report.text, "x is of type I16, not F32, F16 or BF16\n");
        }
        fg_report_free(&report);
        fg_safetensors_close(file);
    }
}

static void test_pytorch_file(void **state) {
    (void)state;
    static const char *const starts[] = {"PK\003\004....................", "\200\002....................."};
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(other, "wb");
        fwrite(starts[i], 16, 1, file);
        fclose(file);
        struct fg_safetensors *opened = NULL;
        assert_int_equal(fg_safetensors_open(other, &opened, &message), FG_INPUT);
        assert_non_null(strstr(message.text, "Convert it: python3 -c"));
    }
}

static void test_shared_teacher(void **state) {
    (void)state;
    static const char weights[] = "../shared/weights/resnet18.safetensors";
    if (access(weights, R_OK)) {
        puts("skipped: ../shared/weights/resnet18.safetensors is not there");
        skip();
    }
    struct fg_network_spec s = make_spec(FG_RESNET18);
    s.base = 64;
    drop_network();
    assert_int_equal(fg_network_init(&network, &s, &message), FG_OK);
    for (uint32_t i = 0; i < network.params; i++) {
        values[i] = NULL;
        loaded[i] = network.param[i].module == FG_TEACHER ? malloc(get_count(i) * sizeof(float)) : NULL;
    }
    struct fg_safetensors *file = open_file(weights);
    enum fg_backbone backbone;
    assert_int_equal(fg_safetensors_backbone(file, FG_SAFETENSORS_TEACHER, &backbone, &message), FG_OK);
    assert_int_equal(backbone, FG_RESNET18);
    fg_safetensors_close(file);
    load_file(weights, FG_SAFETENSORS_TEACHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_folded),       cmocka_unit_test(test_teacher),
        cmocka_unit_test(test_hostile),      cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_report),       cmocka_unit_test(test_types),
        cmocka_unit_test(test_pytorch_file), cmocka_unit_test(test_shared_teacher),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
