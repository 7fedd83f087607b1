"""Model files that this program knows by their content: what each is for, where it comes from, what its licence says.

Sizes and hashes were taken from the files themselves; of those in `UNSEEN` from the Git LFS pointers in their authors'
repositories (InsightFace's from public lists that agree). An address is given where the file lies in its author's own
public repository; it names the very commit. Files without one are brought along and added (`twinloop models add`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """One file.

    Attributes:
        name: how it is called in a models folder. role: what it measures. pack: the detector pack it belongs to.
        size: bytes. sha256: of its content. licence: of the weights, and what else is known about their use.
        source: repository, commit and path it was taken from. url: https address to fetch it from, or None.
    """

    name: str
    role: str
    pack: str
    size: int
    sha256: str
    licence: str
    source: str
    url: str | None = None


def _github(repository: str, commit: str, path: str) -> dict[str, str]:
    return {
        "source": f"github.com/{repository}, commit {commit[:12]}, {path}",
        "url": f"https://github.com/{repository}/raw/{commit}/{path}",
    }


_RESEARCH = "trained on research data"
_HANDS_IN_ONNX = "3d2314f4c1c493db1c7cb3989f21235745bea06a"
"""A pull request that brings the hand models as ONNX: it is on no branch, but the host keeps its commits."""

ALTERNATIVES = "alternatives"
"""The pack of files that do what a file of another pack does."""
_NO_COMMERCE = "non-commercial research only (InsightFace)"

KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        "face_detection_yunet_2026may.onnx",
        "faces",
        "onnx",
        229738,
        "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
        "MIT",
        "opencv/opencv_zoo (YuNet); this copy: github.com/RuDr8A/RealTime-PPE-Compliance, commit d876a822bbb2",
    ),
    KnownModel(
        "face_detection_yunet_2023mar.onnx",
        "faces",
        "onnx",
        232589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "MIT",
        **_github(
            "opencv/opencv_zoo",
            "82b38c8f98e7b52aa171400f3e4c722352d0669f",
            "models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        ),
    ),
    KnownModel(
        "fsanet-1x1-iter-688590.onnx",
        "head pose",
        "onnx",
        1247488,
        "d85e90cb4b9d3a87e81bbfdcfcd130cbe0e175407042e439a570aa396c44eda6",
        f"MIT; {_RESEARCH} (300W-LP)",
        **_github("omasaht/headpose-fsanet-pytorch", "002549c981b6", "pretrained/fsanet-1x1-iter-688590.onnx"),
    ),
    KnownModel(
        "fsanet-var-iter-688590.onnx",
        "head pose",
        "onnx",
        1246963,
        "2877b1db98e3dc66468e90df8db4a21059facd1c3f107af91c6d4fe6476a03e1",
        f"MIT; {_RESEARCH} (300W-LP)",
        **_github("omasaht/headpose-fsanet-pytorch", "002549c981b6", "pretrained/fsanet-var-iter-688590.onnx"),
    ),
    KnownModel(
        "MobileFaceNet.onnx",
        "identity",
        "onnx",
        3998070,
        "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
        f"Apache-2.0; {_RESEARCH} (MS-Celeb-1M)",
        **_github("foamliu/MobileFaceNet", "a6cc9032a659", "weights/MobileFaceNet.onnx"),
    ),
    KnownModel(
        "ediffiqa_tiny_jun2024.onnx",
        "face quality",
        "onnx",
        7272678,
        "9426c899cc0f01665240cb7d9e7f98e18e24e456c178326c771a43da289bfc6a",
        f"CC-BY-4.0; {_RESEARCH} (VGGFace2)",
        **_github(
            "opencv/opencv_zoo",
            "85e6d8ff851728d5198efb892f1fdb0c7847d07f",
            "models/face_image_quality_assessment_ediffiqa/ediffiqa_tiny_jun2024.onnx",
        ),
    ),
    KnownModel(
        "face_landmarker_v2_with_blendshapes.task",
        "eyes and expression",
        "mediapipe",
        2357924,
        "b261925d4aad812b47a0e8d58c1baa1223270a5d1f663d78338bc881c003879d",
        "Apache-2.0",
        **_github(
            "google-ai-edge/mediapipe",
            "0179f0c4566ae78e02e1198cb73c60e4668395b5",
            "mediapipe/tasks/testdata/vision/face_landmarker_v2_with_blendshapes.task",
        ),
    ),
    KnownModel(
        "palm_detection_lite.onnx",
        "hands",
        "mediapipe",
        3984439,
        "84091163577927af294c26e677563f17fd4a335311655203f34ee266a3a7ac54",
        "Apache-2.0",
        **_github(
            "google-ai-edge/mediapipe", _HANDS_IN_ONNX, "mediapipe/modules/palm_detection/palm_detection_lite.onnx"
        ),
    ),
    KnownModel(
        "hand_landmark_lite.onnx",
        "hands",
        "mediapipe",
        4109010,
        "baeb99944593a08fb17df35ad1613562765723de7bfb7b504315fc12da7af552",
        "Apache-2.0",
        **_github(
            "google-ai-edge/mediapipe", _HANDS_IN_ONNX, "mediapipe/modules/hand_landmark/hand_landmark_lite.onnx"
        ),
    ),
    KnownModel(
        "selfie_segmentation.tflite",
        "subject masks",
        "mediapipe",
        249024,
        "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        "Apache-2.0",
        **_github(
            "google-ai-edge/mediapipe",
            "8b57bf879b419173b26277d220b643dac0402334",
            "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        ),
    ),
    KnownModel(
        "yolov5n-0.5-face.pt",
        "faces",
        "yolo",
        1185712,
        "9f7cdbcf5cd63f454c47b18e7400a69630b96a01efb7559367e91b6e962ad3bd",
        f"GPL-3.0; {_RESEARCH} (WIDER FACE)",
        "deepcam-cn/yolov5-face; this copy: github.com/syshin-cubox-ai/yolov5-face, commit 3b51dc88596d,"
        " weights/yolov5n-0.5-face.pt",
    ),
    KnownModel(
        "yolov5n-0.5.onnx",
        "faces",
        "yolo",
        1809111,
        "ffeda7b88900bd8fb3c3cd71876d199aca389a1378d11e07d22faf4c5fc6b4ae",
        f"GPL-3.0; {_RESEARCH} (WIDER FACE)",
        **_github("deepcam-cn/yolov5-face", "b8d9b0bbb33f", "torch2tensorrt/yolov5n-0.5.onnx"),
    ),
    KnownModel(
        "face_recognition_sface_2021dec.onnx",
        "identity",
        ALTERNATIVES,
        38696353,
        "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        f"Apache-2.0; {_RESEARCH}",
        **_github(
            "opencv/opencv_zoo",
            "edef535367a4f8053b5bfb7580935c83772a9639",
            "models/face_recognition_sface/face_recognition_sface_2021dec.onnx",
        ),
    ),
    KnownModel(
        "w600k_r50.onnx",
        "identity",
        ALTERNATIVES,
        174383860,
        "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        _NO_COMMERCE,
        "deepinsight/insightface, model pack buffalo_l; Immich keeps it as buffalo_l/recognition/model.onnx",
    ),
    KnownModel(
        "glintr100.onnx",
        "identity",
        ALTERNATIVES,
        260665334,
        "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
        _NO_COMMERCE,
        "deepinsight/insightface, model pack antelopev2 (InstantID, PuLID)",
    ),
    KnownModel(
        "w600k_mbf.onnx",
        "identity",
        ALTERNATIVES,
        13616099,
        "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
        _NO_COMMERCE,
        "deepinsight/insightface, model packs buffalo_s and buffalo_sc",
    ),
)


UNSEEN = frozenset(
    {
        "ediffiqa_tiny_jun2024.onnx", "face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx",
        "w600k_r50.onnx", "glintr100.onnx", "w600k_mbf.onnx",
    }
)  # fmt: skip
"""Files that were at hand nowhere here: what reads them was tried on others of the same form."""


def by_hash(sha256: str, known: Iterable[KnownModel] = KNOWN_MODELS) -> KnownModel | None:
    """The known file with this content."""
    return next((model for model in known if model.sha256 == sha256), None)


def by_name(name: str, known: Iterable[KnownModel] = KNOWN_MODELS) -> KnownModel | None:
    """The known file of this name; upper and lower case are the same."""
    return next((model for model in known if model.name.lower() == name.lower()), None)
