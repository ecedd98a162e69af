/* Writes and reads NAME.state piece by piece, with a hash over all of them at its end. */
#include "trainer/loop/state.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file.h"

static const char MAGIC[8] = {'F', 'G', 'S', 'T', 'A', 'T', 'E', '1'};
static_assert(sizeof(struct fg_state) == 8 + 2 * 8 + 20 * 4 + 32, "struct fg_state has padding");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the state file is little-endian");

struct fg_network_spec fg_state_spec(const struct fg_state *state) {
    return (struct fg_network_spec){.backbone = (enum fg_backbone)state->backbone,
                                    .height = (int32_t)state->height,
                                    .width = (int32_t)state->width,
                                    .base = (int32_t)state->base,
                                    .scconv = state->switches & FG_STATE_SCCONV,
                                    .simam = state->switches & FG_STATE_SIMAM,
                                    .fmm = state->switches & FG_STATE_FMM,
                                    .soft_gate = state->switches & FG_STATE_SOFT_GATE,
                                    .levels = state->levels};
}

struct piece {
    void *bytes;
    size_t size;
};

#define PIECES 4

static void list_pieces(struct piece piece[PIECES], struct fg_state *state,
                        const struct fg_state_contents *contents) {
    piece[0] = (struct piece){state, sizeof *state};
    piece[1] = (struct piece){contents->weights->block, contents->weights->bytes};
    piece[2] = (struct piece){contents->best, contents->weights->moving};
    piece[3] = (struct piece){contents->moments, 2 * contents->weights->trained};
}

enum fg_status fg_state_write(const char *path, const struct fg_state *state,
                              const struct fg_state_contents *contents, struct fg_message *message) {
    struct fg_state head = *state;
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    struct piece piece[PIECES];
    list_pieces(piece, &head, contents);
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, NULL, 0, FG_HASH_SIZE);
    struct fg_file file;
    enum fg_status status = fg_file_create(&file, path, message);
    for (int i = 0; i < PIECES && status == FG_OK; i++) {
        crypto_generichash_update(&hash, piece[i].bytes, piece[i].size);
        status = fg_file_write(&file, piece[i].bytes, piece[i].size, message);
    }
    uint8_t digest[FG_HASH_SIZE];
    crypto_generichash_final(&hash, digest, sizeof digest);
    if (status == FG_OK)
        status = fg_file_write(&file, digest, sizeof digest, message);
    if (status == FG_OK)
        return fg_file_commit(&file, message);
    fg_file_abandon(&file);
    return status;
}

static enum fg_status open_state(const char *path, FILE **file, struct fg_state *state,
                                 struct fg_message *message) {
    FILE *f = fopen(path, "rb");
    if (!f)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", path);
    if (fread(state, sizeof *state, 1, f) != 1 || memcmp(state->magic, MAGIC, sizeof MAGIC)) {
        fclose(f);
        return fg_fail(message, FG_INPUT, "%.300s: not a training state of this version", path);
    }
    *file = f;
    return FG_OK;
}

enum fg_status fg_state_peek(const char *path, struct fg_state *state, struct fg_message *message) {
    FILE *file = NULL;
    enum fg_status status = open_state(path, &file, state, message);
    if (status == FG_OK)
        fclose(file);
    return status;
}

enum fg_status fg_state_read(const char *path, struct fg_state *state,
                             const struct fg_state_contents *contents, struct fg_message *message) {
    FILE *file = NULL;
    enum fg_status status = open_state(path, &file, state, message);
    if (status != FG_OK)
        return status;
    struct piece piece[PIECES];
    list_pieces(piece, state, contents);
    size_t expected = FG_HASH_SIZE;
    for (int i = 0; i < PIECES; i++)
        expected += piece[i].size;
    struct stat info;
    if (fstat(fileno(file), &info) || (size_t)info.st_size != expected) {
        status = fg_fail(message, FG_INPUT, "%.300s: %lld bytes, but a state of this network has %zu", path,
                         (long long)info.st_size, expected);
        goto out;
    }
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, NULL, 0, FG_HASH_SIZE);
    crypto_generichash_update(&hash, piece[0].bytes, piece[0].size);
    for (int i = 1; i < PIECES; i++) {
        if (piece[i].size && fread(piece[i].bytes, piece[i].size, 1, file) != 1) {
            status = fg_fail(message, FG_INPUT, "%.300s: ends early", path);
            goto out;
        }
        crypto_generichash_update(&hash, piece[i].bytes, piece[i].size);
    }
    uint8_t digest[FG_HASH_SIZE], stored[FG_HASH_SIZE];
    crypto_generichash_final(&hash, digest, sizeof digest);
    if (fread(stored, sizeof stored, 1, file) != 1 || memcmp(digest, stored, sizeof digest))
        status = fg_fail(message, FG_INPUT,
                         "%.300s: damaged (its checksum does not match); start training anew", path);
out:
    fclose(file);
    return status;
}
