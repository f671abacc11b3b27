"""Random valid records: gaps, undefined scores, extreme numbers and hostile strings.

Every strategy is made once: one that is made while another draws is checked anew for each example.
"""

import re
from decimal import Decimal
from functools import cache
from typing import get_args

from hypothesis import strategies as st

from release.digests import FileDigest
from release.evals.bbq.result import Bbq, CategoryTest, Mcnemar, Sampling
from release.evals.latency.result import Latency, Load
from release.evals.perplexity.result import Perplexity
from release.evals.storage.result import Storage
from release.evals.super_weights.result import SuperWeights
from release.evals.zeros.result import TreatedZeros, Zeros
from release.names import problem_of
from release.schema.measurements import Measurements
from release.schema.record import LONGEST_NAME, Audit, Base, Licence, ModuleAudit, Record, Signed
from release.schema.usage import ModelUsage, Usage
from release.values import DataSource, EngineName, Estimate, Package, Precision, Rate, Reading, Score
from tests.records import (
    VALUES,
    estimate,
    example_answers,
    example_audit,
    example_base,
    example_bbq,
    example_latency,
    example_masks,
    example_perplexity,
    example_pruning,
    example_record,
    example_super_weight,
    example_super_weights,
    example_usage,
    mcnemar,
    rate,
)

VOID_WORDS = re.compile(r"\b(None|nan|inf)\b|Undefined")
"""What a number or name that is not there looks like when it is printed by mistake."""

HOSTILE = (
    '"]: x',
    "---",
    "---\nlicense: mit\n---",
    "{{7*7}}",
    "{% raw %}",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b || c",
    "`ticks` ```fence",
    "```\n# out\n```",
    "[text](javascript:alert(1))",
    "![i](https://evil.example/x.png)",
    "<!-- release: end of the generated card; text after this line is yours and is not checked -->",
    "**bold** _it_ ~~gone~~ $x$",
    "# heading",
    "1. list",
    "line\r\nbreak\x00\x1b[31m\u2028end",
    "😀 emoji 🏳️‍🌈",
    "\u202eevil\u202c שלום مرحبا",
    "../../etc/passwd",
    "&lt;b&gt; &amp;",
    "\\",
    "-->",
    "</details>",
    "",
    " ",
)
"""Strings that would break out of Markdown, HTML, YAML, Jinja or a table if printed as they are."""


@cache
def strings() -> st.SearchStrategy[str]:
    """What may stand where a string comes from outside: hostile ones first of all."""
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    # A card writes some of them in small letters.
    return st.sampled_from(HOSTILE) | anything.filter(lambda text: not VOID_WORDS.search(f"{text} {text.lower()}"))


@cache
def loads() -> st.SearchStrategy[Load]:
    """Quiet machines, busy ones, and systems that do not say."""
    return st.builds(Load, others=st.none() | st.floats(0, 1), switches=st.none() | st.floats(0, 1e5))


@cache
def estimates() -> st.SearchStrategy[Estimate]:
    """Estimates whose interval holds the value, and undefined ones."""
    number = st.floats(-1e6, 1e6) | st.sampled_from((0.0, -0.0, 1.0, 1e-12, 1e15))
    defined = st.builds(lambda value, reach: estimate(value, abs(reach)), number, number)
    bare = st.builds(lambda value: Estimate(value=value, low=None, high=None), number)
    with_df = st.builds(lambda found, df: found.model_copy(update={"df": df}), defined, st.floats(1, 1e6))
    return defined | with_df | bare | st.just(estimate(None))


@cache
def counts(least: int = 0) -> st.SearchStrategy[int]:
    return st.integers(least, 10**13)


@cache
def rates() -> st.SearchStrategy[Rate]:
    """Shares with an interval and without one."""
    number = st.integers(0, 60_000)
    found = st.builds(lambda one, other: rate(min(one, other), max(one, other)), number, number)
    return found | found.map(lambda each: each.model_copy(update={"low": None, "high": None, "templates": 4}))


@cache
def mcnemars() -> st.SearchStrategy[Mcnemar]:
    chance = st.floats(0, 1)
    return st.builds(mcnemar, st.sampled_from(("ambig", "disambig")), counts(), counts(), chance, st.none() | chance)


