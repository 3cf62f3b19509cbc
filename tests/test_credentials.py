"""Content credentials, signed with certificates made here: written, read back, broken by a changed byte."""

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.bundle import open_bundle
from mimdit.errors import MimditError, PhotoError
from mimdit.image.credentials import Credentials, signed_by
from mimdit.image.provenance import DIGITAL_SOURCE_TYPE

c2pa = pytest.importorskip("c2pa")

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

PEM = serialization.Encoding.PEM


def _certificate(name: str, key, issuer: str, signer, authority: bool) -> bytes:
    def named(common: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
        )

    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    uses = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(uses, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(uses, critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(PEM)


def _pem(folder: Path, key) -> Path:
    root = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = _certificate("Mara", key, "Root", root, False) + _certificate("Root", root, "Root", root, True)
    path = folder / "mara.pem"
    path.write_bytes(private + chain)
    return path


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _pem(tmp_path_factory.mktemp("key"), ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    Image.new("RGB", (100, 80), "red").save(path)
    return path


def _said(path: Path) -> dict:
    manifest = json.loads(c2pa.Reader(path).json())
    return manifest["manifests"][manifest["active_manifest"]]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif", ".heic"])
def test_a_signed_photo_says_what_was_done_to_which_file(
    run, small: Path, source: Path, pem: Path, suffix: str
) -> None:
    out = source.with_name(f"out{suffix}")
    assert run("restore", source, "-o", out, "--bundle", small, "--variant", "denoise", "--sign", pem).code == 0
    said = _said(out)
    (done,) = (a["data"]["actions"] for a in said["assertions"] if a["label"].startswith("c2pa.actions"))
    (edited,) = (action for action in done if action["action"] == "c2pa.edited")
    assert edited["digitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert edited["parameters"]["org.mimdit"]["bundle"] == open_bundle(small).manifest.id
    assert [(i["title"], i["relationship"]) for i in said["ingredients"]] == [("in.png", "parentOf")]
    assert "thumbnail" not in said
    found = signed_by(out)
    assert found is not None
    assert (found.state, found.name) == ("Valid", "Mara, Test")
    explained = run("explain", out, "--bundle", small)
    assert explained.code == 0
    assert "by Mara, Test, for whom nobody here vouches" in explained.out


def test_pixels_are_those_without_a_signature_and_a_changed_byte_shows(
    run, small: Path, source: Path, pem: Path, tmp_path: Path
) -> None:
    plain, signed = tmp_path / "plain.jpg", tmp_path / "signed.jpg"
    arguments = ("--bundle", small, "--variant", "denoise")
    run("restore", source, "-o", plain, *arguments)
    run("restore", source, "-o", signed, *arguments, "--sign", pem)
    assert np.array_equal(np.asarray(Image.open(plain)), np.asarray(Image.open(signed)))
    assert signed_by(plain) is None
    content = bytearray(signed.read_bytes())
    content[-100] ^= 1
    signed.write_bytes(content)
    explained = run("explain", signed, "--bundle", small)
    assert explained.code == 1
    assert "changed since" in explained.out


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "p384"])
def test_other_keys_sign_too(run, small: Path, source: Path, tmp_path: Path, kind: str) -> None:
    make = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    }
    pem, out = _pem(tmp_path, make[kind]()), tmp_path / "out.jpg"
    assert run("restore", source, "-o", out, "--bundle", small, "--variant", "denoise", "--sign", pem).code == 0
    found = signed_by(out)
    assert found is not None
    assert found.state == "Valid"


def test_what_cannot_sign_is_one_line_before_any_work(
    run, small: Path, source: Path, pem: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no key")
    for wrong, words in ((bad, "a private key without password and its certificates"), (tmp_path / "x.pem", "read")):
        with pytest.raises(MimditError, match=words):
            Credentials(wrong)
    odd = dsa.generate_private_key(1024)
    private = odd.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    bad.write_bytes(private + pem.read_bytes()[pem.read_bytes().index(b"-----BEGIN CERT") :])
    with pytest.raises(MimditError, match="P-256, P-384, P-521, Ed25519 or RSA"):
        Credentials(bad)
    done = run("restore", source, "-o", tmp_path / "out.bmp", "--bundle", small, "--variant", "denoise", "--sign", pem)
    assert done.code == 2
    assert "BMP has no place for content credentials" in done.err
    assert not (tmp_path / "out.bmp").exists()


def test_a_key_that_is_not_its_certificates_is_one_line(
    run, small: Path, source: Path, pem: Path, tmp_path: Path
) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    private = other.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    mixed, out = tmp_path / "mixed.pem", tmp_path / "out.png"
    mixed.write_bytes(private + pem.read_bytes()[pem.read_bytes().index(b"-----BEGIN CERT") :])
    done = run("restore", source, "-o", out, "--bundle", small, "--variant", "denoise", "--sign", mixed)
    assert done.code == 2
    assert "\n" not in done.err.strip()
    assert not out.exists()


def test_damaged_credentials_are_one_line(run, small: Path, source: Path, pem: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jpg"
    run("restore", source, "-o", out, "--bundle", small, "--variant", "denoise", "--sign", pem)
    content = bytearray(out.read_bytes())
    place = content.index(b"jumb")
    for offset in (4, 12, 40, 200, 800):
        damaged = content.copy()
        damaged[place + offset : place + offset + 8] = b"\xff" * 8
        out.write_bytes(damaged)
        assert _end(out) in ("none", "Invalid", "refused")


def _end(path: Path) -> str:
    try:
        found = signed_by(path)
    except PhotoError as error:
        return "refused" if str(error).isprintable() else str(error)
    return "none" if found is None else found.state
