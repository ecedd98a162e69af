#!/usr/bin/env python3
"""Writes what the programs are made of as CycloneDX 1.5 JSON: sbom.py VERSION COMPILER OUT PROGRAM...

Every shared library that the loader gives a PROGRAM is a component with the Debian package that it is from, the package's
version and its licences; so is each PROGRAM, and the compiler. What needs what is in "dependencies". The same programs on
the same system give the same bytes."""
import json
import re
import subprocess
import sys
import uuid
from functools import cache
from pathlib import Path


def said(*command):
    """What a command prints; nothing where it fails or is not there."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    except FileNotFoundError:
        return ""


def needed(file):
    """The names of the libraries that a program or a library asks for."""
    return re.findall(r"\(NEEDED\).*\[(.*)\]", said("readelf", "-d", file))


def loaded(file):
    """Where the loader finds each library: name, path."""
    return dict(re.findall(r"^\s*(?:(\S+) => )?(/\S+) \(0x", said("ldd", file), re.M))


@cache
def package_of(path):
    """The Debian package that has a file; None: there is none. Since /lib is a link, a file has two names."""
    real = str(Path(path).resolve())
    for name in dict.fromkeys((path, real, real.removeprefix("/usr"), "/usr" + real)):
        found = re.match(r"(\S+): /", said("dpkg-query", "-S", name))
        if found:
            return found[1]
    return None


def field(package, name):
    return said("dpkg-query", "-W", "-f", "${" + name + "}", package)


def licences(package):
    """The names of the licences in the package's copyright file: those of the form that machines read, else those whose
    texts it refers to."""
    file = Path("/usr/share/doc") / package.split(":")[0] / "copyright"
    text = file.read_text(errors="replace") if file.exists() else ""
    named = r"^License:[ \t]*(\S.*?)\s*$" if text.startswith("Format:") else r"/usr/share/common-licenses/(\w[\w.-]*\w)"
    return sorted(set(re.findall(named, text, re.M)))


def purl(package):
    """The package's address in the form that vulnerability scanners look up."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
    version = field(package, "Version").replace("+", "%2B").replace(":", "%3A")
    name = package.split(":")[0].replace("+", "%2B")
    return (f"pkg:deb/{release['ID']}/{name}@{version}?arch={field(package, 'Architecture')}"
            f"&distro={release['ID']}-{release['VERSION_ID']}")


def component(kind, name, path, **more):
    """A file of the system, with what its package says; without a package only its name is known."""
    made = {"type": kind, "bom-ref": name, "name": name, **more}
    package = package_of(path)
    if package:
        made |= {"version": field(package, "Version"), "purl": purl(package),
                 "properties": [{"name": "debian:package", "value": package.split(":")[0]}]}
        named = licences(package)
        made |= {"licenses": [{"license": {"name": n}} for n in named]} if named else {}
    return made


def own(version, name):
    return {"type": "application", "bom-ref": name, "name": name, "version": version,
            "licenses": [{"license": {"id": "Apache-2.0"}}]}


def write(version, compiler, out, programs):
    paths = {}  # of each library, by the name that is asked for; the loader is asked for by its last name
    for program in programs:
        for name, path in loaded(program).items():
            paths[name or Path(path).name] = path
    files = {Path(p).name: p for p in programs} | paths
    components = [own(version, Path(p).name) for p in programs]
    components += [component("library", name, paths[name]) for name in sorted(paths)]
    components += [component("application", Path(compiler).name, compiler, scope="excluded")]
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
           "metadata": {"component": own(version, "flawgate") | {"bom-ref": "flawgate-package"}},
           "components": components,
           "dependencies": [{"ref": "flawgate-package", "dependsOn": [Path(p).name for p in programs]}]
           + [{"ref": name, "dependsOn": sorted(set(needed(file)) & set(files))} for name, file in files.items()]}
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True)).urn
    Path(out).write_text(json.dumps(bom, indent=1) + "\n")


if __name__ == "__main__":
    write(*sys.argv[1:4], sys.argv[4:])
