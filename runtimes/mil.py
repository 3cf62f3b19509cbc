"""Core ML's MIL program, evaluated in numpy: what a bundle computes, told on a machine without macOS.

A correctness reference, never a timing. It follows the *storage* of the program: wherever MIL declares fp16, a value is
rounded to fp16 before the next operation reads it. Inside an operation it computes in fp32, as Core ML does on the CPU
and the GPU; the Neural Engine may keep sums in fp16 too, which no documentation states and this does not show.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mimdit import mil_file
from mimdit.errors import BundleError
from mimdit.mil_file import Constant, Operation
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime
from mimdit.runtimes.mil_ops import OPERATIONS


class MilRuntime(Runtime):
    """A restorer's .mlpackage. numpy decides on how many threads its matrix products run."""

    def __init__(self, path: Path, tile: int):
        super().__init__("coreml (MIL evaluator)", "cpu", tile)
        self._model = MilModel(path, {"image": (1, 3, tile, tile), "photo": PHOTO_SHAPE}, "restored")

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        return self._model(image=image, photo=photo)


class MilModel:
    """Any .mlpackage whose operations are those of `mil_ops`, with tensors as inputs and one as output."""

    def __init__(self, path: Path, inputs: Mapping[str, tuple[int, ...]], output: str):
        """BundleError if the file does not read, has other inputs (name → shape), or an operation that is not known."""
        program = mil_file.read(path)
        found = {value.name: value.shape for value in program.inputs}
        if found != dict(inputs) or program.outputs != (output,):
            raise BundleError(
                f"{path.name} must map {dict(inputs)} to {output}, but maps {found} to {', '.join(program.outputs)}: "
                "rebuild the bundle"
            )
        for operation in program.operations:
            _check_known(operation, path.name)
        self._program = program
        self._constants = {name: _widened(constant) for name, constant in program.constants.items()}
        self._last_uses = _last_uses(program.operations)
        self._output = output

    def __call__(self, **inputs: np.ndarray) -> np.ndarray:
        """inputs: float32 arrays by name → float32."""
        values = {value.name: _stored(inputs[value.name], value.dtype) for value in self._program.inputs}
        with np.errstate(all="ignore"):  # an overflow of fp16 is infinity, as on the device; the contract refuses it
            for operation, unused in zip(self._program.operations, self._last_uses, strict=True):
                for value, result in zip(operation.outputs, self._results(operation, values), strict=True):
                    values[value.name] = _stored(result, value.dtype)
                    if values[value.name].shape != value.shape:
                        raise BundleError(
                            f"{operation.type} {value.name} gave {values[value.name].shape}, the program declares "
                            f"{value.shape}: a fault of mimdit's evaluator, please report it"
                        )
                for name in unused:
                    values.pop(name, None)
        return values[self._output]

    def _results(self, operation: Operation, values: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        arguments = {}
        for key, names in operation.arguments.items():
            found = [self._constants[name] if name in self._constants else values[name] for name in names]
            arguments[key] = found if key == "values" else found[0]
        result = OPERATIONS[operation.type](**arguments)
        return result if isinstance(result, list) else [result]


def _check_known(operation: Operation, file: str) -> None:
    """By name and by arguments: an argument that the evaluator does not know would change the result unseen."""
    name = operation.outputs[0].name
    if operation.type not in OPERATIONS:
        raise BundleError(
            f"{file} has the operation {operation.type} ({name}), which mimdit's MIL evaluator does not know: "
            "add it to runtimes/mil_ops.py, or run the bundle on macOS"
        )
    try:
        inspect.signature(OPERATIONS[operation.type]).bind(**operation.arguments)
    except TypeError as error:
        raise BundleError(
            f"{file}: {operation.type} ({name}) has arguments that mimdit's MIL evaluator does not know: {error}"
        ) from None


def _stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """Rounded to the declared type; floats are kept as float32, so that operations compute in it."""
    rounded = np.asarray(array).astype(dtype, copy=False)
    return rounded.astype(np.float32, copy=False) if rounded.dtype.kind == "f" else rounded


def _widened(constant: Constant) -> Constant:
    return constant if isinstance(constant, str) else _stored(constant, str(constant.dtype))


def _last_uses(operations: tuple[Operation, ...]) -> list[list[str]]:
    """Per operation the names that no later one reads: freed, so that large tiles fit into memory."""
    unused: list[list[str]] = [[] for _ in operations]
    last = {n: i for i, o in enumerate(operations) for names in o.arguments.values() for n in names}
    for name, i in last.items():
        unused[i].append(name)
    return unused
