"""The page of trained weights, made from their cards: ``python docs/build_models.py`` writes ``docs/models.md``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PAGE = DOCS / "models.md"
WEIGHTS = DOCS.parent / "gflownet_crystal" / "weights"
COMMAND = "python docs/build_models.py"

_OF_LOSSES = "figures are losses of one step, not the quality of crystals"
# errors of single sources of labels, too many for the page
_OF_SOURCES = "mae_by_energy_source"
_PURE = (*"spearman_above_hull with_template formulas formulas_with_groups within_2_std mae_log10".split(),)
_OF_PROPERTIES = (
    ("validation.validation.mae_log10", "mean absolute error of the decadic logarithm, MP-20 val"),
    ("validation.validation.mae", "mean absolute error, MP-20 val"),
    ("validation.not_calibrated_on.within_2_std", "share of labels within 2 standard deviations"),
)


@dataclass(frozen=True)
class Kind:
    """Facts of all weights of a kind.

    Attributes:
        what: kind of weights, in words.
        limits: region of chemistry that they know.
        split: name of the data kept apart in addition to formulas held out, where the card says nothing of it.
        figure: dotted keys of the card for the table, the first that it has, each with words for it.
    """

    what: str
    limits: str
    split: str = "MP-20 val"
    figure: tuple[tuple[str, str], ...] = ()


KINDS: Mapping[str, Kind] = {
    "energy_ensemble": Kind(
        "energies of specs (composition, group and cell), by an ensemble that has also learned strained cells",
        "sees no atoms: structures of one spec have one energy; the shape of a cell has a weak effect; standard "
        "deviations are too small far from the Materials Project",
        figure=(("validation.mp20_val.mae", "MAE on MP-20 val"), ("test.wbm.parquet.mae", "MAE on WBM")),
    ),
    "mlp_paper": Kind(
        "energies of specs by the network of Crystal-GFN",
        "sees no atoms; has not learned strained cells, and gives no uncertainty; for the paper's experiment",
        figure=(("validation.mp20_val.mae", "MAE on MP-20 val"),),
    ),
    "learned_hull": Kind(
        "the convex hull of formation energies, by composition",
        "an estimate, whose errors a sampler finds; the hull of a reference set is exact for that set",
        figure=(("validation.mae_e_above_hull", "MAE of energies above hull, held-out formulas"),),
    ),
    "reference_hull": Kind(
        "the convex hull of known compounds, from public labels that agree with each other, and the number of known "
        "crystals in each chemical system",
        "has no compound outside its data; pure elements have the energy 0",
        split="none",
        figure=(
            ("validation.mp20_val.mae_e_above_hull", "MAE of energies above hull, MP-20 val"),
            ("validation.mp20_val_without_its_formulas.mae_e_above_hull", "from a hull without its formulas"),
        ),
    ),
    "known_compounds": Kind(
        "hash keys of known reduced formulas and of their space groups",
        "compounds of other collections count as new: add them with `reward.novelty.known=FILE`",
        split="none",
        figure=(("formulas", "formulas"), ("formulas_with_groups", "formulas with groups")),
    ),
    "prototypes": Kind(
        "prototypes of known crystals (space group, counts, Wyckoff positions, coordinates and cell), and the elements "
        "that crystals of each have",
        "of cells with more than 20 atoms, only prototypes that at least five stable crystals share",
        split="none",
        figure=(
            ("validation.mp20_val.first_1", "share of MP-20 val whose prototype is the first of its formula"),
            ("validation.mp20_val.first_20", "among the first 20"),
        ),
    ),
    "site_templates": Kind(
        "coordinates of known crystals, beyond those of `prototypes`, for `generator=wyckoff`",
        "of at most 40 atoms, only prototypes that two crystals share; crystals far above the hull count too",
        figure=(("validation.mp20_val.with_template", "share of MP-20 val with a template"),),
    ),
    "placing": Kind(
        "a correction of `mlp` to the energies of atoms placed in sampled cells",
        "labels are energies by `alignn` of the best of a generator's tries, not of relaxed crystals; works only with "
        "the `mlp` of its training",
        split="held-out sampled formulas",
        figure=(
            ("validation.sampled_not_calibrated_on.mae", "MAE on sampled specs of other formulas"),
            ("validation.without_correction.mae", "without it"),
            ("validation.sampled_not_calibrated_on.spearman_above_hull", "rank correlation of distances"),
        ),
    ),
    "spec_property": Kind(
        "a property of specs, by small networks on the layers of `mlp`",
        "sees no atoms; learned from crystals near their equilibrium; works only with the `mlp` of its training",
        figure=_OF_PROPERTIES,
    ),
    "structure_property": Kind(
        "a property of crystals with atoms, by small networks on the layers of `alignn`",
        "learned from crystals near their equilibrium; works only with the `alignn` of its training",
        figure=_OF_PROPERTIES,
    ),
    "placing_labels": Kind(
        "labelled specs of samplers: the training data of `placing`, used again in each round of `refine`",
        "energies by one model of the best of a generator's tries; no atoms are kept",
        split="none",
        figure=(("formulas", "reduced formulas"),),
    ),
    "contacts": Kind(
        "the smallest distance of each pair of elements in known crystals",
        "for rare pairs covalent radii are used; distances are those of relaxed crystals",
        figure=(("validation.mp20_val.share_passing", "share of MP-20 val without a shorter contact"),),
    ),
    "prior": Kind(
        "a sampler of specs like those of known crystals",
        "learned from small crystals of the Materials Project; compositions balance with everyday oxidation states or "
        "are metals; sees no atoms and no energies",
        figure=(
            ("validation.val_nll", "negative log-likelihood of MP-20 val, a bound (nats)"),
            ("validation.standard_error", "standard error"),
        ),
    ),
    "structure_energy": Kind(
        "energies of structures",
        "energies of wrong arrangements of atoms and of strained cells are too low, unless `data` has files of such "
        "structures; standard deviations are too small outside the Materials Project",
        figure=(("validation.validation.mae", "MAE on MP-20 val"), ("test.wbm.parquet.mae", "MAE on WBM")),
    ),
    "assignment_ranker": Kind(
        "a table and a network that rank Wyckoff assignments of a spec",
        "where a spec has very many assignments, only the first listed are ranked",
        figure=(
            ("validation.recall_1", "share of MP-20 val whose true assignment is the first"),
            ("validation.recall_20", "among the first 20"),
        ),
    ),
    "wyckoff_sampler": Kind(
        "free parameters of Wyckoff positions, by a flow",
        _OF_LOSSES,
        figure=(("validation.velocity", "squared error of velocities"),),
    ),
    "gemsdiff": Kind("a diffusion of positions and lattices", _OF_LOSSES),
    "langevin": Kind(
        "scores of sites, and in mode `paper` of lattice lengths, at several levels of noise",
        _OF_LOSSES,
    ),
    "denoiser": Kind(
        "a network that restores crystals from noisy positions without a lattice",
        "figures are errors of all passes together from noise",
        figure=(
            ("validation.lengths", "MP-20 val: lengths (Å)"),
            ("validation.angles", "angles (degrees)"),
            ("validation.pos", "fractional positions"),
            ("validation.pos_centred", "the same without a common shift"),
        ),
    ),
}
_UNKNOWN = Kind("weights", "see the card", split="see the card")

HEAD = f"""# Trained weights

