"""Content credentials (C2PA): a signed statement inside the photo of what was done to it, and to which file.

Through c2pa-python (`pip install 'mimdit[c2pa]'`). Unlike XMP, which whoever can write a file can write, a signature
tells when a byte of the photo has changed since. Nothing is fetched: no time stamps, no revocation lists, no manifests
that a photo keeps elsewhere.
"""

import io
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from mimdit.errors import MimditError, MissingPackageError, PhotoError
from mimdit.image.formats import sniff
from mimdit.image.provenance import DIGITAL_SOURCE_TYPE, Provenance

__all__ = ["Credentials", "SignedBy", "signed_by"]

_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}
_OTHER = "application/octet-stream"  # an original that is named by its hash alone: RAW, BMP, GIF
_SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},  # EXIF has one; of the original none should come along unasked
}
_EDWARDS, _RSA = "ed25519", "ps256"
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class SignedBy:
    """Who signed a photo file. `state` is c2pa's: Trusted, Valid (nobody here vouches for the signer), Invalid."""

    state: str
    name: str


class Credentials:
    """A private key and its certificates, from one PEM file; the signer's own certificate comes first."""

    def __init__(self, path: Path):
        """Raises MimditError where the file cannot be read or used, MissingPackageError."""
        _c2pa()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise MimditError(f"{path}: cannot be read ({error.strerror}): name a PEM file with --sign") from None
        self._key, self._chain, self._algorithm = _parts(content, path)

    def sign(self, file: BinaryIO, format: str, source: Path, provenance: Provenance) -> None:
        """Replaces the encoded photo in an open file by the same with credentials. `source` is the file before.

        Raises PhotoError for formats that have no place for them, and for whatever c2pa refuses.
        """
        c2pa = _c2pa()
        media_type = _MEDIA_TYPES.get(format)
        if media_type is None:
            raise PhotoError(f"{format} has no place for content credentials: choose .jpg, .png, .tif or .webp")
        software = {"name": "mimdit", "version": version("mimdit")}
        action = {
            "action": "c2pa.edited",
            "softwareAgent": software,
            "digitalSourceType": DIGITAL_SOURCE_TYPE,
            "description": f"restored: {', then '.join(provenance.variants)}",
            "parameters": {"org.mimdit": provenance.model_dump(mode="json")},
        }
        signed = io.BytesIO()
        try:
            builder = c2pa.Builder({"claim_generator_info": [software]}, c2pa.Context.from_dict(_SETTINGS))
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            with source.open("rb") as original:
                kind = _MEDIA_TYPES.get(sniff(original.read(64), source.suffix) or "", _OTHER)
                original.seek(0)
                builder.add_ingredient({"title": source.name, "relationship": "parentOf"}, kind, original)
            builder.add_action(action)
            info = c2pa.C2paSignerInfo(self._algorithm.encode(), self._chain, self._key, None)
            file.seek(0)
            builder.sign(c2pa.Signer.from_info(info), media_type, file, signed)
        except c2pa.C2paError as error:
            raise PhotoError(f"{source}: cannot be signed ({' '.join(str(error).split())}): check --sign") from error
        file.seek(0)
        file.truncate()
        file.write(signed.getbuffer())


def signed_by(path: Path) -> SignedBy | None:
    """Who signed a photo file, and whether that holds. None where nobody did, and without c2pa-python."""
    try:
        c2pa = _c2pa()
    except MissingPackageError:
        return None
    with path.open("rb") as file:
        media_type = _MEDIA_TYPES.get(sniff(file.read(64), path.suffix) or "")
        if media_type is None:
            return None
        file.seek(0)
        try:
            reader = c2pa.Reader.try_create(media_type, file, context=c2pa.Context.from_dict(_SETTINGS))
        except c2pa.C2paError as error:
            raise PhotoError(f"{path}: its credentials are damaged ({' '.join(str(error).split())})") from error
        if reader is None:
            return None
        manifest = json.loads(reader.json())
    active = manifest["manifests"][manifest["active_manifest"]]
    signer = active.get("signature_info", {})
    name = ", ".join(str(signer[part]) for part in ("common_name", "issuer") if signer.get(part))
    return SignedBy(str(reader.get_validation_state()), name or "unknown")


def _c2pa() -> Any:
    try:
        import c2pa
    except ModuleNotFoundError as error:
        raise MissingPackageError("c2pa-python", "c2pa") from error
    return c2pa


def _parts(content: bytes, path: Path) -> tuple[bytes, bytes, str]:
    """PEM → private key, certificates, and the algorithm that C2PA has for such a key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        key = serialization.load_pem_private_key(content, password=None)
        certificates = x509.load_pem_x509_certificates(content)
    except (ValueError, TypeError) as error:
        raise MimditError(
            f"{path}: expected a PEM file of a private key without password and its certificates ({error})"
        ) from None
    algorithm = None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = _CURVES.get(key.curve.name)
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = _EDWARDS
    elif isinstance(key, rsa.RSAPrivateKey):
        algorithm = _RSA
    if algorithm is None:
        raise MimditError(f"{path}: C2PA signs with keys on P-256, P-384, P-521, Ed25519 or RSA: choose one of these")
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, b"".join(certificate.public_bytes(pem) for certificate in certificates), algorithm