def scores(over: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Score, ...]]:
    one = st.builds(
        Score,
        name=st.sampled_from((*VALUES, "unparsed", "new_score")),
        over=over,
        items=counts(),
        dense=estimates(),
        pruned=estimates(),
        difference=estimates(),
        ratio=st.none() | estimates(),
        categories=st.none() | counts(),
    )
    return st.lists(one, max_size=4).map(tuple)


@cache
def sources() -> st.SearchStrategy[DataSource]:
    return st.builds(
        DataSource,
        name=strings(),
        origin=strings() | st.just("https://github.com/nyu-mll/BBQ"),
        revision=st.none() | strings(),
        licence=st.none() | strings(),
        sha256=strings(),
    )


@cache
def precisions() -> st.SearchStrategy[Precision]:
    return st.sampled_from(get_args(Precision))


def tests(categories: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[CategoryTest, ...]]:
    chance = st.none() | st.floats(0, 1)
    one = st.builds(
        CategoryTest,
        category=categories,
        items=counts(),
        cohens_h=st.none() | st.floats(-3.2, 3.2),
        templates=st.none() | counts(),
        p_value=chance,
        p_adjusted=chance,
    )
    return st.lists(one, max_size=3).map(tuple)


@cache
def samplings() -> st.SearchStrategy[Sampling]:
    seeds = st.lists(st.integers(0, 2**63), min_size=1, max_size=5).map(tuple)
    return st.builds(Sampling, temperature=st.floats(0.01, 2), new_tokens=st.integers(1, 64), seeds=seeds)


@cache
def bbqs() -> st.SearchStrategy[Bbq]:
    letters = st.none() | st.tuples(counts(), counts(), counts()) | st.just((0, 0, 0))
    return st.builds(
        example_bbq,
        data=sources(),
        reading=st.sampled_from(get_args(Reading)),
        rotations=st.sampled_from((1, 3)),
        precision=precisions(),
        prompt=strings() | st.sampled_from(("chat", "plain")),
        items=counts(),
        categories=st.lists(strings(), max_size=3).map(tuple),
        sample_seed=st.none() | st.integers(0, 2**63),
        scores=scores(st.sampled_from(("macro", "items"))),
        by_category=scores(strings()),
        tests=tests(strings()),
        tested_categories=counts(),
        changed_answers=rates(),
        right_answers=st.lists(mcnemars(), max_size=2).map(tuple),
        right_dense=st.none() | rates(),
        right_pruned=st.none() | rates(),
        newly_biased=rates(),
        newly_unbiased=rates(),
        letters_dense=letters,
        letters_pruned=letters,
        favourite_dense=st.none() | rates(),
        favourite_pruned=st.none() | rates(),
        rounding=st.none() | rates(),
        sampling=st.none() | samplings(),
        recalled=counts(),
    )


@cache
def perplexities() -> st.SearchStrategy[Perplexity]:
    return st.builds(
        example_perplexity,
        text=sources(),
        precision=precisions(),
        token_sha256=strings(),
        dense=estimates(),
        pruned=estimates(),
        ratio=estimates(),
        windows=counts(1),
    )


@cache
def super_weights() -> st.SearchStrategy[SuperWeights]:
    number = st.floats(-1e9, 1e9)
    one = st.builds(
        example_super_weight,
        tensor=strings() | st.just("model.layers.0.mlp.down_proj.weight"),
        row=counts(),
        column=counts(),
        dense=number,
        input=number,
        output=number,
        spike=st.floats(0, 1e30),
        zeroed=st.booleans(),
    )
    return st.builds(
        example_super_weights,
        prompt=strings(),
        tokens=counts(1),
        precision=strings(),
        blocks=counts(1),
        candidates=st.lists(one, max_size=5).map(tuple),
    )


@cache
def latencies(engine: EngineName) -> st.SearchStrategy[Latency]:
    """Times by an engine, with whatever a record may say of it."""
    package = st.builds(Package, name=strings(), version=strings())
    return st.builds(
        example_latency,
        prompts=sources(),
        device=strings(),
        dtype=strings(),
        threads=st.none() | counts(),
        ratio=estimates(),
        load=loads(),
        engine=st.just(engine),
        packages=st.lists(package, max_size=2).map(tuple),
    )


