/* The guarantee: a bank's pieces lie one behind the other and none is given back alone, so nothing fragments.
 * A take fails only when its bytes, rounded up to FG_ALIGNMENT, exceed size - used; a plan that sums rounded
 * pieces always fits. No take calls the system. */
#include "runtime/engine/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Debug builds fill what is given back, so that a use after it shows: as float32 it is a NaN, which reaches
 * the score. */
#define POISON 0xff

/* Under the address sanitizer what is not taken may not be touched, up to the byte. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define FORBID(memory, bytes) __asan_poison_memory_region(memory, bytes)
#define ALLOW(memory, bytes) __asan_unpoison_memory_region(memory, bytes)
#else
#define FORBID(memory, bytes) ((void)(memory), (void)(bytes))
#define ALLOW(memory, bytes) ((void)(memory), (void)(bytes))
#endif

struct fg_arena {
    struct fg_backend *backend; /* gave the block; NULL: the system did */
    void *block;
    size_t size;
    uint32_t banks;
    struct fg_bank fixed, bank[FG_MAX_BANKS];
};

/* Populated now: no page fault and no surprise later. */
static enum fg_status take_from_system(size_t size, void **block, struct fg_message *message) {
    *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return *block == MAP_FAILED ? fg_fail_errno(message, FG_ENVIRONMENT, errno,
                                                "arena: cannot take %zu MiB of memory", size >> 20)
                                : FG_OK;
}

enum fg_status fg_arena_open(struct fg_backend *backend, enum fg_store store, size_t fixed, size_t bank_size,
                             uint32_t banks, struct fg_arena **arena, struct fg_message *message) {
    *arena = NULL;
    if (banks > FG_MAX_BANKS)
        return fg_fail(message, FG_USAGE, "arena: %u banks, but there is room for %d", banks, FG_MAX_BANKS);
    size_t size = 0;
    if (fixed > SIZE_MAX / 2 || bank_size > SIZE_MAX / 2 ||
        !fg_size_mul(fg_size_align(bank_size), banks, &size) ||
        !fg_size_add(size, fg_size_align(fixed), &size) || !size)
        return fg_fail(message, FG_USAGE, "arena: %zu + %u * %zu bytes is no size", fixed, banks, bank_size);
    fixed = fg_size_align(fixed);
    bank_size = fg_size_align(bank_size);
    struct fg_arena *a = calloc(1, sizeof *a);
    if (!a)
        return fg_fail(message, FG_ENVIRONMENT, "arena: no memory");
    a->backend = backend->device.host_memory ? NULL : backend;
    const bool device = a->backend && store == FG_STORE_DEVICE;
    enum fg_status status = a->backend ? backend->reserve(backend, store, size, &a->block, message)
                                       : take_from_system(size, &a->block, message);
    if (status != FG_OK) {
        free(a);
        return status;
    }
    a->size = size;
    a->banks = banks;
    a->fixed = (struct fg_bank){.memory = a->block, .size = fixed, .device = device, .name = "fixed"};
    for (uint32_t i = 0; i < banks; i++)
        a->bank[i] = (struct fg_bank){.memory = (unsigned char *)a->block + fixed + i * bank_size,
                                      .size = bank_size,
                                      .device = device,
                                      .name = "bank"};
    if (!device)
        FORBID(a->block, size);
    *arena = a;
    return FG_OK;
}

void fg_arena_close(struct fg_arena *arena) {
    if (!arena)
        return;
    ALLOW(arena->block, arena->size);
    if (arena->backend)
        arena->backend->release(arena->backend, arena->block);
    else
        munmap(arena->block, arena->size);
    free(arena);
}

struct fg_bank *fg_arena_fixed(struct fg_arena *arena) {
    return &arena->fixed;
}

struct fg_bank *fg_arena_bank(struct fg_arena *arena, uint32_t i) {
    assert(!arena || i < arena->banks);
    return arena ? &arena->bank[i] : NULL;
}

size_t fg_arena_size(const struct fg_arena *arena) {
    return arena ? arena->size : 0;
}

size_t fg_arena_high_water(const struct fg_arena *arena) {
    size_t sum = arena ? arena->fixed.high_water : 0;
    for (uint32_t i = 0; arena && i < arena->banks; i++)
        sum += arena->bank[i].high_water;
    return sum;
}

enum fg_status fg_bank_take(struct fg_bank *bank, size_t bytes, const char *what, void **piece,
                            struct fg_message *message) {
    *piece = NULL;
    if (bank->sealed)
        return fg_fail(message, FG_ENVIRONMENT, "arena: %zu bytes for %s, but %s is sealed", bytes, what,
                       bank->name);
    const size_t left = bank->size - bank->used;
    if (bytes > left || fg_size_align(bytes) > left)
        return fg_fail(message, FG_ENVIRONMENT, "arena: %zu bytes for %s, but %s has %zu of %zu left", bytes,
                       what, bank->name, left, bank->size);
    *piece = bank->memory + bank->used;
    if (!bank->device) {
        ALLOW(*piece, bytes);
        memset(*piece, 0, bytes);
    }
    bank->used += fg_size_align(bytes);
    if (bank->used > bank->high_water)
        bank->high_water = bank->used;
    return FG_OK;
}

void fg_bank_seal(struct fg_bank *bank) {
    bank->sealed = true;
}

void fg_bank_empty(struct fg_bank *bank) {
    if (!bank->device) {
#ifndef NDEBUG
        ALLOW(bank->memory, bank->used);
        memset(bank->memory, POISON, bank->used);
#endif
        FORBID(bank->memory, bank->size);
    }
    bank->used = 0;
    bank->sealed = false;
}
