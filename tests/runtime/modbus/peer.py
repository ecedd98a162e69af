"""A PLC's view of the Modbus server through pymodbus: prints "ok" or what is wrong. Argument: the port."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from plc import plc, to

UNIT = 7
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        sys.exit(f"{what}: {found!r}, not {expected!r}")


client = plc(int(sys.argv[1]))
check("connect", client.connect(), True)

constants = client.read_input_registers(4, 4, **to(UNIT)).registers
check("constants", constants, [0x1234, 0x5678, 0x3F80, 0])
bits = client.read_discrete_inputs(0, 16, **to(UNIT)).bits
check("ready", bits[:4], [True, True, False, False])
check("whole map", len(client.read_input_registers(0, 125, **to(0)).registers), 125)

check("pair", client.write_registers(4, [1, 2], **to(UNIT)).isError(), False)
check("pair back", client.read_holding_registers(4, 2, **to(UNIT)).registers, [1, 2])
check("half a pair", client.write_register(4, 1, **to(UNIT)).exception_code, 3)
check("gap", client.read_holding_registers(8, 1, **to(UNIT)).registers, [0])
check("no register", client.read_holding_registers(32, 1, **to(UNIT)).exception_code, 2)
check("views", client.read_input_registers(147, 125, **to(UNIT)).registers, 125 * [0])
check("coils", client.write_coils(0, [True, False, True], **to(UNIT)).isError(), False)
check("coils back", client.read_coils(0, 7, **to(UNIT)).bits[:7], [True, False, True] + 4 * [False])
check("trigger", client.write_coil(1, True, **to(UNIT)).isError(), False)
check("busy", client.read_discrete_inputs(1, 2, **to(UNIT)).bits[:2], [False, True])
check("trigger down", client.write_coil(1, False, **to(UNIT)).isError(), False)
check("second trigger", client.write_coil(1, True, **to(UNIT)).exception_code, 6)
check("masked write", client.mask_write_register(3, 1, 1, **to(UNIT)).exception_code, 1)
client.close()
print("ok", checks)
