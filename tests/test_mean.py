"""The mean of two models' weights."""

import copy
from pathlib import Path

import pytest
import torch

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.train.mean import main, mean


def test_every_weight_is_the_mean_of_both(lively: MiMDiT, tmp_path: Path) -> None:
    other = copy.deepcopy(lively)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.5
    save_model(lively, tmp_path / "one")
    save_model(other, tmp_path / "two")
    main(tmp_path / "mean", [tmp_path / "one", tmp_path / "two"])
    between = dict(load_model(tmp_path / "mean").named_parameters())
    for name, parameter in lively.named_parameters():
        torch.testing.assert_close(between[name], parameter + 0.25)


def test_what_has_no_mean_is_refused(lively: MiMDiT, tmp_path: Path) -> None:
    wider = MiMDiT.from_preset(lively.shape.model_copy(update={"experts": 2}))
    with pytest.raises(CheckpointError, match="different shapes"):
        mean([copy.deepcopy(lively), wider])
    with pytest.raises(CheckpointError, match="two or more"):
        main(tmp_path / "mean", [tmp_path / "one"])
