"""Which of the instruction sets that decide how fast and how exactly a network runs this processor has."""

import platform
from functools import cache
from pathlib import Path

__all__ = ["instruction_set", "processor"]

# Ours → what Linux calls it in /proc/cpuinfo (flags on x86-64, Features on Arm).
_LINUX = {
    "avx2": "avx2",
    "avx512": "avx512f",
    "avx512-vnni": "avx512_vnni",
    "avx-vnni": "avx_vnni",
    "avx512-bf16": "avx512_bf16",
    "amx-int8": "amx_int8",
    "amx-bf16": "amx_bf16",
    "neon": "asimd",
    "neon-fp16": "asimdhp",
    "neon-dot": "asimddp",
    "neon-i8mm": "i8mm",
    "neon-bf16": "bf16",
    "sve": "sve",
}


@cache
def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """For example ("avx2", "avx512", "avx512-vnni"); empty where the system does not say."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        # Every Apple processor since the M1 has these; other systems without /proc are not asked.
        apple = platform.system() == "Darwin" and platform.machine() == "arm64"
        return ("neon", "neon-fp16", "neon-dot") if apple else ()
    words = next((line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "feat"))), [])
    return tuple(name for name, word in _LINUX.items() if word in words)


@cache
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """What the processor calls itself; None is unknown."""
    try:  # Linux says it nowhere else; the first of many cores is enough
        with cpuinfo.open(errors="replace") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), None)
    except OSError:
        return platform.processor() or None
