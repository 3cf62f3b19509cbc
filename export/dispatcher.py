"""The dispatcher as an .onnx file. It is one whatever the bundle's target: it runs once a photo, before any tile."""

import shutil
from pathlib import Path

import numpy as np
import torch

from mimdit.bundle import open_bundle
from mimdit.errors import CheckFailedError, CheckpointError
from mimdit.export.onnx import OPSET, without_notes
from mimdit.export.tiles import parity_inputs
from mimdit.files import write_file
from mimdit.manifest import MANIFEST_NAME, DispatcherEntry
from mimdit.model.dispatcher import Dispatcher, example_inputs, load_dispatcher
from mimdit.runtimes.onnx import OnnxModel
from mimdit.views import CROP, CROPS, dispatcher_inputs

FILE = "dispatcher.onnx"
TOLERANCE = 1e-4  # largest error of a score
_PARITY_SIDE = 256  # px of the photos that parity is measured on


def add_dispatcher(trained: Path, folder: Path) -> DispatcherEntry:
    """Export the dispatcher in the folder `trained` into a bundle's `folder`; returns its entry in the manifest.

    If `trained` is a bundle, its dispatcher is taken as it is. Raises CheckpointError if there is none.
    """
    if (trained / MANIFEST_NAME).exists():
        other = open_bundle(trained)
        if other.manifest.dispatcher is None:
            raise CheckpointError(f"{trained} has no dispatcher: name a bundle that has one, or a trained one's folder")
        shutil.copyfile(other.file(other.manifest.dispatcher.file), folder / FILE)
        return other.manifest.dispatcher.model_copy(update={"file": FILE})
    model, config = load_dispatcher(trained)
    export_dispatcher(model, folder / FILE)
    return DispatcherEntry(
        file=FILE, classes=config.classes, threshold=config.threshold, crop=config.crop, crops=config.crops
    )


def export_dispatcher(model: Dispatcher, path: Path) -> float:
    """Write photo f32[1,3,64,64], crops f32[16,3,64,64] → scores f32[1,6], weights inside; returns the parity error.

    Raises CheckFailedError where ONNX Runtime's scores are further from PyTorch's than TOLERANCE.
    """
    program = torch.onnx.export(
        model.eval(),
        example_inputs(),
        input_names=["photo", "crops"],
        output_names=["scores"],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    write_file(path, without_notes(program.model_proto).SerializeToString(), overwrite=True)
    return _check_parity(model, path)


def _check_parity(model: Dispatcher, path: Path) -> float:
    runtime = OnnxModel(path, {"photo": (1, 3, 64, 64), "crops": (CROPS, 3, CROP, CROP)}, "scores")
    worst = 0.0
    for item in parity_inputs(_PARITY_SIDE):
        photo, crops = dispatcher_inputs(item.image[0].transpose(1, 2, 0))
        with torch.no_grad():
            expected = model(torch.from_numpy(photo), torch.from_numpy(crops)).numpy()
        error = float(np.abs(runtime(photo=photo, crops=crops) - expected).max())
        if not error <= TOLERANCE:
            raise CheckFailedError(
                f"parity of {path.name} failed on the photo '{item.name}': a score is off by {error:.1e}, "
                f"at most {TOLERANCE:.0e} was expected"
            )
        worst = max(worst, error)
    return worst
