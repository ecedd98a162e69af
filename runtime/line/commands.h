/* Commands of servers, which wait in the queue of requests. The line's thread alone takes them. */
#ifndef FG_RUNTIME_LINE_COMMANDS_H
#define FG_RUNTIME_LINE_COMMANDS_H

struct fg_line;

/* Carries out or refuses every list that waits, and answers when its effects are published. */
void fg_commands_take(struct fg_line *l);

#endif
