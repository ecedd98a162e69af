/* The table of boards: one line for each driver. */
#include "board/gpio/drivers.h"

#include "board/gpio/simulated.h"

const struct fg_board_driver *const fg_board_drivers[] = {
    &fg_simulated_driver,
    NULL,
};
