"""Packages: directories of wheels from which an agent is installed elsewhere without any network.

::

    DIR/*.whl             oboe and everything it needs
    DIR/requirements.txt  ``name==version --hash=sha256:…`` for ``pip --require-hashes``
    DIR/SHA256SUMS        as ``sha256sum`` writes it, of all files but itself
    DIR/package.json      {"version", "python", "machine"}: what it is, and which hosts it fits

One is made of what this very process runs, so that hosts get what was tested here: each installed distribution is packed again into the
wheel that it came from, with the digests of its own record. Or of wheels that somebody gives.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from oboe.domain.errors import Refused

__all__ = ["Package", "make_package", "package_of_wheels", "read_package"]

DISTRIBUTION = "oboe-ops"
SUMS, REQUIREMENTS, FACTS = "SHA256SUMS", "requirements.txt", "package.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Times in a wheel say nothing; with one for all, the same content is the same file."""
_SKIPPED = re.compile(r"(^|/)__pycache__/|\.pyc$|(^|/)(INSTALLER|REQUESTED|direct_url\.json|RECORD)$")
_NAME = re.compile(r"[-_.]+")
_BUILD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Package:
    """One that was read: its files with their digests, ``SHA256SUMS`` included."""

    directory: Path
    version: str
    python: str
    """``3.11``: compiled parts fit one minor version of Python."""
    machine: str
    files: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of the whole: its list of digests has one itself."""
        return sha256((self.directory / SUMS).read_bytes()).hexdigest()


def make_package(directory: Path, *, extras: Sequence[str] = ("seekdb",)) -> Package:
    """Pack what this process runs; of ``extras`` what is installed. `Refused` ``package.exists``, ``package.unpackable``."""
    _must_be_empty(directory)
    for found in _needed(extras):
        if found.metadata["Name"] == DISTRIBUTION and _is_editable(found):
            _build_editable(found, directory)
        else:
            _pack(found, directory)
    return _sealed(directory)


def package_of_wheels(directory: Path, wheels: Path) -> Package:
    """A package of wheels that are there already, as ``pip download`` leaves them. `Refused` ``package.*``."""
    _must_be_empty(directory)
    for each in sorted(wheels.glob("*.whl")):
        shutil.copyfile(each, directory / each.name)
    return _sealed(directory)


def read_package(directory: Path) -> Package:
    """Read and verify one. `Refused` ``package.none``, ``package.damaged``."""
    try:
        lines = (directory / SUMS).read_text(encoding="utf-8").splitlines()
        facts = json.loads((directory / FACTS).read_bytes())
    except (OSError, ValueError) as error:
        hint = "make one: oboe host package DIR"
        raise Refused("package.none", f"{directory} is no package: {error}", hint=hint) from None
    files = [SUMS]
    for line in filter(str.strip, lines):
        wanted, _, name = line.partition("  ")
        path = directory / Path(name).name
        if not path.is_file() or sha256(path.read_bytes()).hexdigest() != wanted:
            hint = "make it anew, or copy it again from where it came"
            raise Refused("package.damaged", f"{path.name} is not what {directory / SUMS} says", hint=hint)
        files.append(path.name)
    if FACTS not in files or REQUIREMENTS not in files:
        raise Refused("package.damaged", f"{directory / SUMS} leaves out {FACTS} or {REQUIREMENTS}", hint="make it anew")
    return Package(directory, str(facts["version"]), str(facts["python"]), str(facts["machine"]), tuple(files))


# What is needed


def _needed(extras: Sequence[str]) -> list[Distribution]:
    """oboe and what it depends on, by what is installed here."""
    found: dict[str, Distribution] = {}
    left = [(DISTRIBUTION, tuple(extras))]
    while left:
        name, wanted = left.pop()
        if _plain(name) in found and not wanted:
            continue
        try:
            each = distribution(name)
        except PackageNotFoundError:
            if name == DISTRIBUTION:
                raise Refused("package.unpackable", "oboe itself is not installed as a package here") from None
            continue  # of an extra that this agent does without
        found[_plain(name)] = each
        left += [one for one in _requirements(each, wanted) if _plain(one[0]) not in found]
    return [found[name] for name in sorted(found)]


def _requirements(each: Distribution, extras: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    from packaging.requirements import Requirement  # on first use: an agent that starts does without

    for text in each.requires or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed.name, tuple(sorted(needed.extras))


def _plain(name: str) -> str:
    return _NAME.sub("-", name).lower()


# Packing


def _is_editable(found: Distribution) -> bool:
    return '"editable": true' in (found.read_text("direct_url.json") or "").replace('"editable":true', '"editable": true')


def _build_editable(found: Distribution, directory: Path) -> None:
    """A working copy has no files to pack; its build backend makes the wheel."""
    source = json.loads(found.read_text("direct_url.json") or "{}")["url"].removeprefix("file://")
    script = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(directory.absolute())]
    try:
        ended = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        hint = "try again when the machine is less busy"
        raise Refused("package.unpackable", f"the working copy {source} was not built within {_BUILD_SECONDS:g} s", hint=hint) from None
    if ended.returncode != 0:
        words = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Refused("package.unpackable", f"the working copy {source} cannot be built: {words[:300]}", hint="make setup")


def _pack(found: Distribution, directory: Path) -> None:
    name = f"{_plain(found.metadata['Name']).replace('-', '_')}-{found.version}"
    described = found.read_text("WHEEL")
    if found.files is None or described is None:
        raise Refused("package.unpackable", f"{found.metadata['Name']} was not installed from a wheel", hint="install it with pip")
    tags = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("Tag:")]
    wheel = directory / f"{name}-{_file_tag(tags)}.whl"
    info = next(str(file.parent) for file in found.files if file.name == "WHEEL")
    record: list[str] = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(found.files, key=str):
            text = str(file)
            if text.startswith("..") or _SKIPPED.search(text):
                continue  # scripts are made anew from the entry points
            content = Path(str(file.locate())).read_bytes()
            _check_recorded(file.hash, content, text)
            _add(archive, text, content, record, mode=Path(str(file.locate())).stat().st_mode & 0o777)
        _add(archive, f"{info}/RECORD", ("\n".join([*record, f"{info}/RECORD,,"]) + "\n").encode(), [])


def _check_recorded(recorded: object, content: bytes, name: str) -> None:
    """What somebody has changed since it was installed is not spread."""
    mode, value = getattr(recorded, "mode", ""), getattr(recorded, "value", "")
    if mode == "sha256" and value.rstrip("=") != _encoded(content):
        raise Refused("package.unpackable", f"{name} was changed after it was installed", hint="install this agent anew")


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


def _add(archive: zipfile.ZipFile, name: str, content: bytes, record: list[str], *, mode: int = 0o644) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
    record.append(f"{name},sha256={_encoded(content)},{len(content)}")


def _file_tag(tags: Sequence[str]) -> str:
    """One tag for the file's name: the sets of its three parts, joined as PEP 425 joins them."""
    parts = [sorted({tag.split("-")[place] for tag in tags}) for place in range(3)]
    return "-".join(".".join(part) for part in parts)


# The lists


def _must_be_empty(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise Refused("package.exists", f"{directory} is not empty", hint="name another directory")
    except OSError as error:
        raise Refused("package.exists", f"{directory} cannot be made: {error.strerror}", hint="name another directory") from error


def _sealed(directory: Path) -> Package:
    """Write the lists of a directory that has its wheels."""
    wheels = sorted(directory.glob("*.whl"))
    own = [each for each in wheels if _plain(each.name.split("-")[0]) == DISTRIBUTION]
    if len(own) != 1:
        raise Refused("package.no_oboe", f"{directory} has {len(own)} wheels of {DISTRIBUTION}, not one")
    lines = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{_plain(name)}=={version} --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n")
    (directory / REQUIREMENTS).write_text("".join(lines), encoding="utf-8")
    facts = {
        "version": own[0].name.split("-")[1],
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
    }
    (directory / FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    sums = [f"{sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in sorted(directory.iterdir()) if each.name != SUMS]
    with tempfile.NamedTemporaryFile("w", dir=directory, prefix=".", delete=False) as file:
        file.write("".join(sums))
    Path(file.name).replace(directory / SUMS)
    return read_package(directory)
