"""The tables of docs/quantization.md: each file beside fp32 of its own target, dB beside the first file's."""

from mimdit.benchmarks.quantization import Line, markdown

LINES = [
    Line("onnx", "fp32", 8.0, {1: 40.0, 2: 30.0}, {"noise": 30.0, "rain": 24.0}, 0),
    Line("openvino", "w8a8", 2.0, {1: 20.0, 2: 12.0}, {"noise": 29.95, "rain": 24.0}, 1),
    Line("openvino", "fp32", 10.0, {1: 30.0, 2: 24.0}, {"noise": 30.0, "rain": 24.0}, 0),
    Line("litert", "w8", 2.5, {1: 41.0, 2: 31.0}, {"rain": 24.01}, 3),
]


def test_every_file_is_held_to_fp32_of_its_own_target() -> None:
    text = markdown(LINES, "facts")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == [
        "target",
        "precision",
        "MB",
        "of fp32",
        "ms, 1 thread",
        "× as fast",
        "ms, 2 threads",
        "× as fast",
    ]
    assert rows[3] == ["openvino", "w8a8", "2.00", "0.200", "20.0", "1.50", "12.0", "2.00"]
    assert rows[5] == ["litert", "w8", "2.50", "", "41.0", "", "31.0", ""], "there is no fp32 of this target"
    losses = {(row[0], row[1]): row[2:] for row in rows[7:]}
    assert losses["onnx", "fp32"] == ["30.00 dB", "24.00 dB"]
    assert losses["openvino", "w8a8"] == ["-0.050", "+0.000"]
    assert losses["litert", "w8"] == ["", "+0.010"], "no photo of noise was restored"
    assert "black tile, or not restored: 4." in text
