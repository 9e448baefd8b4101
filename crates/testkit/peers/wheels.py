"""Packs what is installed in this interpreter's environment into wheels again, so that pip can install without a network.

    python wheels.py FOLDER
"""

import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

NOT_PACKED = {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD"}
INSTALLERS = {"pip", "setuptools"}


def pack(distribution, folder):
    files = [file for file in distribution.files if is_packed(file)]
    info = next(file.parent for file in files if file.name == "METADATA")
    tag = next(line[5:] for line in distribution.read_text("WHEEL").splitlines() if line.startswith("Tag: "))
    # The folder's name has the name and version as wheels spell them.
    with zipfile.ZipFile(folder / f"{str(info).removesuffix('.dist-info')}-{tag}.whl", "w") as wheel:
        for file in files:
            wheel.write(file.locate(), str(file))
        wheel.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]))


def is_packed(file):
    # Commands lie beside the packages, and pip makes them anew; compiled files and pip's notes too.
    return ".." not in file.parts and file.suffix != ".pyc" and file.name not in NOT_PACKED


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for distribution in distributions():
    if distribution.metadata["Name"] not in INSTALLERS:
        pack(distribution, folder)
