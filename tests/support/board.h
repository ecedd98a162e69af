/* A board for tests: the test makes its inputs and their faults, and can watch its outputs and make them
 * fail.
 *
 * Errors: FG_ENVIRONMENT from an output that is broken; where the system fails, the process ends. Owner: who
 * opens a board closes it. Thread: any; one at a time changes inputs. NULL: never. */
#ifndef FG_TESTS_SUPPORT_BOARD_H
#define FG_TESTS_SUPPORT_BOARD_H

#include "board/gpio/board.h"

/* ios: at most FG_BOARD_IOS, known by their index. The board's own close closes it. All other calls are
 * allowed to any thread. */
struct fg_board *test_board_open(uint32_t ios);

/* An input changes, now. lost: edges of it that were lost just before. */
void test_board_edge(struct fg_board *board, uint32_t io, bool level, uint32_t lost);
/* The board is gone: its descriptor hangs up. */
void test_board_vanish(struct fg_board *board);

/* From now on an output can, or cannot, be set. */
void test_board_break(struct fg_board *board, uint32_t io, bool broken);
/* An output's level, and how often it rose. */
bool test_board_level(struct fg_board *board, uint32_t io);
uint32_t test_board_rises(struct fg_board *board, uint32_t io);

#endif
