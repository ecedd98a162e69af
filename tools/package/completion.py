#!/usr/bin/env python3
"""Writes the completion of bash from what the programs say of themselves: completion.py BUILD OUT"""
import sys
from pathlib import Path

from help import read_all

BEGIN = """# bash completion of flawgate, flawgated and flawgate-train. The build made it from their --help.
_flawgate() {
    local program=${1##*/} word=$2 before=$3 words=
    if [ "$program" = flawgate ]; then
        if [ "$COMP_CWORD" -eq 1 ]; then
            mapfile -t COMPREPLY < <(compgen -W "@COMMANDS@ --help --version" -- "$word")
            return
        fi
        program="flawgate ${COMP_WORDS[1]}"
    fi
    case "$program $before" in
"""
MIDDLE = """    esac
    if [ -z "$words" ] && [[ $word == -* ]]; then
        case $program in
"""
END = """        esac
    fi
    # Where nothing fits, readline completes the names of files.
    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _flawgate flawgate flawgated flawgate-train
"""


def write(folder, out):
    commands, helps = read_all(folder)
    text = BEGIN.replace("@COMMANDS@", " ".join(name for name, _ in commands))
    for one in helps:
        first = one.takes.split(" ")[0]
        if "|" in first and first.islower():  # show|verify: what the command shall do
            text += f'    "{one.name} {one.name.split()[-1]}") words="{first.replace("|", " ")}" ;;\n'
        for option in one.options:
            if option.words():
                text += f'    "{one.name} {option.name}") words="{" ".join(option.words())}" ;;\n'
    text += MIDDLE
    for one in helps:
        text += f'        "{one.name}") words="{" ".join(o.name for o in one.options)}" ;;\n'
    Path(out).write_text(text + END)


if __name__ == "__main__":
    write(*sys.argv[1:])
