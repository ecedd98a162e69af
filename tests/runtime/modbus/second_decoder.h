/* A second Modbus decoder, written from the application protocol's state diagrams and sharing nothing with
 * the program's: it says which answer a device with given tables owes to a request. What a write's value
 * means to the line is not its matter: there, it says only whether the request is well formed.
 *
 * Errors: none. Owner: the caller. Thread: any. NULL: never. */
#ifndef FG_TESTS_RUNTIME_MODBUS_SECOND_DECODER_H
#define FG_TESTS_RUNTIME_MODBUS_SECOND_DECODER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A device's tables as they read. */
struct second_device {
    uint8_t coil[16], input_bit[16];
    uint16_t holding[32], input[272];
    bool coil_writable[16], holding_writable[32];
};

/* What is owed. */
struct second_answer {
    bool judged;        /* well formed, and the addresses can be written: the line judges the values */
    int exception;      /* 0: none */
    int length;         /* bytes of the answer without exception */
    uint8_t bytes[253]; /* those of a read */
    int known;          /* how many of them are known; a write's echo or an identification's head */
};

static inline int second_word(const uint8_t *at) {
    return at[0] * 256 + at[1];
}

static inline struct second_answer second_refuse(int exception) {
    return (struct second_answer){.exception = exception};
}

static inline struct second_answer second_read_bits(const uint8_t *pdu, int size, const uint8_t *table) {
    struct second_answer a = {0};
    if (size != 5 || second_word(pdu + 3) < 1 || second_word(pdu + 3) > 0x7d0)
        return second_refuse(3);
    const int start = second_word(pdu + 1), quantity = second_word(pdu + 3);
    if (start + quantity > 16)
        return second_refuse(2);
    a.bytes[0] = pdu[0];
    a.bytes[1] = (uint8_t)(quantity % 8 ? quantity / 8 + 1 : quantity / 8);
    for (int i = 0; i < quantity; i++)
        if (table[start + i])
            a.bytes[2 + i / 8] = (uint8_t)(a.bytes[2 + i / 8] + (1 << (i % 8)));
    a.known = a.length = 2 + a.bytes[1];
    return a;
}

/* Puts registers, those of the holding registers' addresses too; false: not all of them are there. */
static inline bool second_put_registers(const struct second_device *d, bool holding, int start, int quantity,
                                        struct second_answer *a) {
    a->bytes[1] = (uint8_t)(quantity * 2);
    for (int i = start; i < start + quantity; i++) {
        int value;
        if (holding && i < 32)
            value = d->holding[i];
        else if (holding && i >= 1000 && i < 1272)
            value = d->input[i - 1000];
        else if (!holding && i < 272)
            value = d->input[i];
        else
            return false;
        a->bytes[2 + 2 * (i - start)] = (uint8_t)(value / 256);
        a->bytes[3 + 2 * (i - start)] = (uint8_t)(value % 256);
    }
    a->known = a->length = 2 + quantity * 2;
    return true;
}

static inline struct second_answer second_read_registers(const uint8_t *pdu, int size,
                                                         const struct second_device *d) {
    struct second_answer a = {.bytes = {pdu[0]}};
    if (size != 5 || second_word(pdu + 3) < 1 || second_word(pdu + 3) > 0x7d)
        return second_refuse(3);
    return second_put_registers(d, pdu[0] == 3, second_word(pdu + 1), second_word(pdu + 3), &a)
               ? a
               : second_refuse(2);
}

/* A write whose answer repeats the request's first five bytes. */
static inline struct second_answer second_write(const uint8_t *pdu, int start, int quantity, int table,
                                                const bool *writable) {
    struct second_answer a = {.judged = true, .length = 5, .known = 5};
    for (int i = start; i < start + quantity; i++)
        if (i >= table || !writable[i])
            return second_refuse(2);
    memcpy(a.bytes, pdu, 5);
    return a;
}

static inline struct second_answer second_exchange(const uint8_t *pdu, int size,
                                                   const struct second_device *d) {
    struct second_answer a = {.bytes = {23}};
    if (size < 10)
        return second_refuse(3);
    const int read = second_word(pdu + 1), count = second_word(pdu + 3);
    const int write = second_word(pdu + 5), written = second_word(pdu + 7);
    if (count < 1 || count > 0x7d || written < 1 || written > 0x79 || pdu[9] != written * 2 ||
        size != 10 + written * 2)
        return second_refuse(3);
    if (!second_put_registers(d, true, read, count, &a) ||
        second_write(pdu, write, written, 32, d->holding_writable).exception)
        return second_refuse(2);
    a.judged = true;
    return a;
}

static inline struct second_answer second_identify(const uint8_t *pdu, int size) {
    if (size < 2 || pdu[1] != 14)
        return second_refuse(1);
    if (size != 4 || pdu[2] < 1 || pdu[2] > 4)
        return second_refuse(3);
    if (pdu[2] == 4 && pdu[3] != 0 && pdu[3] != 1 && pdu[3] != 2 && pdu[3] != 4)
        return second_refuse(2);
    return (struct second_answer){.bytes = {43, 14, pdu[2], 0x82, 0, 0}, .known = 6};
}

static inline struct second_answer second_decode(const uint8_t *pdu, int size,
                                                 const struct second_device *d) {
    const int word = size >= 5 ? second_word(pdu + 3) : 0, start = size >= 5 ? second_word(pdu + 1) : 0;
    switch (pdu[0]) {
    case 1:
        return second_read_bits(pdu, size, d->coil);
    case 2:
        return second_read_bits(pdu, size, d->input_bit);
    case 3:
    case 4:
        return second_read_registers(pdu, size, d);
    case 5:
        if (size != 5 || (word != 0 && word != 0xff00))
            return second_refuse(3);
        return second_write(pdu, start, 1, 16, d->coil_writable);
    case 6:
        return size != 5 ? second_refuse(3) : second_write(pdu, start, 1, 32, d->holding_writable);
    case 15:
        if (size < 6 || word < 1 || word > 0x7b0 || pdu[5] != (word + 7) / 8 || size != 6 + pdu[5])
            return second_refuse(3);
        return second_write(pdu, start, word, 16, d->coil_writable);
    case 16:
        if (size < 6 || word < 1 || word > 0x7b || pdu[5] != word * 2 || size != 6 + pdu[5])
            return second_refuse(3);
        return second_write(pdu, start, word, 32, d->holding_writable);
    case 23:
        return second_exchange(pdu, size, d);
    case 43:
        return second_identify(pdu, size);
    default:
        return second_refuse(1);
    }
}

#endif
