/* Commands of servers, which wait in the queue of requests. The line's thread alone takes them. */
#ifndef FG_RUNTIME_LINE_COMMANDS_H
#define FG_RUNTIME_LINE_COMMANDS_H

struct fg_line;

struct fg_request;

/* Carries out or refuses the list of a request, and answers when its effects are published. */
void fg_commands_answer(struct fg_line *l, struct fg_request *request);

#endif
