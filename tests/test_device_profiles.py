"""Which device is meant, in which mode a run on it is valid, and what goes there."""

import sys
from pathlib import Path

import pytest

from mimdit.benchmarks.devices.address import find_device
from mimdit.benchmarks.devices.kit import fill_kit, wheel_platforms
from mimdit.benchmarks.devices.local import LocalLink
from mimdit.benchmarks.devices.profiles import PROFILES, Profile, wrong_mode
from mimdit.errors import MimditError

from .recorded_devices import RECORDED, WRONG, Replay


@pytest.mark.parametrize("profile", PROFILES[1:], ids=lambda profile: profile.name)
def test_each_profile_tells_the_right_mode_from_a_wrong_one(profile: Profile) -> None:
    right = RECORDED[profile.name]
    assert wrong_mode(Replay(right), profile) is None
    asked, answer, fix = WRONG[profile.name]
    dialogue = {asked: answer, **{q: a for q, a in right.items() if q != asked}}
    assert fix in str(wrong_mode(Replay(dialogue), profile))


def test_devices_toml_names_devices(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text('[orin]\naddress = "ssh://me@orin:2222"\nprofile = "jetson-orin"\npython = "python3.10"\n')
    found = find_device("orin", path)
    assert (found.link.name, found.profile.name, found.profile.python) == ("ssh://me@orin", "jetson-orin", "python3.10")
    assert find_device("local", path).local
    assert find_device("adb://emulator-5554", path).link.name == "adb://emulator-5554"


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("", "ssh://a b", "expected local, ssh://user@host or adb://serial"),
        ('[x]\naddress = "x"', "y", "names x"),
        ('[x]\naddress = "telnet://x"', "x", "is no address"),
        ('[x]\naddress = "local"\nprofile = "toaster"', "x", "choose from plain, jetson-orin"),
        ('[x]\naddress = "local"\nspeed = 1', "x", "speed"),
        ("[x", "x", "cannot be read as TOML"),
    ],
)
def test_a_wrong_device_is_one_line(content: str, name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(content)
    with pytest.raises(MimditError, match=says):
        find_device(name, tmp_path / "devices.toml")


def test_a_kit_is_small_and_torch_free(tmp_path: Path) -> None:
    fill_kit(tmp_path, LocalLink(), sys.executable)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"mimdit/benchmarks/bench.py", "mimdit/runtimes/onnx.py", "mimdit/examples/examples.json"} <= names
    assert not [name for name in names if name.startswith(("mimdit/model/", "mimdit/train/", "mimdit/default/"))]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 4e6


def test_wheels_are_for_the_devices_that_we_name() -> None:
    assert wheel_platforms("linux", "aarch64", "glibc")[0].endswith("aarch64")
    assert wheel_platforms("darwin", "arm64", "")[0].startswith("macosx")
    with pytest.raises(MimditError, match="no wheels for linux on armv6l"):
        wheel_platforms("linux", "armv6l", "glibc")
    with pytest.raises(MimditError, match="no wheels for linux without glibc: install numpy"):  # Termux on Android
        wheel_platforms("linux", "aarch64", "libc")
