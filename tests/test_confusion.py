"""The confusion matrix counts every photo once, under the answer that it got."""

import numpy as np

from mimdit.benchmarks.confusion import confusion, markdown
from mimdit.benchmarks.datasets import Case, Group, Pair


class _Brightness:
    """Says `lowlight` of dark photos and nothing of others."""

    def judge(self, photo: np.ndarray) -> tuple[None, tuple[str, ...]]:
        return None, ("lowlight",) if photo.mean() < 128 else ()


def _case(level: int) -> Case:
    pixels = np.full((8, 8, 3), level, np.uint8)
    return Case(str(level), lambda: Pair(pixels, pixels))


def test_every_photo_is_counted_once_and_the_wanted_answer_is_right() -> None:
    groups = [
        Group("lowlight", "a", "lowlight", (_case(10), _case(20), _case(200), _case(30))),
        Group("clean", "b", None, (_case(200),)),
    ]
    dark, clean = confusion(_Brightness(), groups)  # pyright: ignore[reportArgumentType]
    assert dark.answers == {"lowlight": 3, "none": 1}
    assert (dark.right, clean.right) == (0.75, 1.0)
    table = markdown([dark, clean]).splitlines()
    assert "**3**" in table[2]
    assert table[2].endswith("| 75% |")
    assert len({line.count("|") for line in table}) == 1
