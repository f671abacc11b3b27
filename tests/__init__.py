"""Tests of the whole project."""

import os

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # before torch is imported, as the command sets it
