"""Licence and languages survive front matter as people write it by hand, on any system."""

from pathlib import Path

import pytest

from release.progress import Console
from release.sources.stated import HUB_LICENCES, languages, licence_file, licence_id, stated

BOTH = "license: mit\nlanguage:\n- en\n- de\n"
CARDS: dict[str, bytes] = {
    "as the Hub writes it": f"---\n{BOTH}---\n# Model\n".encode(),
    "line ends of Windows": f"---\n{BOTH}---\n# Model\n".replace("\n", "\r\n").encode(),
    "line ends of old Macs": f"---\n{BOTH}---\n# Model\n".replace("\n", "\r").encode(),
    "a byte order mark": f"\ufeff---\n{BOTH}---\n".encode(),
    "UTF-16, as a redirect writes it": f"---\n{BOTH}---\n".encode("utf-16"),
    "empty lines before": f"\n\n---\n{BOTH}---\n".encode(),
    "spaces behind the rules": f"---  \n{BOTH}--- \n".encode(),
    "longer rules": f"-----\n{BOTH}-----\n".encode(),
    "dots at the end": f"---\n{BOTH}...\n# Model\n".encode(),
    "no text behind": f"---\n{BOTH}---".encode(),
    "capital letters": b"---\nLicense: MIT\nLanguage: [EN, DE]\n---\n",
    "British": b"---\nlicence: mit\nlanguages: en, de\n---\n",
    "tabs": b"---\nlicense:\tmit\nlanguage:\n\t- en\n\t- de\n---\n",
    "a list of one licence": b"---\nlicense:\n- mit\nlanguage: [en, de]\n---\n",
    "quotes": b'---\nlicense: \'mit\'\nlanguage: ["en", "de"]\n---\n',
    "words": b"---\nlicense: The MIT License (MIT)\nlanguage: English and German\n---\n",
    "regions": b"---\nlicense: Mit\nlanguage: [en-US, de_AT, en-GB]\n---\n",
    "comments": b"---\n# the card\nlicense: mit  # ours\nlanguage: [en, de] # two\n---\n",
    "other text that is no ASCII": f"---\ntitle: Modèle – “x”\n{BOTH}---\nÜ\n".encode(),
    "text in another encoding": b"---\ntitle: Mod\xe8le\n" + BOTH.encode() + b"---\n",
}


@pytest.mark.parametrize("name", CARDS)
def test_licence_and_languages_are_read(name, tmp_path: Path):
    (tmp_path / "README.md").write_bytes(CARDS[name])
    licence, found = stated(tmp_path, Console(quiet=True))
    assert (licence.id, found) == ("mit", ("en", "de"))


@pytest.mark.parametrize("name", ["README.md", "readme.md", "Readme.MD", "ReadMe.md"])
def test_a_card_is_found_in_whatever_case_its_name_is_written(name, tmp_path: Path):
    (tmp_path / name).write_text(f"---\n{BOTH}---\n")
    assert stated(tmp_path, Console(quiet=True))[0].id == "mit"


SPELT = {
    "apache-2.0": ["Apache 2.0", "Apache License 2.0", "Apache License, Version 2.0", "apache2", "Apache-2", "ASL 2.0"],
    "mit": ["MIT", "MIT License", "The MIT License", "mit licence"],
    "cc-by-4.0": ["CC BY 4.0", "CC-BY-4.0", "cc by-4.0", "Creative Commons Attribution 4.0 International", "BY-4.0"],
    "cc-by-nc-4.0": ["CC BY-NC 4.0", "CC_BY_NC_4.0", "Creative Commons Attribution-NonCommercial 4.0"],
    "cc-by-nc-sa-4.0": ["CC BY-NC-SA 4.0 International", "cc-by-nc-sa-4"],
    "cc-by-nc-nd-4.0": ["Attribution-NonCommercial-NoDerivatives 4.0"],
    "cc0-1.0": ["CC0", "CC0 1.0", "cc-zero"],
    "gpl-3.0": ["GPLv3", "GPL 3", "GPL-3.0", "GNU GPL v3", "GNU General Public License v3.0"],
    "agpl-3.0": ["AGPLv3", "GNU Affero General Public License v3.0"],
    "lgpl-2.1": ["LGPL v2.1", "GNU Lesser General Public License 2.1"],
    "mpl-2.0": ["MPL 2.0", "Mozilla Public License 2.0"],
    "bsd-3-clause": ["BSD 3-Clause", "BSD-3", "3-Clause BSD License"],
    "unlicense": ["Unlicense", "The Unlicense"],
    "llama2": ["Llama 2", "LLAMA2", "Llama 2 Community License Agreement"],
    "llama3.1": ["Llama 3.1", "Llama 3.1 Community License", "META LLAMA 3.1 COMMUNITY LICENSE AGREEMENT"],
    "gemma": ["Gemma", "Gemma Terms of Use", "gemma license"],
    "openrail": ["OpenRAIL"],
    "other": ["Other", "OTHER"],
}


@pytest.mark.parametrize(("known", "written"), [(known, each) for known, words in SPELT.items() for each in words])
def test_a_licence_written_by_hand_is_the_hubs_id(known, written):
    assert licence_id(written) == known


@pytest.mark.parametrize("known", sorted(HUB_LICENCES))
def test_an_id_of_the_hub_is_itself_in_any_case(known):
    assert licence_id(known) == licence_id(known.upper()) == licence_id(f" {known} ") == known


@pytest.mark.parametrize("written", ["My Company License", "Mitre Corp 1.0", "apache-ish", "research only", "llama99"])
def test_a_licence_that_the_hub_does_not_know_keeps_its_words(written):
    assert licence_id(written) == written


def test_several_licences_stay_several():
    assert licence_id(["Apache 2.0", "MIT"]) == "apache-2.0, mit"
    assert licence_id(["mit", "MIT"]) == "mit"
    assert licence_id([]) is licence_id(None) is licence_id(3) is licence_id({"a": 1}) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("en", ("en",)),
        ("English", ("en",)),
        ("en/de; fr", ("en", "de", "fr")),
        (["EN", "pt-BR", "zh_Hans"], ("en", "pt", "zh")),
        ([False, "sv"], ("no", "sv")),
        (False, ("no",)),
        (["multilingual", "code"], ("multilingual", "code")),
        (["Klingon"], ("Klingon",)),
        (["en", "en"], ("en",)),
        (None, ()),
        ([None, 3, {}], ()),
    ],
)
def test_languages_as_people_write_them(value, found):
    assert languages(value) == found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["LICENSE", "NOTICE"], "LICENSE"),
        (["license.txt", "COPYING"], "license.txt"),
        (["COPYING"], "COPYING"),
        (["UNLICENSE.md"], "UNLICENSE.md"),
        (["MODEL_LICENSE"], "MODEL_LICENSE"),
        (["EULA.txt"], "EULA.txt"),
        (["gemma_terms_of_use.txt"], "gemma_terms_of_use.txt"),
        (["license.py", "license.safetensors"], None),
        (["config.json"], None),
    ],
)
def test_the_licences_text_is_found_under_its_usual_names(names, found):
    assert licence_file(names) == found
