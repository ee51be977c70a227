"""The licences that a distribution declares, as SPDX names them where that is certain."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageMetadata
from typing import TYPE_CHECKING

from pytest_artisan.audit.sbom.cleaning import cleaned

if TYPE_CHECKING:
    from cyclonedx.model.license import License

# A longer one is a licence's text, and reading it as an expression takes long.
_LONGEST = 500
# A name such as "BSD 3-Clause" fits in a line; what is longer is a text.
_LONGEST_NAME = 80
_NOTHING = ("UNKNOWN", "NONE")  # what old tools write where nothing is declared
_CLASSIFIER = "License :: "
# The ends of PyPI's classifiers that mean exactly one licence of SPDX (https://peps.python.org/pep-0639, appendix). "BSD
# License", "Apache Software License" and others leave the version open, and stay the classifiers that they are.
_SPDX = {
    "Aladdin Free Public License (AFPL)": "Aladdin",
    "Attribution Assurance License": "AAL",
    "Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)": "CECILL-2.1",
    "CeCILL-B Free Software License Agreement (CECILL-B)": "CECILL-B",
    "CeCILL-C Free Software License Agreement (CECILL-C)": "CECILL-C",
    "Common Development and Distribution License 1.0 (CDDL-1.0)": "CDDL-1.0",
    "Common Public License": "CPL-1.0",
    "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "European Union Public Licence 1.0 (EUPL 1.0)": "EUPL-1.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "IBM Public License": "IPL-1.0",
    "ISC License (ISCL)": "ISC",
    "Intel Open Source License": "Intel",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "MirOS License (MirOS)": "MirOS",
    "Motosoto License": "Motosoto",
    "Mozilla Public License 1.0 (MPL)": "MPL-1.0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
    "Nethack General Public License": "NGPL",
    "Nokia Open Source License": "Nokia",
    "Open Group Test Suite License": "OGTSL",
    "Open Software License 3.0 (OSL-3.0)": "OSL-3.0",
    "PostgreSQL License": "PostgreSQL",
    "Python License (CNRI Python License)": "CNRI-Python",
    "Python Software Foundation License": "Python-2.0",
    "Qt Public License (QPL)": "QPL-1.0",
    "Ricoh Source Code Public License": "RSCPL",
    "Sleepycat License": "Sleepycat",
    "Sun Industry Standards Source License (SISSL)": "SISSL",
    "Sun Public License": "SPL-1.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "Vovida Software License 1.0": "VSL-1.0",
    "W3C License": "W3C",
    "X.Net License": "Xnet",
    "zlib/libpng License": "Zlib",
}


def licences_of(metadata: PackageMetadata) -> list[License]:
    """What the metadata declares: one expression of SPDX, or licences by their ids or, where there is none, by names."""
    from cyclonedx.model.license import LicenseExpression

    found = list(_declared(metadata))
    # CycloneDX takes an expression alone; it says what the others beside it say, and how they go together.
    return next(([one] for one in found if isinstance(one, LicenseExpression)), found)


def _declared(metadata: PackageMetadata) -> Iterator[License]:
    """By PEP 639: an expression makes void what is deprecated beside it."""
    expressions = _texts(metadata, "License-Expression")
    if expressions:
        yield from (_read(text) for text in expressions[:1] if len(text) <= _LONGEST)
        return
    classifiers = [text for text in _texts(metadata, "Classifier") if text.startswith(_CLASSIFIER)]
    for text in classifiers:
        yield _read(_SPDX.get(text.rpartition(" :: ")[2], text))
    for text in _texts(metadata, "License"):
        if len(text) > _LONGEST or text.upper() in _NOTHING:
            continue
        licence = _read(text)
        # The field is free text: beside a classifier a name says less, and a long one is no name.
        if getattr(licence, "name", None) is None or (not classifiers and len(text) <= _LONGEST_NAME):
            yield licence


def _texts(metadata: PackageMetadata, key: str) -> list[str]:
    return [text for text in (str(value).strip() for value in metadata.get_all(key) or ()) if text]


def _read(text: str) -> License:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.license import LicenseAcknowledgement

    return LicenseFactory().make_from_string(cleaned(text), license_acknowledgement=LicenseAcknowledgement.DECLARED)
