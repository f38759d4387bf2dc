"""Empty stand-ins for the CUDA libraries that torch's wheel is linked with, so that its CPU part can be loaded.

The wheel's library of CUDA kernels names some 700 functions of NVIDIA's libraries (1.9 GB more to fetch). The loader
wants each of them to exist; nothing calls them without a device. Each stand-in function says "no device" (100).

They lie in the folder of torch's own libraries, which searches itself first, in the environment whose Python runs
this. Needs cc and readelf.
"""

import collections
import pathlib
import re
import subprocess
import sysconfig
import tempfile

# Functions without a version in the wheel, and the library they belong to.
UNVERSIONED = {"nccl": "libnccl.so.2", "cusparse": "libcusparse.so.12"}
FOREIGN = re.compile(r"lib(cu|nccl|nv)\w+\.so\.\d+$")


def read(*arguments):
    return subprocess.run(["readelf", *arguments], check=True, capture_output=True, text=True).stdout


def main():
    folder = pathlib.Path(sysconfig.get_paths()["purelib"], "torch", "lib")
    wanted = collections.defaultdict(set)
    for library in sorted(folder.glob("*.so*")):
        if library.name in wanted or FOREIGN.match(library.name):
            continue
        for needed in re.findall(r"\(NEEDED\).*\[(.*)\]", read("-d", library)):
            if FOREIGN.match(needed) and not (folder / needed).exists():
                wanted[needed]
        for line in read("--dyn-syms", "-W", library).splitlines():
            fields = line.split()
            if len(fields) < 8 or fields[6] != "UND":
                continue
            name, _, version = fields[7].partition("@")
            if FOREIGN.match(version):
                wanted[version].add(name)
            elif not version:
                owner = next((lib for start, lib in UNVERSIONED.items() if name.startswith(start)), None)
                if owner and not name.startswith("cusparseLt"):
                    wanted[owner].add(name)
    with tempfile.TemporaryDirectory() as place:
        source, versions = pathlib.Path(place, "stand_in.c"), pathlib.Path(place, "versions")
        for library, names in wanted.items():
            source.write_text("".join(map(function, sorted(names))) or "int empty;\n")
            versions.write_text(f"{library} {{ global: *; }};\n")
            subprocess.run(["cc", "-shared", "-fPIC", "-w", "-fno-builtin", "-o", folder / library, source,
                            f"-Wl,-soname,{library}", f"-Wl,--version-script={versions}"], check=True)


def function(name):
    if name in ("cudaGetErrorString", "cudaGetErrorName"):
        return f'const char *{name}(int error) {{ return "no CUDA"; }}\n'
    fine = name in ("cudaGetLastError", "cudaPeekAtLastError")
    return f"long {name}(void) {{ return {0 if fine else 100}; }}\n"


if __name__ == "__main__":
    main()
