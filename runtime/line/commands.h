/* Commands of servers, which wait in the queue of requests.
 *
 * Errors: a Modbus exception in the answer. Owner: the queue owns its requests. Thread: the line's alone.
 * NULL: never. */
#ifndef FG_RUNTIME_LINE_COMMANDS_H
#define FG_RUNTIME_LINE_COMMANDS_H

struct fg_line;

struct fg_request;

/* Carries out or refuses the list of a request, and answers when its effects are published. */
void fg_commands_answer(struct fg_line *l, struct fg_request *request);

#endif
