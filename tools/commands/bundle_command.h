/* What flawgate bundle does, each in a file of its own.
 *
 * Errors: FG_INPUT for a file that cannot be read, FG_ENVIRONMENT for memory and disk, FG_USAGE for a wrong
 * name. Owner: nothing is kept. Thread: the main thread. NULL: only a message may be. */
#ifndef FG_TOOLS_COMMANDS_BUNDLE_COMMAND_H
#define FG_TOOLS_COMMANDS_BUNDLE_COMMAND_H

#include "tools/commands/common.h"

/* Prints what a bundle's header says, and its tensors. */
FG_MUST_USE enum fg_status fg_bundle_show(const char *path, const struct fg_common *common,
                                          struct fg_message *message);

/* Writes the weights of NAME.fgb (folded) or NAME.state (as trained, the best epoch's) as safetensors. */
FG_MUST_USE enum fg_status fg_bundle_export(const char *path, const char *out, const struct fg_common *common,
                                            struct fg_message *message);

/* Makes the convolutions of a calibrated float bundle int8, finds its threshold anew with the pictures that
 * it was found with, which folder (a category in MVTec layout, or a flat one) must all have, prints what
 * became of it, and replaces it; PATH.float keeps the old one. */
FG_MUST_USE enum fg_status fg_bundle_quantise(const char *path, const char *folder, struct fg_common *common,
                                              struct fg_message *message);

#endif
