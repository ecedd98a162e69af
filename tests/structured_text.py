"""Runs a function block in Structured Text, as far as config/plc uses the language: assignments, IF, CASE, edges, timers.

    block = Block(Path("config/plc/flawgate.st").read_text(), "FB_Flawgate")
    block.cycle(Start=True, Inputs=[...])
    block["Ready"]
"""
import re
import time


class R_TRIG:
    def __init__(self):
        self.last = self.Q = False

    def __call__(self, CLK):
        self.Q, self.last = CLK and not self.last, CLK


class TON:
    """On after IN was true for PT seconds."""

    def __init__(self):
        self.since, self.Q = None, False

    def __call__(self, IN, PT):
        self.since = (self.since or time.monotonic()) if IN else None
        self.Q = self.since is not None and time.monotonic() - self.since >= PT


class TP:
    """On for PT seconds from a rising edge of IN."""

    def __init__(self):
        self.until, self.last, self.Q = 0, False, False

    def __call__(self, IN, PT):
        if IN and not self.last and not self.Q:
            self.until = time.monotonic() + PT
        self.last, self.Q = IN, time.monotonic() < self.until


FUNCTIONS = {"WORD_TO_UINT": int, "WORD_TO_UDINT": int, "UDINT_TO_REAL": float}
BLOCKS = {"R_TRIG": R_TRIG, "TON": TON, "TP": TP}
STARTS = {"BOOL": False, "WORD": 0, "INT": 0, "UINT": 0, "UDINT": 0, "REAL": 0.0}


def _start(kind):
    """A variable's first value."""
    array = re.fullmatch(r"ARRAY\[0\.\.(\d+)\] OF (\w+)", kind)
    if array:
        return [STARTS[array[2]]] * (int(array[1]) + 1)
    return BLOCKS[kind]() if kind in BLOCKS else STARTS[kind]


def _expression(text):
    text = re.sub(r"(\w+\[\d+\])\.(\d+)", r"bool(\1 >> \2 & 1)", text)
    text = re.sub(r"T#(\d+)ms", lambda t: str(int(t[1]) / 1000), text)
    text = re.sub(r"T#(\d+)s", r"\1", text)
    text = re.sub(r"(?<![:<>])=", "==", text).replace("<>", "!=").replace(":=", "=")
    for word in "AND", "OR", "NOT", "TRUE", "FALSE":
        text = re.sub(rf"\b{word}\b", word.capitalize() if word in ("TRUE", "FALSE") else word.lower(), text)
    return text


def _translate(body):
    """Python that does what the statements do. Each is a line."""
    lines, depth, branch = [], 0, "if"

    def put(text, at):
        lines.append("    " * at + text)

    for line in filter(None, map(str.strip, body.splitlines())):
        label, condition = re.fullmatch(r"(\d+):", line), re.fullmatch(r"(ELS)?IF (.*) THEN", line)
        if line in ("END_IF;", "END_CASE;"):
            depth -= 1
        elif line.startswith("CASE "):
            put(f"case = {line[5:-3]}", depth)
            depth, branch = depth + 1, "if"
        elif label:
            put(f"{branch} case == {label[1]}:", depth - 1)
            branch = "elif"
        elif condition and condition[1]:
            put(f"elif {_expression(condition[2])}:", depth - 1)
        elif condition:
            put(f"if {_expression(condition[2])}:", depth)
            depth += 1
        elif line == "ELSE":
            put("else:", depth - 1)
        else:
            assert line.endswith(";"), line
            put(_expression(line[:-1]), depth)
    assert depth == 0, body
    return "\n".join(lines)


class Block:
    """A function block with its variables."""

    def __init__(self, source, name):
        source = re.sub(r"\(\*.*?\*\)", "", source, flags=re.S)
        text = re.search(rf"FUNCTION_BLOCK {name}\n(.*?)END_FUNCTION_BLOCK", source, re.S)[1]
        declared = re.findall(r"^ +(\w+) *: *([^;]+);", "".join(re.findall(r"^VAR.*?^END_VAR", text, re.S | re.M)), re.M)
        self.kinds = {name: kind.strip() for name, kind in declared}
        self.values = {name: _start(kind) for name, kind in self.kinds.items()}
        self.program = compile(_translate(text.rsplit("END_VAR", 1)[1]), name, "exec")

    def cycle(self, **inputs):
        assert inputs.keys() <= self.kinds.keys()
        self.values.update(inputs)
        exec(self.program, dict(FUNCTIONS), self.values)
        for name, kind in self.kinds.items():
            if kind == "UINT":
                self.values[name] &= 0xffff
        unknown = self.values.keys() - self.kinds.keys() - {"case"}
        assert not unknown, f"not declared: {unknown}"

    def __getitem__(self, name):
        return self.values[name]
