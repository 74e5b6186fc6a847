"""Learns from the prefills of a few prompts what some methods start from: frozen objects, one named by each method.

A calibrator walks the calibrating prompts once, layer by layer; its value is its key, so cells that learn the same
thing share it. Each is a small class in a page of this package.
"""

from harness.attention.calibration.axes import Axes, PrincipalAxes, explaining, principal_axes
from harness.attention.calibration.base import Calibrator, unrotated
from harness.attention.calibration.magnitude import ChannelMagnitude
from harness.attention.calibration.moments import InputMoment
from harness.attention.calibration.thresholds import ThresholdCalibrator, Thresholds, threshold_of

__all__ = [
    "Axes",
    "Calibrator",
    "ChannelMagnitude",
    "InputMoment",
    "PrincipalAxes",
    "ThresholdCalibrator",
    "Thresholds",
    "explaining",
    "principal_axes",
    "threshold_of",
    "unrotated",
]
