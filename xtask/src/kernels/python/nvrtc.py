"""Compiles one CUDA source with NVRTC: LIBRARY SOURCE OUT OPTION...

Writes a cubin where an option names a real architecture (sm_...), else PTX as plain text, without the zero byte that
NVRTC ends it with. The compiler's log goes to standard output; a failure ends with status 1.
"""

import ctypes
import os
import sys


def main(library, source, out, *options):
    nvrtc = ctypes.CDLL(library)
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(name, *arguments):
        status = getattr(nvrtc, name)(*arguments)
        if status != 0:
            sys.exit(f"{name}: {nvrtc.nvrtcGetErrorString(status).decode()}")

    program = ctypes.c_void_p()

    def take(name):
        """What NVRTC holds under a name: its size, then its bytes, the last of which is zero in texts."""
        size = ctypes.c_size_t()
        call(f"nvrtcGet{name}Size", program, ctypes.byref(size))
        held = ctypes.create_string_buffer(size.value)
        call(f"nvrtcGet{name}", program, held)
        return held.raw

    with open(source, "rb") as file:
        text = file.read()
    # The name without its folder, so that an image does not depend on where the checkout lies.
    name = os.path.basename(source).encode()
    call("nvrtcCreateProgram", ctypes.byref(program), text, name, 0, None, None)
    listed = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    status = nvrtc.nvrtcCompileProgram(program, len(options), listed)
    print(take("ProgramLog").rstrip(b"\0").decode())
    if status != 0:
        sys.exit(1)
    real = any(option.startswith("--gpu-architecture=sm_") for option in options)
    image = take("CUBIN") if real else take("PTX").rstrip(b"\0")
    with open(out, "wb") as file:
        file.write(image)


main(*sys.argv[1:])
