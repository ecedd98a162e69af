/* Little-endian integers and floats in files, whatever the machine's own order is.
 *
 * Errors: none. Owner: the caller owns the bytes, 2, 4 or 8 of them. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_BASE_BYTES_H
#define FG_RUNTIME_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline void fg_put_u16(unsigned char *bytes, uint16_t value) {
    bytes[0] = (unsigned char)(value & 0xff);
    bytes[1] = (unsigned char)(value >> 8);
}

static inline void fg_put_u32(unsigned char *bytes, uint32_t value) {
    fg_put_u16(bytes, (uint16_t)(value & 0xffff));
    fg_put_u16(bytes + 2, (uint16_t)(value >> 16));
}

static inline void fg_put_u64(unsigned char *bytes, uint64_t value) {
    fg_put_u32(bytes, (uint32_t)(value & 0xffffffff));
    fg_put_u32(bytes + 4, (uint32_t)(value >> 32));
}

static inline uint16_t fg_get_u16(const unsigned char *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t fg_get_u32(const unsigned char *bytes) {
    return fg_get_u16(bytes) | (uint32_t)fg_get_u16(bytes + 2) << 16;
}

static inline uint64_t fg_get_u64(const unsigned char *bytes) {
    return fg_get_u32(bytes) | (uint64_t)fg_get_u32(bytes + 4) << 32;
}

/* Gives the IEEE 754 bits of a float. */
static inline uint32_t fg_float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Gives the float that has these IEEE 754 bits. */
static inline float fg_bits_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
