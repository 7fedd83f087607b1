"""`bootstrap_config.json` <-> typed, frozen settings. Every mistake is reported at once, by field."""

from twinloop.config.analysis import AnalysisSettings
from twinloop.config.described import describe_fields
from twinloop.config.elsewhere import ELSEWHERE
from twinloop.config.generation import ExtraLora, GenerationConfig
from twinloop.config.loading import load_settings, parse_settings, read_config, salvaged_settings
from twinloop.config.rounds import MergeConfig, PanelConfig, StopConfig
from twinloop.config.settings import Settings
from twinloop.config.training import TrainingConfig
from twinloop.config.training_clashes import BUILTIN_ONLY
from twinloop.config.validation import ValidationConfig

__all__ = [
    "BUILTIN_ONLY",
    "ELSEWHERE",
    "AnalysisSettings",
    "ExtraLora",
    "GenerationConfig",
    "MergeConfig",
    "PanelConfig",
    "Settings",
    "StopConfig",
    "TrainingConfig",
    "ValidationConfig",
    "describe_fields",
    "load_settings",
    "parse_settings",
    "read_config",
    "salvaged_settings",
]
