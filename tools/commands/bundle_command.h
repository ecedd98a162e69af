/* The parts of flawgate bundle, each in a file of its own. */
#ifndef FG_TOOLS_COMMANDS_BUNDLE_COMMAND_H
#define FG_TOOLS_COMMANDS_BUNDLE_COMMAND_H

#include "tools/commands/common.h"

/* Prints what the header says, and the tensors. */
FG_MUST_USE enum fg_status fg_bundle_show(const char *path, const struct fg_common *common,
                                          struct fg_message *message);

/* Writes the weights of NAME.fgb (folded) or NAME.state (as trained, the best epoch's) as safetensors. */
FG_MUST_USE enum fg_status fg_bundle_export(const char *path, const char *out, const struct fg_common *common,
                                            struct fg_message *message);

#endif
