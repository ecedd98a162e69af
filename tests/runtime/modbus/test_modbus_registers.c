/* The rows of the Modbus map: each at addresses of its own inside its table, with a name of its own, and with
 * texts that the documents made of them can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/modbus/registers.h"

static void every_row_has_addresses_of_its_own(void **state) {
    (void)state;
    static const struct fg_register_table *const TABLES[] = {&fg_discrete_inputs, &fg_coils,
                                                             &fg_input_registers, &fg_holding_registers};
    uint32_t count;
    const struct fg_register *rows = fg_registers(&count);
    for (size_t table = 0; table < 4; table++) {
        uint8_t taken[FG_MODBUS_INPUT_REGISTERS] = {0};
        uint32_t next = 0;
        for (const struct fg_register *r = rows; r < rows + count; r++) {
            if (r->table != TABLES[table])
                continue;
            assert_true(r->address >= next); /* in the order of addresses */
            next = r->address + r->width;
            for (uint32_t view = 0; view < (r->stride > 0 ? FG_VIEWS : 1u); view++)
                for (uint32_t i = 0; i < r->width; i++) {
                    const uint32_t address = r->address + view * r->stride + i;
                    assert_true(address < TABLES[table]->size);
                    assert_int_equal(taken[address]++, 0);
                    assert_ptr_equal(fg_register_find(TABLES[table], address), r);
                }
        }
        for (uint32_t address = 0; address < TABLES[table]->size; address++)
            if (!taken[address])
                assert_null(fg_register_find(TABLES[table], address));
        assert_null(fg_register_find(TABLES[table], TABLES[table]->size));
    }
}

static void a_type_has_its_width(void **state) {
    (void)state;
    static const struct {
        const char *type;
        uint32_t width;
    } TYPES[] = {{"bit", 1}, {"u16", 1}, {"u32", 2},
                 {"i32", 2}, {"f32", 2}, {"text", FG_BUNDLE_NAME_SIZE / 2}};
    uint32_t count;
    const struct fg_register *rows = fg_registers(&count);
    for (uint32_t i = 0; i < count; i++) {
        size_t type = 0;
        while (type < sizeof TYPES / sizeof *TYPES && strcmp(TYPES[type].type, rows[i].type) != 0)
            type++;
        assert_true(type < sizeof TYPES / sizeof *TYPES);
        assert_int_equal(rows[i].width, TYPES[type].width);
    }
}

static void names_differ_and_texts_can_be_printed(void **state) {
    (void)state;
    uint32_t count;
    const struct fg_register *rows = fg_registers(&count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(rows[i].name));
        assert_int_equal(strncmp(rows[i].name, "view_", 5) == 0, rows[i].stride > 0);
        assert_null(strpbrk(rows[i].meaning, "\"|\n"));
        assert_null(strpbrk(rows[i].unit, "\"|,\n"));
        for (uint32_t j = 0; j < i; j++)
            assert_false(rows[j].table == rows[i].table && !strcmp(rows[j].name, rows[i].name));
    }
}

static void numbers_have_names(void **state) {
    (void)state;
    assert_string_equal(fg_verdict_name(FG_PASS), "PASS");
    assert_string_equal(fg_verdict_name(FG_INOPERATIVE), "INOPERATIVE");
    assert_null(fg_verdict_name(0));
    assert_null(fg_verdict_name(4));
    assert_string_equal(fg_reason_name(FG_REASON_NONE), "");
    assert_string_equal(fg_reason_name(FG_REASON_DEVICE_LOST), "device_lost");
    assert_null(fg_reason_name(255));
    assert_string_equal(fg_fault_text(FG_FAULT_NONE), "");
    assert_string_equal(fg_fault_text(FG_FAULT_OUTPUT), "an output could not be set");
    assert_null(fg_fault_text(15));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_addresses_of_its_own),
        cmocka_unit_test(a_type_has_its_width),
        cmocka_unit_test(names_differ_and_texts_can_be_printed),
        cmocka_unit_test(numbers_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
