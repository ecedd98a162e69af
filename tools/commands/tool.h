/* The commands of flawgate. To add one, write its file with a function fg_tool_NAME, its struct fg_usage and
 * its table of options (runtime/base/usage.h), and add its line to FG_TOOLS. Nothing else lists them.
 *
 * A command gets its own name in argv[0] and returns the exit status: 0, 1 (the answer is no), 2 (usage), 3
 * (environment, wrong input), 70 (device lost).
 *
 * Errors: a command prints them itself. Owner: nothing is kept. Thread: the main thread. NULL: argv may not
 * be. */
#ifndef FG_TOOLS_COMMANDS_TOOL_H
#define FG_TOOLS_COMMANDS_TOOL_H

/* Name and what it does, in the order of flawgate --help. */
#define FG_TOOLS(TOOL)                                                                                       \
    TOOL(infer, "judges picture files with a bundle")                                                        \
    TOOL(eval, "says how well a bundle judges the test pictures of a category")                              \
    TOOL(calibrate, "sets a bundle's threshold anew from good parts")                                        \
    TOOL(bench, "measures how fast this machine judges and trains")                                          \
    TOOL(bundle, "shows, verifies, exports or quantises a bundle")                                           \
    TOOL(monitor, "shows what a PLC sees of a running line")                                                 \
    TOOL(registers, "prints the Modbus map for people, as CSV or as Markdown")                               \
    TOOL(log, "prints the score of every part that a line has logged")                                       \
    TOOL(check, "says what is wrong with a configuration, its ports and its memory")                         \
    TOOL(line, "drives and watches the ios of a simulated board")                                            \
    TOOL(demo, "makes parts, trains, evaluates and runs a simulated line")                                   \
    TOOL(version, "says what this build has")

#define FG_TOOL_FUNCTION(name, does) int fg_tool_##name(int argc, char **argv);
FG_TOOLS(FG_TOOL_FUNCTION)

#endif
