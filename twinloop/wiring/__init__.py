"""Settings -> toolbox: here adapters are chosen.

Each module says one thing; these are the names that commands use.
"""

from twinloop.wiring.captioning import CaptionServer, build_captioner, check_captioner
from twinloop.wiring.checking import check_config
from twinloop.wiring.detectors import models_report
from twinloop.wiring.extras import check_extras, with_extra
from twinloop.wiring.frames import build_frame_taker, usual_models
from twinloop.wiring.kits import asked_prediction, base_family, check_export
from twinloop.wiring.libraries import check_libraries
from twinloop.wiring.lora_remarks import lora_remarks
from twinloop.wiring.machine import device_name, unused_gpu
from twinloop.wiring.makers import build_makers
from twinloop.wiring.masking import build_face_finder, build_masker, chosen_network
from twinloop.wiring.measuring import build_observer, chosen_facets, observer_of
from twinloop.wiring.names import base_model_path, nano_detectors_path
from twinloop.wiring.photo_sizes import remark_on_photos
from twinloop.wiring.scanning import ScanSettings, build_neighbour_search, build_scanner, scan_plan
from twinloop.wiring.toolbox import build_toolbox
