#!/usr/bin/env bash
# Correctness on Arm without an Arm machine: restores the golden tile of bundles in an emulated arm64 Debian.
#
#   sudo tests/arm64/run.sh onnx-64.mimdit litert-64.mimdit
#
# Run by hand, never in CI, and never a timing: emulation takes minutes where Arm takes milliseconds, so build the
# bundles with --tile 64. Needs root, and Debian's debootstrap and qemu-user-static:
#
#   apt-get install debootstrap qemu-user-static
#
# The root is made once and kept under WORK. Debian's packages are unpacked, not installed: no binfmt_misc is needed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=${WORK:-/var/tmp/mimdit-arm64}
root=$work/root
wheels=$work/wheels

if [ ! -e "$root/usr/bin/python3.11" ]; then
    mkdir -p "$work"
    debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,libgomp1,libstdc++6 \
        bookworm "$root" http://deb.debian.org/debian
    for package in "$root"/var/cache/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$root"
    done
fi
cp "$(command -v qemu-aarch64-static)" "$root/qemu-aarch64-static"

if [ ! -e "$root/site" ]; then
    platforms=(manylinux2014_aarch64 manylinux_2_27_aarch64 manylinux_2_28_aarch64 manylinux_2_34_aarch64)
    python3 -m pip download -q -d "$wheels" --python-version 3.11 --implementation cp --only-binary :all: \
        "${platforms[@]/#/--platform=}" \
        numpy onnxruntime ai-edge-litert pydantic pillow typer rich
    mkdir "$root/site"
    for wheel in "$wheels"/*.whl; do
        python3 -m zipfile -e "$wheel" "$root/site"
    done
fi

rm -rf "$root/site/mimdit" "$root/bundles"
cp -rL "$here/../../mimdit" "$root/site/mimdit"
mkdir "$root/bundles"
cp -r "$@" "$root/bundles"
cp "$here/golden_tiles.py" "$root/"
mkdir -p "$root/proc"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT
bundles=("${@%/}")
bundles=("${bundles[@]##*/}")
env -i PATH=/usr/bin:/usr/sbin HOME=/tmp PYTHONPATH=/site OMP_NUM_THREADS=1 \
    chroot "$root" /qemu-aarch64-static /usr/bin/python3.11 /golden_tiles.py "${bundles[@]/#//bundles/}"
