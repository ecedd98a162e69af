/* The commands of flawgate, one file each. Each gets its own name in argv[0] and returns the exit status: 0,
 * 1 (the answer is no), 2 (usage), 3 (environment, wrong input), 70 (device lost). */
#ifndef FG_TOOLS_COMMANDS_TOOL_H
#define FG_TOOLS_COMMANDS_TOOL_H

/* What --help prints. */
extern const char fg_help_infer[], fg_help_eval[], fg_help_calibrate[], fg_help_bench[], fg_help_bundle[],
    fg_help_monitor[], fg_help_check[], fg_help_line[], fg_help_demo[], fg_help_version[],
    fg_help_registers[];

int fg_tool_infer(int argc, char **argv);
int fg_tool_bench(int argc, char **argv);
int fg_tool_eval(int argc, char **argv);
int fg_tool_calibrate(int argc, char **argv);
int fg_tool_bundle(int argc, char **argv);
int fg_tool_monitor(int argc, char **argv);
int fg_tool_registers(int argc, char **argv);
int fg_tool_check(int argc, char **argv);
int fg_tool_line(int argc, char **argv);
int fg_tool_demo(int argc, char **argv);
int fg_tool_version(int argc, char **argv);

#endif