@cache
def measurements() -> st.SearchStrategy[Measurements]:
    return st.builds(
        Measurements,
        bbq=st.none() | bbqs(),
        perplexity=st.none() | perplexities(),
        latency=st.none() | latencies("transformers"),
        other_latencies=st.just(()) | st.tuples(latencies("mlx")),
        storage=st.builds(Storage, dense_bytes=counts(), pruned_bytes=counts()),
        super_weights=st.none() | super_weights(),
        answers=st.none() | st.builds(example_answers, st.tuples(strings(), strings())),
        masks=st.none()
        | st.lists(st.none() | st.floats(-1e300, 1e300), max_size=4).map(lambda found: example_masks(*found)),
        usage=st.none() | usages(),
        zeros=st.none() | treated(),
    )


@cache
def treated() -> st.SearchStrategy[Zeros]:
    names = st.sampled_from(("int8", "q4_0", "q4_1", "lora")) | strings()
    each = st.builds(TreatedZeros, treatment=names, kept=counts(), added=counts())
    return st.builds(Zeros, zeros=counts(), others=counts(), treatments=st.lists(each, max_size=4).map(tuple))


@cache
def usages() -> st.SearchStrategy[Usage]:
    peaks = st.none() | st.integers(0, 2**50)
    joules = st.none() | st.floats(0, 1e12)
    models = st.none() | st.builds(ModelUsage, peak_bytes=peaks, seconds=st.floats(0, 1e6), joules=joules)
    counters = st.lists(strings(), max_size=2).map(tuple)
    return st.builds(example_usage, dense=models, pruned=models, device=strings(), counters=counters)


@cache
def files() -> st.SearchStrategy[tuple[FileDigest, ...]]:
    name = strings().map(lambda name: "model.safetensors" if problem_of(name) else name)
    one = st.builds(FileDigest, name=name, bytes=counts(), sha256=strings())
    return st.lists(one, max_size=3).map(tuple)


@cache
def audits() -> st.SearchStrategy[Audit]:
    module = st.builds(
        ModuleAudit, module=strings(), tensors=counts(), parameters=counts(), zeros=counts(), zeros_before=counts()
    )
    return st.builds(
        example_audit,
        target_sparsity=sparsities(),
        actual_sparsity=st.floats(0, 1),
        prunable_parameters=counts(),
        zeroed_parameters=counts(),
        zeros_before=counts(),
        crowded=counts(),
        modules=st.lists(module, max_size=3).map(tuple),
        files=files(),
    )


@cache
def sparsities() -> st.SearchStrategy[Decimal]:
    return st.decimals("0.0001", "0.9999", places=4, allow_nan=False, allow_infinity=False)


@cache
def licences() -> st.SearchStrategy[Licence]:
    text = st.none() | strings()
    return st.builds(Licence, id=text | st.just("other"), name=text, link=text, file=text)


@cache
def bases() -> st.SearchStrategy[Base]:
    return st.builds(
        example_base,
        id=strings() | st.just("microsoft/Phi-3.5-mini-instruct"),
        on_hub=st.booleans(),
        revision=st.none() | strings(),
        note=st.none() | strings(),
        licence=licences(),
        released=st.none() | strings(),
        architecture=strings(),
        dtypes=st.lists(strings(), max_size=2).map(tuple),
        languages=st.lists(strings() | st.just("no"), max_size=2).map(tuple),
        files=files(),
    )


@cache
def lines() -> st.SearchStrategy[str]:
    """Strings of one printable line."""
    return strings().filter(lambda text: 0 < len(text) <= LONGEST_NAME and text.isprintable())


@cache
def records() -> st.SearchStrategy[Record]:
    """Random valid records: gaps, undefined scores, extreme numbers, hostile strings; claims as decided."""
    prunings = st.builds(
        example_pruning,
        method=strings() | st.sampled_from(("random", "magnitude")),
        updates_kept_weights=st.booleans(),
        scope=st.sampled_from(("tensor", "row", "global")),
        pattern=st.none() | st.just("2:4"),
        seed=st.integers(0, 2**63),
        target_sparsity=sparsities(),
        seconds=st.none() | st.floats(0, 1e6),
        threads=st.integers(1, 256),
    )
    plan, environment = example_record().plan, example_record().environment
    return st.builds(
        example_record,
        name=strings(),
        created=strings(),
        plan=strings().map(lambda text: plan.model_copy(update={"model": text, "command": text})),
        base=bases(),
        pruning=prunings,
        audit=audits(),
        measurements=measurements(),
        environment=strings().map(lambda text: environment.model_copy(update={"processor": text, "system": text})),
        files=files(),
        signed_as=st.none() | st.builds(Signed, name=lines(), provider=lines()),
    )
