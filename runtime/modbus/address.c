/* Reads, compares and prints addresses. */
#include "runtime/modbus/address.h"

#include <arpa/inet.h>
#include <string.h>

static struct in6_addr map_to_ipv6(struct in_addr v4) {
    struct in6_addr v6 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(v6.s6_addr + 12, &v4, sizeof v4);
    return v6;
}

bool fg_address_parse(const char *text, struct in6_addr *address) {
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *address = map_to_ipv6(v4);
        return true;
    }
    return inet_pton(AF_INET6, text, address) == 1;
}

socklen_t fg_address_to_bind(const char *text, uint16_t port, struct sockaddr_storage *address) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(address, &v4, sizeof v4);
        return sizeof v4;
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(address, &v6, sizeof v6);
        return sizeof v6;
    }
    return 0;
}

struct in6_addr fg_address_of(const struct sockaddr_storage *socket) {
    return socket->ss_family == AF_INET ? map_to_ipv6(((const struct sockaddr_in *)socket)->sin_addr)
                                        : ((const struct sockaddr_in6 *)socket)->sin6_addr;
}

uint16_t fg_address_port(const struct sockaddr_storage *socket) {
    return ntohs(socket->ss_family == AF_INET ? ((const struct sockaddr_in *)socket)->sin_port
                                              : ((const struct sockaddr_in6 *)socket)->sin6_port);
}

void fg_address_print(const struct in6_addr *address, char *text, socklen_t size) {
    if (IN6_IS_ADDR_V4MAPPED(address))
        inet_ntop(AF_INET, address->s6_addr + 12, text, size);
    else
        inet_ntop(AF_INET6, address, text, size);
}
