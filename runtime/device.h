/* Which backend computes: the choice that command lines and the configuration name. */
#ifndef FG_RUNTIME_DEVICE_H
#define FG_RUNTIME_DEVICE_H

#include "kernels/backend.h"

/* Opens "auto" or "cpu" with one lane of so many threads; 0: as many as this process may run on. FG_USAGE for
 * another name. */
enum fg_status fg_device_open(const char *device, uint32_t threads, struct fg_backend **backend,
                              struct fg_message *message);

#endif
