"""What other trainers read: folders of pictures with captions, and their configurations.

Facts from their documentation, one file each, with a `Program` as ``PROGRAM`` in it.
"""

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "kohya": "kohya's sd-scripts",
    "ai-toolkit": "ai-toolkit",
    "onetrainer": "OneTrainer",
    "simpletuner": "SimpleTuner",
    "musubi-tuner": "musubi-tuner",
}
"""Name of a program in commands and in ``training.trainer`` -> what people call it."""
