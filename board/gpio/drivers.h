/* The boards that this program can drive. The list is constant and ends with NULL.
 *
 * Errors: none. Owner: nobody; all is constant. Thread: any. NULL: the end of the list. */
#ifndef FG_BOARD_GPIO_DRIVERS_H
#define FG_BOARD_GPIO_DRIVERS_H

#include "board/gpio/board.h"

extern const struct fg_board_driver *const fg_board_drivers[];

#endif
