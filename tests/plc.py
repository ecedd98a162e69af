"""A PLC: pymodbus, whose names differ from version to version (2.1 in Ubuntu 22.04, 3.0 in Debian 12).

Who uses it writes addresses as numbers: they check runtime/modbus/registers.h, and do not come from it."""
import inspect
import logging

try:
    from pymodbus.client import ModbusSerialClient, ModbusTcpClient
except ImportError:
    from pymodbus.client.sync import ModbusSerialClient, ModbusTcpClient

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # its own words about refused requests
_NAMES = inspect.signature(ModbusTcpClient.read_coils).parameters
_UNIT = next((name for name in ("device_id", "slave") if name in _NAMES), "unit")


def plc(port):
    """A client of the server on this machine, not yet connected."""
    return ModbusTcpClient("127.0.0.1", port=port, timeout=60)


def serial_plc(port, baud):
    """A master on a serial port, not yet connected. Pseudo terminals have no parity."""
    needed = {"method": "rtu"} if "method" in inspect.signature(ModbusSerialClient).parameters else {}
    return ModbusSerialClient(port=port, baudrate=baud, parity="N", timeout=60, **needed)


def to(unit):
    """The argument of a request that says for which unit it is."""
    return {_UNIT: unit}
