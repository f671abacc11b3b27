"""What is asked of a release that is verified."""

from pathlib import Path
from typing import Annotated

from release.frozen import Frozen
from release.settings.option import Option
from release.settings.shared import BbqData, Device, Text

MOST_SPOTS = 100_000
LARGEST_SPOT_SEED = (1 << 32) - 1


class VerifyOptions(Frozen):
    """What is asked of a release beyond the comparison of its files with record, card and base.

    Attributes:
        rebuild: Make every mask again.
        calibration: The text file that a release was calibrated on, where it was one of its maker's own.
        key: The signer's public key.
        identity: Who signed by Sigstore.
        identity_provider: The address of who vouches for that identity.
        spot_check: Items of each evaluation, windows of text, and sample answers that both models are asked again; None
            for none.
        spot_seed: Draws them; None for a fresh one.
        since: A commit or tag; what changed on the Hub since then is told.
        text: The text that perplexity was measured on, where it was a file of the maker's own.
    """

    rebuild: Annotated[bool, Option("--rebuild", "Make every mask again from base and seed.")] = False
    calibration: Annotated[
        Path | None, Option("--calibration", "The text file a release was calibrated on, for --rebuild.")
    ] = None
    key: Annotated[Path | None, Option("--key", "The signer's public key (PEM), to check model.sig with.")] = None
    identity: Annotated[str | None, Option("--identity", "Who signed by Sigstore, to check.")] = None
    identity_provider: Annotated[
        str | None, Option("--identity-provider", "The address of who vouches for that identity.")
    ] = None
    spot_check: Annotated[
        int | None,
        Option("--spot-check", "Ask so many items of both models again.", least=1, most=MOST_SPOTS, metavar="N"),
    ] = None
    spot_seed: Annotated[
        int | None, Option("--spot-seed", "Draws them; by default a fresh one.", least=0, most=LARGEST_SPOT_SEED)
    ] = None
    since: Annotated[
        str | None, Option("--since", "Say what changed on the Hub since this commit or tag.", metavar="REVISION")
    ] = None
    bbq_data: BbqData = None
    text: Text = None
    device: Device = "auto"
