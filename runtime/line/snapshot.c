/* The snapshot cell: one writer, any number of readers, no lock. */
#include "runtime/line/snapshot.h"

#include <string.h>

/* A sequence lock without fences: every word is stored with release and loaded with acquire, so a reader that
 * has met one word of a newer snapshot also sees its odd (or later) sequence number, and tries again. */
void fg_snapshot_publish(struct fg_snapshot_cell *cell, const struct fg_snapshot *snapshot) {
    uint64_t word[FG_SNAPSHOT_WORDS] = {0};
    memcpy(word, snapshot, sizeof *snapshot);
    uint32_t sequence = atomic_load_explicit(&cell->sequence, memory_order_relaxed);
    atomic_store_explicit(&cell->sequence, sequence + 1, memory_order_relaxed);
    for (size_t i = 0; i < FG_SNAPSHOT_WORDS; i++)
        atomic_store_explicit(&cell->word[i], word[i], memory_order_release);
    atomic_store_explicit(&cell->sequence, sequence + 2, memory_order_release);
}

void fg_snapshot_read(struct fg_snapshot_cell *cell, struct fg_snapshot *snapshot) {
    uint64_t word[FG_SNAPSHOT_WORDS];
    uint32_t before, after;
    do {
        before = atomic_load_explicit(&cell->sequence, memory_order_acquire);
        for (size_t i = 0; i < FG_SNAPSHOT_WORDS; i++)
            word[i] = atomic_load_explicit(&cell->word[i], memory_order_acquire);
        after = atomic_load_explicit(&cell->sequence, memory_order_relaxed);
    } while (before != after || before & 1);
    memcpy(snapshot, word, sizeof *snapshot);
}
