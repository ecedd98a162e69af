/* The parts of flawgate bundle. Each prints and returns the exit status. */
#ifndef FG_TOOLS_COMMANDS_BUNDLE_COMMAND_H
#define FG_TOOLS_COMMANDS_BUNDLE_COMMAND_H

#include <stdbool.h>

/* What the header says, and the tensors. */
int fg_bundle_show(const char *path, bool json);

/* Writes the weights of NAME.fgb (folded) or NAME.state (as trained, the best epoch's) as safetensors. */
int fg_bundle_export(const char *path, const char *out);

#endif
