"""Settings -> toolbox: here adapters are chosen.

Each module says one thing; these are the names that commands use.
"""

from twinloop.wiring.captioning import build_captioner
from twinloop.wiring.checking import check_config
from twinloop.wiring.detectors import build_pack, models_report
from twinloop.wiring.extras import with_extra
from twinloop.wiring.kits import base_family
from twinloop.wiring.machine import device_name
from twinloop.wiring.makers import build_makers, obstacles
from twinloop.wiring.measuring import build_observer, chosen_facets
from twinloop.wiring.names import FAKE, NANO, base_model_path, nano_detectors_path
from twinloop.wiring.options import PRODIGY_RATE, generation_settings, training_settings
from twinloop.wiring.scanning import build_neighbour_search, build_scanner, scan_plan, scan_stamp, scan_worker
from twinloop.wiring.toolbox import build_toolbox

__all__ = [
    "FAKE",
    "NANO",
    "PRODIGY_RATE",
    "base_family",
    "base_model_path",
    "build_captioner",
    "build_makers",
    "build_neighbour_search",
    "build_observer",
    "build_pack",
    "build_scanner",
    "build_toolbox",
    "check_config",
    "chosen_facets",
    "device_name",
    "generation_settings",
    "models_report",
    "nano_detectors_path",
    "obstacles",
    "scan_plan",
    "scan_stamp",
    "scan_worker",
    "training_settings",
    "with_extra",
]
