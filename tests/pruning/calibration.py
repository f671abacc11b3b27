"""Calibration on random tokens: real arithmetic, no text needed."""

import numpy as np
import torch

from release.pruning.calibration import Text
from release.pruning.prune import Calibrating, PruneContext
from release.settings.recipe import CalibrationPlan
from release.values import DataSource

SOURCE = DataSource(name="random tokens", origin="a test", revision=None, licence=None, sha256="0" * 64)


def calibrating(windows: int = 12, length: int = 64, threads: int = 2) -> PruneContext:
    ids = np.random.default_rng(0).integers(3, 256, (windows, length)).astype(np.int32)
    text = Text(CalibrationPlan(), SOURCE, "", ids)
    return PruneContext(threads, Calibrating(text, torch.device("cpu")))
