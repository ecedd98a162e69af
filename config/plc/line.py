#!/usr/bin/env python3
"""Triggers parts and prints number, verdict and score of each: line.py HOST PORT PARTS (needs pymodbus 3)"""
import sys
from pymodbus.client import ModbusTcpClient

plc = ModbusTcpClient(sys.argv[1], port=int(sys.argv[2]))
assert plc.connect()
plc.write_coil(0, True)  # trigger_enable
for part in range(int(sys.argv[3])):
    while not plc.read_discrete_inputs(1, count=1).bits[0]: pass  # trigger_ready
    plc.write_coil(1, False)  # an edge: 0, then 1
    plc.write_coil(1, True)  # once it is answered, the previous result cannot be read any more
    while not plc.read_discrete_inputs(3, count=1).bits[0]: pass  # result_valid
    block = plc.read_input_registers(16, count=25).registers  # in one request: one result
    print(block[1] << 16 | block[2], ("PASS", "DEFECT", "INOPERATIVE")[block[3] - 1], (block[4] << 16 | block[5]) / 1e4)
