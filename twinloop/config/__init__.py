"""`bootstrap_config.json` <-> typed, frozen settings. Every mistake is reported at once, by field."""

from twinloop.config.described import describe_fields
from twinloop.config.loading import load_settings, parse_settings, read_config, salvaged_settings
from twinloop.config.settings import Settings
from twinloop.config.training import TrainingConfig
