/* Numeric IP addresses: those that are bound, and those of clients. IPv4 addresses are compared as mapped
 * ones, so that one address is the same over a socket of either kind.
 *
 * Errors: false, or a size of 0, for a text that is no address. Owner: the caller, of every argument; none is
 * kept. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_MODBUS_ADDRESS_H
#define FG_RUNTIME_MODBUS_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

bool fg_address_parse(const char *text, struct in6_addr *address);

/* Makes the socket address to bind to, and gives its size. */
socklen_t fg_address_to_bind(const char *text, uint16_t port, struct sockaddr_storage *address);

/* A socket's address, and its port. */
struct in6_addr fg_address_of(const struct sockaddr_storage *socket);
uint16_t fg_address_port(const struct sockaddr_storage *socket);

/* Writes an address as people know it, a mapped one as IPv4. */
void fg_address_print(const struct in6_addr *address, char *text, socklen_t size);

#endif
