/* The arena: all memory of the line, taken at start and never grown.
 *
 * One on the host, and one on the device where that has memory of its own. A block is divided into `fixed`
 * (queues, frames, Modbus; sealed once it is laid out) and `banks`, each for the largest bundle that the
 * configuration admits. A bank is filled as a whole and emptied as a whole, by one thread off the line's
 * path, while another bank serves. Sizes are exact: high water equals the plan or the plan is wrong.
 *
 * Errors: FG_USAGE for a size that is none, FG_ENVIRONMENT where there is no memory or no room. Owner: who
 * opens an arena closes it; banks and pieces end with it. Thread: one for each bank. NULL: what takes it says
 * so; a message may be. */
#ifndef FG_RUNTIME_ENGINE_ARENA_H
#define FG_RUNTIME_ENGINE_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

#define FG_MAX_BANKS 16 /* eight views, twice */

struct fg_arena;

/* One consumer's share of an arena. take hands out FG_ALIGNMENT-aligned pieces, in order. */
struct fg_bank {
    unsigned char *memory;
    size_t size, used, high_water;
    bool sealed, device; /* device: the host cannot touch it */
    const char *name;    /* what messages call it */
};

/* Takes fixed + banks * bank_size bytes: of the host from the system, every page touched, where the device is
 * the host; else of the given store from the backend, which must outlive the arena. banks 0 to FG_MAX_BANKS.
 */
FG_MUST_USE enum fg_status fg_arena_open(struct fg_backend *backend, enum fg_store store, size_t fixed,
                                         size_t bank_size, uint32_t banks, struct fg_arena **arena,
                                         struct fg_message *message);
void fg_arena_close(struct fg_arena *arena);

struct fg_bank *fg_arena_fixed(struct fg_arena *arena);
/* One of the banks; NULL where the arena is. */
struct fg_bank *fg_arena_bank(struct fg_arena *arena, uint32_t i);

/* Sum of sizes, and of high-water marks; 0 of NULL. */
size_t fg_arena_size(const struct fg_arena *arena);
size_t fg_arena_high_water(const struct fg_arena *arena);

/* Takes a piece, zeroed unless it is the device's. FG_ENVIRONMENT, with piece NULL, when the bank is sealed
 * or has no room (message says how much was asked for, of what, and how much is left). */
FG_MUST_USE enum fg_status fg_bank_take(struct fg_bank *bank, size_t bytes, const char *what, void **piece,
                                        struct fg_message *message);
/* No more takes: any later one is an error. */
void fg_bank_seal(struct fg_bank *bank);
/* Gives everything back at once. Poisoned in debug builds. */
void fg_bank_empty(struct fg_bank *bank);

#endif