The shipped weights are in `gflownet_crystal/weights`: for each a `.safetensors` file, and a card `NAME.json` with its
sizes, settings, figures and checksum, from which this page is made (`{COMMAND}`). A file that does not match its
checksum is refused. Data are named as in the command of the training; they are labels of the Materials Project and
MatBench, and are not part of the repository.

| weights | kind | figures |
|---|---|---|
"""

WORDS = """
In the sections below, *held out* are the data whose reduced formulas were never trained on. *Samples seen* counts a
crystal each time that it was learned from. The learning curve is that of the validation error, for `mlp` of the
training error; where it was still changing, a longer training would change the figures.
"""


def page() -> str:
    """The text of the page."""
    cards = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(WEIGHTS.glob("*.json"))
    }
    rows = "\n".join(_row(name, card) for name, card in cards.items())
    return HEAD + rows + "\n" + WORDS + "".join(_section(name, card) for name, card in cards.items())


def _row(name: str, card: Mapping[str, Any]) -> str:
    kind = KINDS.get(str(card.get("kind")), _UNKNOWN)
    cells = (f"[`{name}`](#{name})", kind.what, _figures(card, kind))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _data(card: Mapping[str, Any]) -> str:
    given = card.get("data", [])
    names = ", ".join(f"`{name}`" for name in ([given] if isinstance(given, str) else given)) or "not given"
    # one card counts crystals, another structures or compositions
    counts = (
        f"{_learned_from(card[key]):,} {key}"
        for key in ("crystals", "structures", "compositions")
        if key in card
    )
    return ": ".join([names, *list(counts)[:1]])


def _learned_from(count: Any) -> int:
    """A number of crystals, of those to learn from where a card counts them apart."""
    return int(count["train"] if isinstance(count, Mapping) else count)


def _split(card: Mapping[str, Any], kind: Kind) -> str:
    if "split" in card:
        return str(card["split"])
    said = dict(_flat(card))
    share, held = said.get("settings.holdout"), said.get("validation.holdout.n")
    if share:
        return f"{kind.split} and {100 * share:.3g} % of all reduced formulas"
    return f"{kind.split} and held-out formulas ({held:,} structures)" if held else kind.split


def _limits(card: Mapping[str, Any], kind: Kind) -> str:
    atoms = card.get("max_atoms")
    return kind.limits + (f"; learned from cells of at most {atoms} atoms" if atoms else "")


def _samples(card: Mapping[str, Any]) -> str:
    seen = f"{card['samples_seen']:,}" if "samples_seen" in card else "not given"
    # losses fall, shares of finds rise
    going = card.get("curve_still_falling", card.get("curve_still_rising"))
    state = "still changing" if going else "flat"
    return seen if going is None else f"{seen}; the learning curve was {state}"


def _figures(card: Mapping[str, Any], kind: Kind) -> str:
    found = dict(_flat(card))
    unit = f" {card['unit']}" if str(card.get("unit", "")).startswith(("eV", "GPa")) else ""
    said = [
        # correlations and counts are pure numbers
        f"{words} {_number(found[key])}{'' if key.endswith(_PURE) else unit}"
        for key, words in kind.figure
        if key in found
    ]
    if not said:
        own = [(key, value) for key, value in _flat(card.get("validation", {})) if key != "n"]
        said = [f"{key} {_number(value)}" for key, value in own[:3]]
    return "; ".join(said) or "none"


def _section(name: str, card: Mapping[str, Any]) -> str:
    kind = KINDS.get(str(card.get("kind")), _UNKNOWN)
    lines = [f"\n## {name}\n", f"{kind.what[:1].upper()}{kind.what[1:]}.\n", f"- Data: {_data(card)}"]
    lines += [f"- Held out: {_split(card, kind)}", f"- Samples seen: {_samples(card)}"]
    lines += [f"- Limits: {_limits(card, kind)}\n"]
    commands = [card[key] for key in ("command", "calibrated_by") if key in card]
    if commands:
        lines += ["```text", *map(_whole_command, commands), "```\n"]
    figures = [*_flat(card.get("validation", {})), *_flat(card.get("test", {}), "test")]
    told = [(key, value) for key, value in figures if _OF_SOURCES not in key]
    if told:
        given = card.get("units", {}).items()
        units = card.get("unit") or ", ".join(f"{key}: {value}" for key, value in given)
        lines += [f"| figure | value{f' ({units})' if units else ''} |", "|---|---|"]
        lines += [f"| {key} | {_number(value)} |" for key, value in told]
    return "\n".join(lines).rstrip("\n") + "\n"


def _whole_command(command: str) -> str:
    """A command of a card, which leaves out the name of the program where it is a verb's."""
    return command if command.startswith("python ") else f"gflownet-crystal {command}"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Values of a nested card, each under its dotted name; lists stay as they are."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, inner in value.items():
        yield from _flat(inner, f"{name}.{key}" if name else str(key))


def _number(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() and abs(value) >= 1 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} has the cards of {WEIGHTS}")
