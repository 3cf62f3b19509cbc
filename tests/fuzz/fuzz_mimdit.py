"""Coverage-guided fuzzing of what reads strangers' bytes: photo files, manifests, ONNX files.

    python tests/fuzz/fuzz_mimdit.py photo -runs=2000              # as CI does
    python tests/fuzz/fuzz_mimdit.py manifest -max_total_time=3600 # longer, by hand; finds go to crash-*

Anything but a result or a MimditError is a find. Everything after the first word goes to libFuzzer.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mimdit"]):  # pyright: ignore[reportAttributeAccessIssue]
    from mimdit import onnx_file
    from mimdit.errors import MimditError
    from mimdit.image import load
    from mimdit.manifest import parse_manifest

_FILE = Path(tempfile.mkdtemp()) / "photo.png"


def photo(data: bytes) -> None:
    _FILE.write_bytes(data)
    load(_FILE, max_megapixels=1).working()


def manifest(data: bytes) -> None:
    parse_manifest(data)


def bundle(data: bytes) -> None:
    onnx_file.parse(data)


TARGETS = {"photo": photo, "manifest": manifest, "bundle": bundle}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        try:
            target(data)
        except MimditError as error:
            if "\n" in str(error):
                raise RuntimeError("an error of several lines") from error

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
