"""Runs inside the emulated root: restores each bundle's golden tile, and says how far it is from the network's."""

import platform
import sys

from mimdit.bundle import open_bundle
from mimdit.runtimes import open_runtime
from mimdit.runtimes.units import golden_error


def main() -> int:
    """1 where a bundle does not restore its golden tile here."""
    worst = 0
    for path in sys.argv[1:]:
        bundle = open_bundle(path)
        manifest = bundle.manifest
        assert manifest.golden is not None
        for entry in manifest.models:
            runtime = open_runtime(bundle, entry.variant, tile=entry.tile, threads=1)
            error = golden_error(bundle, entry, runtime)
            right = error <= manifest.golden.tolerance
            worst = max(worst, int(not right))
            sys.stdout.write(
                f"{platform.machine()}: {manifest.target} {manifest.precision}, {entry.variant} at {entry.tile} px: "
                f"the golden tile is {'right' if right else 'WRONG'}, off by {255 * error:.2f} levels of 255 "
                f"(0.5 is the rounding of what is expected)\n"
            )
            sys.stdout.flush()
    return worst


if __name__ == "__main__":
    sys.exit(main())
