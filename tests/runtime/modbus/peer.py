"""A PLC's view of the Modbus server through pymodbus, whichever version it is: prints "ok" or what is wrong.
Arguments: the TCP port; or a serial port and its rate."""
import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from plc import plc, serial_plc, to

UNIT = 7
serial = len(sys.argv) > 2
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        sys.exit(f"{what}: {found!r}, not {expected!r}")


def asked(method):
    """The arguments of a rare request: up to version 3.0 it hands what it is given on to one that knows unit."""
    plain = set(inspect.signature(method).parameters) <= {"args", "kwargs"}
    return ({"unit": UNIT}, "write_registers") if plain else (to(UNIT), "values")


def exchange(address, count, where, values):
    """Function 23."""
    unit, name = asked(client.readwrite_registers)
    return client.readwrite_registers(read_address=address, read_count=count, write_address=where,
                                      **{name: values}, **unit)


def identify(code, first):
    """Function 43/14: what the device says it is, by object."""
    if hasattr(client, "read_device_information"):
        answer = client.read_device_information(read_code=code, object_id=first, **to(UNIT))
    else:
        from pymodbus.mei_message import ReadDeviceInformationRequest
        answer = client.execute(ReadDeviceInformationRequest(read_code=code, object_id=first, unit=UNIT))
    return getattr(answer, "information", str(answer))


def registers(answer):
    """What was read, or the error itself, so that it is printed."""
    return getattr(answer, "registers", str(answer))


client = serial_plc(sys.argv[1], int(sys.argv[2])) if serial else plc(int(sys.argv[1]))
check("connect", client.connect(), True)

constants = client.read_input_registers(4, count=4, **to(UNIT)).registers
check("constants", constants, [0x1234, 0x5678, 0x3F80, 0])
check("as holding", client.read_holding_registers(1004, count=4, **to(UNIT)).registers, constants)
bits = client.read_discrete_inputs(0, count=16, **to(UNIT)).bits
check("ready", bits[:4], [True, True, False, False])
check("whole map", len(client.read_input_registers(0, count=125, **to(UNIT if serial else 0)).registers), 125)

check("pair", client.write_registers(4, [1, 2], **to(UNIT)).isError(), False)
check("pair back", client.read_holding_registers(4, count=2, **to(UNIT)).registers, [1, 2])
check("half a pair", client.write_register(4, 1, **to(UNIT)).exception_code, 3)
check("gap", client.read_holding_registers(8, count=1, **to(UNIT)).registers, [0])
check("no register", client.read_holding_registers(32, count=1, **to(UNIT)).exception_code, 2)
check("views", client.read_input_registers(147, count=125, **to(UNIT)).registers, 125 * [0])
check("exchange", registers(exchange(3, 2, 3, [77])), [77, 1])
check("exchange reads inputs", registers(exchange(1004, 2, 3, [78])), constants[:2])
check("exchange outside", exchange(32, 1, 3, [79]).exception_code, 2)
check("coils", client.write_coils(0, [True, False, True], **to(UNIT)).isError(), False)
check("coils back", client.read_coils(0, count=7, **to(UNIT)).bits[:7], [True, False, True] + 4 * [False])
check("trigger", client.write_coil(1, True, **to(UNIT)).isError(), False)
check("busy", client.read_discrete_inputs(1, count=2, **to(UNIT)).bits[:2], [False, True])
check("trigger down", client.write_coil(1, False, **to(UNIT)).isError(), False)
check("second trigger", client.write_coil(1, True, **to(UNIT)).exception_code, 6)
check("masked write", client.mask_write_register(address=3, and_mask=1, or_mask=1,
                                                         **asked(client.mask_write_register)[0]).exception_code, 1)
check("vendor", identify(4, 0), {0: b"Flawgate"})
check("objects", sorted(identify(2, 0)), [0, 1, 2, 4])
client.close()
print("ok", checks)
