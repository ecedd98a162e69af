/* Fills the places of standard input, output and error. */
#include "runtime/base/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

void fg_descriptors_fill(void) {
    int descriptor; /* the lowest that is free */
    do
        descriptor = open("/dev/null", O_RDWR);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor >= 0)
        close(descriptor);
}
