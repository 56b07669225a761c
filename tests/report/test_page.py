"""The page as HTML: well formed, whole in itself, safe from what data say, and complete without candidates."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gflownet_crystal.config.compose import parse_setting
from gflownet_crystal.report.page import Material, write_report
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import read_run
from gflownet_crystal.report.words import asked, headline
from gflownet_crystal.workflows.evaluating.report_sets import Comparison, gather
from tests.report.runs import sample_frame, write_run

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects what there is."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: dict[str | None, str] = {}
        self.source = text
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes = next(a for tag, a in reversed(self.tags) if tag == "script")
            self.scripts[attributes.get("id")] = self.scripts.get(attributes.get("id"), "") + data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def material_of(folder: Path, known: Population | None = None) -> Material:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return gather(read_run(folder, config), known, Comparison(), 100)


def page_of(material: Material, out: Path) -> Page:
    written = write_report(material, out)
    text = out.read_text(encoding="utf-8")
    assert text == written.text and written.n_bytes == len(text.encode()) < 15_000_000
    return Page(text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Page:
    folder = write_run(tmp_path_factory.mktemp("made") / "run")
    known = Population.of("reference", "known", sample_frame(40, seed=9).assign(material_id="mp-1"))
    return page_of(material_of(folder, known), folder / "report.html")


def test_nothing_is_fetched_from_anywhere(whole):
    for _, attributes in whole.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in whole.tags}
    assert not re.search(r"https?://|@import|url\((?!#)", whole.source)
    policies = [a["content"] for tag, a in whole.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and "default-src 'none'" in policies[0]


def test_the_page_is_labelled(whole):
    assert whole.tags[0] == ("html", {"lang": "en"})
    names = [attributes["id"] for _, attributes in whole.tags if "id" in attributes]
    assert len(names) == len(set(names))
    for tag, attributes in whole.tags:
        if tag in ("svg", "canvas"):
            assert attributes["role"] == "img" and attributes["aria-label"]
        if tag == "section":
            assert attributes["aria-labelledby"] in names
        if tag == "a" and attributes["href"].startswith("#"):
            assert attributes["href"][1:] in names
    assert [tag for tag, _ in whole.tags].count("h1") == 1


def test_every_candidate_has_its_card(whole):
    cards = [attributes for tag, attributes in whole.tags if tag == "article"]
    assert [card["data-rank"] for card in cards] == [str(rank) for rank in range(1, 7)]
    stored = json.loads(whole.scripts["crystals"])
    assert len(stored["crystals"]) == 6 and stored["crystals"][5]["relaxed"] is None
    links = [a for tag, a in whole.tags if tag == "a" and "download" in a]
    assert len(links) == 1 + 6 + 5
    assert "How many of the 6 candidates hold each element." in whole.text
    assert "same formula and group" in whole.text and "relaxation: failed" in whole.text


def test_it_says_what_was_asked_and_found(whole):
    assert "of 10 elements (Na Cl Mg O Zn S Ca F Al N)" in whole.text
    assert (
        "40 of" in whole.text
        and "Discovery: beta = 30.0" in whole.text
        and "prior with weight 1.0" in whole.text
    )
    energy = sample_frame()["energy"]
    assert f"{energy.median():.2f}".replace("-", "\N{MINUS SIGN}") in whole.text
    assert f"{energy.quantile(0.95):.2f}".replace("-", "\N{MINUS SIGN}") in whole.text


def test_the_lists_of_the_configuration_are_not_a_line_an_entry(whole):
    (stored,) = [text for text in whole.texts if "_target_" in text and "elements:" in text]
    assert "elements: [Na, Cl, Mg, O, Zn, S, Ca, F, Al, N]" in stored
    assert len(stored.splitlines()) < 120


def test_what_data_say_is_only_text(tmp_path):
    folder = write_run(tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    summary |= {"property": HOSTILE + "$x$", "unit": HOSTILE, "env": HOSTILE, "proxy": HOSTILE}
    (folder / "summary.json").write_text(json.dumps(summary))
    table = pd.read_csv(folder / "candidates" / "candidates.csv")
    table["remark"], table[HOSTILE] = HOSTILE, HOSTILE
    table.to_csv(folder / "candidates" / "candidates.csv", index=False)
    relaxed = pd.read_csv(folder / "relaxed" / "relaxed.csv").assign(status=HOSTILE)
    relaxed.to_csv(folder / "relaxed" / "relaxed.csv", index=False)
    (folder / "relaxed" / "settings.json").write_text(json.dumps({"model": HOSTILE + "$y$"}))
    known = Population.of("reference", HOSTILE, sample_frame(9).assign(material_id=HOSTILE))
    material = material_of(folder, known)
    material = replace(
        material,
        run=replace(material.run, config={**material.run.config, "seed": HOSTILE}),
        notes=[HOSTILE],
        labels=dict.fromkeys(material.labels, HOSTILE),
    )
    made = page_of(material, folder / "report.html")
    assert [tag for tag, _ in made.tags].count("script") == 3
    assert not any("onerror" in attributes for _, attributes in made.tags)
    assert made.text.count(HOSTILE) >= 6 * 4


def test_an_unfinished_run_says_how_to_go_on(tmp_path, unpainted):
    folder = write_run(tmp_path / "run", finished=False, candidates=False)
    made = page_of(material_of(folder), folder / "report.html")
    assert f"gflownet-crystal export run={folder} out={folder / 'candidates'}" in made.text
    assert f"gflownet-crystal train_gfn run.dir={folder} resume=true" in made.text
    assert "training_curves.png" in {path.name for path in (folder / "figures").iterdir()}


def test_commands_stand_the_name_of_any_folder(tmp_path, unpainted):
    folder = write_run(tmp_path / "<img src=x onerror=alert(1)>", finished=False, candidates=False)
    made = page_of(material_of(folder), folder / "report.html")
    command = made.text[made.text.index("gflownet-crystal train_gfn") :]
    words = shlex.split(command[: command.index("resume=true") + len("resume=true")])
    setting = parse_setting(words[2])
    assert (setting.key, setting.value, words[3]) == ("run.dir", str(folder), "resume=true")
    assert not any(tag == "img" for tag, _ in made.tags) and folder.name in made.text


def test_candidates_that_nobody_judged_are_called_so(tmp_path, unpainted):
    folder = write_run(tmp_path / "run", finished=False, relaxed=False)
    made = page_of(material_of(folder), folder / "report.html")
    assert f"gflownet-crystal relax structures={folder / 'candidates'} out={folder / 'relaxed'}" in made.text
    assert "No candidate has been relaxed with a potential yet" in made.text


@pytest.mark.parametrize("given", [7, "Li", ["Li"]])
def test_a_configuration_that_was_changed_by_hand_is_told_as_it_is(tmp_path, given):
    env = {"elements": ["Li", "O"], "required_elements": given}
    told = " ".join(text for _, text in asked(read_run(write_run(tmp_path / "run"), {"env": env})))
    assert f"each with {given if isinstance(given, int) else 'Li'}" in told


@pytest.mark.parametrize("given", [1e308, "Li", {"a": 1}, None, True])
@pytest.mark.parametrize("key", ["elements", "space_groups"])
def test_a_space_without_lists_is_the_whole_one(tmp_path, key, given):
    run = read_run(
        write_run(tmp_path / "run"), {"env": {"elements": ["Li", "O"], "space_groups": [1, 2], key: given}}
    )
    told = {
        what: note for _, what, note in headline(run, [], Population.of("samples", "", sample_frame()), {})
    }
    assert told["space groups"] == ("of 230 allowed" if key == "space_groups" else "of 2 allowed")
    assert told["elements"] == ("" if key == "elements" else "of 2 allowed")
    assert asked(run)


def test_samples_that_are_no_crystals_have_energies_only(tmp_path, unpainted):
    folder = write_run(tmp_path / "run", candidates=False)
    pd.DataFrame({"x0": [0.1, 0.2], "x1": [0.3, 0.4], "energy": [1.0, 2.0]}).to_parquet(
        folder / "samples.parquet"
    )
    made = page_of(material_of(folder), folder / "report.html")
    assert "makes no crystals" in made.text and "; no crystals." in made.text
    assert "above hull" not in made.text and "no candidates yet" not in made.text
    assert [a["id"] for tag, a in made.tags if tag == "figure"] == [
        "figure-energy_distribution",
        "figure-training_curves",
    ]


def test_a_property_without_a_unit_has_none(tmp_path, unpainted):
    folder = write_run(tmp_path / "run", candidates=False)
    (folder / "summary.json").write_text('{"property": "reward", "unit": "1"}')
    made = page_of(material_of(folder), folder / "report.html")
    assert "Reward, predicted" in made.text and "(1)" not in made.text
