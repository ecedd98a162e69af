/* The layers' part of flawgate bench.
 *
 * Errors: those of tools/bench/layers.h. Owner: the caller, of all arguments. Thread: the main thread. NULL:
 * only a message may be. */
#ifndef FG_TOOLS_COMMANDS_BENCH_LAYERS_H
#define FG_TOOLS_COMMANDS_BENCH_LAYERS_H

#include "trainer/bundle/folded.h"

/* Times the layers of a network that judges one picture on the CPU, with 1 thread and then with threads, and
 * prints a table for each, or as JSON a line for each layer. */
FG_MUST_USE enum fg_status fg_bench_layers(const struct fg_network *network, const struct fg_folded *folded,
                                           uint32_t threads, bool json, struct fg_message *message);

#endif
