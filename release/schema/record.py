"""What is known about a release: the frozen records that make up `release.json`.

Nothing here computes anything. A number may stand on a card only if it stands here, and a record never holds
a local path, a user name or a host name. `schema()` is the JSON Schema of the whole.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, field_validator

from release.checkpoint.prunable import LeftDense
from release.digests import FileDigest
from release.frozen import Frozen, Share
from release.names import RECORD
from release.schema.measurements import Measurements
from release.schema.said import FirstScreen
from release.schema.study import Study
from release.settings.base import Identity
from release.settings.building import BuildOptions
from release.settings.measuring import Measuring
from release.settings.publication import WeightFiles
from release.settings.recipe import CalibrationPlan, RecipeOptions, Scope
from release.values import DataSource

SCHEMA_VERSION: Literal[1] = 1
LONGEST_NAME = 320
"""Characters of who signed, at most; an e-mail address has no more."""
FILE_NAME = RECORD
CARD = "README.md"

Stated = Literal["id", "licence", "note"]
"""What a publisher may state of a base that is a folder."""
Verdict = Literal["supported", "contradicted", "inconclusive", "not measured"]


class PlanRecord(Frozen):
    """What was asked for, as far as it may be published: of a folder or a file the name alone.

    Attributes:
        model: The alias or Hub id that was asked for, or only the name of a local folder.
        recipe: What decides the mask, with the method's own choices stated.
        measuring: What was to be measured.
        building: What else was to go into it, and how many masks were to be measured.
        identity: What the publisher stated of the base.
        command: The command line that repeats this release.
    """

    model: str
    recipe: RecipeOptions
    measuring: Measuring
    building: BuildOptions = BuildOptions()
    identity: Identity = Identity()
    command: str


class Licence(Frozen):
    """The base model's licence, never defaulted: all None where the base states none.

    Attributes:
        id: A licence id of the Hub (`mit`, `apache-2.0`, `other`, …).
        name: `license_name`, where the id is `other`.
        link: `license_link`, where the id is `other`.
        file: The licence file that lies beside the weights.
    """

    id: str | None = None
    name: str | None = None
    link: str | None = None
    file: str | None = None


Loader = Literal["AutoModelForCausalLM", "AutoModelForImageTextToText"]


class Base(Frozen):
    """The dense model.

    Attributes:
        id: `org/name` on the Hub, or a folder's name where no Hub id is known.
        on_hub: Whether `id` is a Hub id.
        source: Where the files came from.
        revision: The Hub commit's SHA-1; None for a folder and for the demo.
        note: What a reader must know about these weights (a sentence), or None.
        architecture: The class in config.json, e.g. `Phi3ForCausalLM`.
        loader: The class of transformers whose from_pretrained loads it.
        dtypes: The stored types of the prunable weights, e.g. ("BF16",).
        parameters: All stored parameters, embeddings and norms included.
        languages: Language codes the base's own card states.
        files: The weight files.
        stated: What the publisher stated, since the files did not say.
        context: Tokens that config.json says the model takes; None where it does not say.
        released: Day on which its repository on the Hub was made, ISO 8601; None where nobody said.
    """

    id: str
    on_hub: bool
    source: Literal["hub", "demo", "folder"]
    revision: str | None
    note: str | None
    licence: Licence
    architecture: str
    loader: Loader = "AutoModelForCausalLM"
    dtypes: tuple[str, ...]
    parameters: int
    languages: tuple[str, ...]
    files: tuple[FileDigest, ...]
    stated: tuple[Stated, ...] = ()
    context: int | None = None
    released: str | None = None


class Calibration(Frozen):
    """The text that a method was calibrated on.

    Attributes:
        samples: Windows used.
        length: Tokens in each.
        token_sha256: Digest of the token ids, as little-endian 32-bit integers.
        device: Where the blocks ran; masks of another kind of device may differ in a few weights.
    """

    plan: CalibrationPlan
    text: DataSource
    samples: int
    length: int
    token_sha256: str
    device: str


class PruneWork(Frozen):
    """Where the time of pruning went, in seconds.

    The last three are the time that threads were busy, summed over them: they work side by side, so that the wall time
    is less than the sum.

    Attributes:
        decide: Wall time of settling how many weights each tensor loses; for calibrated methods that is calibration.
        prune: Reading and choosing.
    """

    decide: float
    prune: float
    write: float
    hash: float


class Pruning(Frozen):
    """How the weights were chosen.

    Attributes:
        method: Key of the method in the registry.
        algorithm_version: Version of the method's arithmetic; part of what the mask depends on.
        updates_kept_weights: Whether the method may change weights that it keeps.
        target_sparsity: As asked, exact.
        seconds: Wall time of calibration, read, mask, write and hash together, which overlap; a single copy is read
            again meanwhile. None where an interrupted run was continued, since no one clock saw it all.
        work: The same, split up.
        threads: Worker threads used.
        together: Pruned copies that were written from the same read; `seconds` is the time of all of them.
        allocation: How the zeros were shared out over the blocks.
        block_sparsities: Share of zeros due in each block, where the blocks' shares differ by allocation.
        uncalibrated: What was done with experts that saw no calibration token.
        uncalibrated_tensors: Those that saw none and were pruned by magnitude instead.
        allow_nonfinite: Whether NaN or infinities in the base were let pass.
    """

    method: str
    algorithm_version: int
    updates_kept_weights: bool
    scope: Scope
    pattern: str | None
    seed: int
    target_sparsity: Share
    budget: int
    seconds: float | None
    work: PruneWork | None = None
    threads: int
    together: int = 1
    allocation: Literal["uniform", "owl"] = "uniform"
    block_sparsities: tuple[float, ...] | None = None
    calibration: Calibration | None = None
    uncalibrated: Literal["refuse", "magnitude"] = "refuse"
    uncalibrated_tensors: tuple[str, ...] = ()
    allow_nonfinite: bool = False

    @field_validator("block_sparsities")
    @classmethod
    def _of_blocks(cls, shares: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if shares is not None and not shares:
            raise ValueError("a model has blocks; shares of none say nothing")
        return shares


class ModuleAudit(Frozen):
    """Counts of one kind of module (`self_attn.q_proj`, `mlp.experts.w1`, …) over all blocks."""

    module: str
    tensors: int
    parameters: int
    zeros: int
    zeros_before: int


class Check(Frozen):
    """One question of an audit or a verification.

    Attributes:
        ok: True, False, or None where it could not be asked (the detail says why).
    """

    name: str
    ok: bool | None
    detail: str


class Audit(Frozen):
    """What reading the written files again found.

    Attributes:
        actual_sparsity: zeroed_parameters / prunable_parameters.
        prunable_parameters: Weights of the matrices inside the text decoder's blocks that multiply activations.
        zeroed_parameters: Exact zeros among them in the written files. Zeros that the base already had
            count towards the budget, so this equals the target wherever the base had fewer.
        zeros_before: Exact zeros among them in the base.
        crowded: Zeros of the base beyond what a tensor owes, or beyond a pattern's own in their group; they stay.
        left_dense: Blocks in the files that are none of the text decoder's; pruning leaves them as they are.
    """

    target_sparsity: Share
    actual_sparsity: float
    prunable_parameters: int
    zeroed_parameters: int
    zeros_before: int
    crowded: int = 0
    left_dense: tuple[LeftDense, ...] = ()
    modules: tuple[ModuleAudit, ...]
    checks: tuple[Check, ...]
    files: tuple[FileDigest, ...]


class ClaimRecord(Frozen):
    """What the evidence says about one claim.

    Attributes:
        key: Name of the claim in `release.evals.claims`.
        evidence: The numbers that decided it, as one line.
        p_value: Two-sided, of the test that decides it; None where nothing was inferred.
        p_adjusted: By Holm, over the questions that the card asks.
    """

    key: str
    verdict: Verdict
    evidence: str
    p_value: float | None = None
    p_adjusted: float | None = None


class Environment(Frozen):
    """Versions and hardware; no user, host or path."""

    release: str
    python: str
    torch: str
    transformers: str
    huggingface_hub: str
    safetensors: str
    numpy: str
    system: str
    machine: str
    processor: str
    cores: int
    device: str


def _line(value: str) -> str:
    if not (0 < len(value) <= LONGEST_NAME and value.isprintable()):
        raise ValueError(f"not one printable line of at most {LONGEST_NAME} characters")
    return value


OneLine = Annotated[str, AfterValidator(_line)]
"""One printable line of bounded length."""


class Signed(Frozen):
    """Who signs a release through Sigstore; what its signature has to prove.

    Attributes:
        name: An e-mail address, or the address of a workflow.
        provider: The address of the OpenID Connect provider that vouches for it.
    """

    name: OneLine
    provider: OneLine


class Record(Frozen):
    """All that is known about one release, as written to `release.json`.

    Attributes:
        name: The repository's name, `<base>-<method>-s<NN>…`.
        created: UTC date, ISO 8601.
        files: Everything else that a card's number rests on (`sparsity.csv`, `evaluation/bbq.parquet`, …).
        study: The study it accompanies, which its card quotes; None where it stands by itself.
        signed_as: Who signs it; None where nobody does, or a key.
        weights: Which of the weight files whose digests the audit holds lie beside this record.
        contact: Where errors and harm are reported, an http(s) address; None for the Community tab.
        said: What pruning did, as the card says it first; None in a record of an earlier version.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    created: str
    plan: PlanRecord
    base: Base
    pruning: Pruning
    audit: Audit
    measurements: Measurements
    claims: tuple[ClaimRecord, ...]
    environment: Environment
    files: tuple[FileDigest, ...]
    study: Study | None = None
    signed_as: Signed | None = None
    weights: WeightFiles = "all"
    contact: OneLine | None = None
    said: FirstScreen | None = None

    def to_json(self) -> str:
        """Return the text of `release.json`: indented, keys in the order of the schema."""
        return self.model_dump_json(indent=2) + "\n"

    def same_but_date(self, other: "Record") -> bool:
        """Whether two records differ in nothing but the day they were made."""
        return self.model_copy(update={"created": other.created}) == other

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `release.json` of a model folder; `r == Record.read(d)` after `r` was written to `d`."""
        return cls.model_validate_json((folder / FILE_NAME).read_bytes())


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `release.json`."""
    result: dict[str, Any] = json.loads(json.dumps(Record.model_json_schema()))
    return result
