/* A source of edges: what the inputs did, in order, with the time at which they did it.
 *
 * Errors: none; a board that is gone hangs up the descriptor. Owner: the board. Thread: one, which waits on
 * the descriptor and takes events until there is none. NULL: never. */
#ifndef FG_BOARD_GPIO_EDGES_H
#define FG_BOARD_GPIO_EDGES_H

#include <stdbool.h>
#include <stdint.h>

struct fg_edge {
    uint32_t io;       /* index in the list that the board was opened with */
    bool level;        /* logical level after the edge: active-low is undone */
    int64_t time_ns;   /* when the edge was, on fg_clock_ns's clock */
    uint32_t sequence; /* counts the io's edges */
    uint32_t lost;     /* edges of this io that were lost just before this one */
};

struct fg_edges {
    int descriptor; /* readable while an event waits; hung up once the board is gone */
    /* Takes the oldest event; false when none waits. */
    bool (*next)(struct fg_edges *edges, struct fg_edge *edge);
};

#endif
