"""Model files that this program knows by their content: what each is for, where it comes from, what its licence says.

Sizes and hashes were taken from the files themselves. An address is given where the file lies in its author's own public repository;
it names the very commit. Files without one are brought along and added (`twinloop models add`).
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

KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        "face_detection_yunet_2026may.onnx", "faces", "onnx", 229738,
        "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0", "MIT",
        "opencv/opencv_zoo (YuNet); this copy: github.com/RuDr8A/RealTime-PPE-Compliance, commit d876a822bbb2",
    ),
    KnownModel(
        "fsanet-1x1-iter-688590.onnx", "head pose", "onnx", 1247488,
        "d85e90cb4b9d3a87e81bbfdcfcd130cbe0e175407042e439a570aa396c44eda6", f"MIT; {_RESEARCH} (300W-LP)",
        **_github("omasaht/headpose-fsanet-pytorch", "002549c981b6", "pretrained/fsanet-1x1-iter-688590.onnx"),
    ),
    KnownModel(
        "fsanet-var-iter-688590.onnx", "head pose", "onnx", 1246963,
        "2877b1db98e3dc66468e90df8db4a21059facd1c3f107af91c6d4fe6476a03e1", f"MIT; {_RESEARCH} (300W-LP)",
        **_github("omasaht/headpose-fsanet-pytorch", "002549c981b6", "pretrained/fsanet-var-iter-688590.onnx"),
    ),
    KnownModel(
        "MobileFaceNet.onnx", "identity", "onnx", 3998070,
        "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507", f"Apache-2.0; {_RESEARCH} (MS-Celeb-1M)",
        **_github("foamliu/MobileFaceNet", "a6cc9032a659", "weights/MobileFaceNet.onnx"),
    ),
    KnownModel(
        "face_landmarker_v2_with_blendshapes.task", "eyes and expression", "mediapipe", 2357924,
        "b261925d4aad812b47a0e8d58c1baa1223270a5d1f663d78338bc881c003879d", "Apache-2.0",
        **_github("google-ai-edge/mediapipe", "0179f0c4566ae78e02e1198cb73c60e4668395b5",
                  "mediapipe/tasks/testdata/vision/face_landmarker_v2_with_blendshapes.task"),
    ),
    KnownModel(
        "palm_detection_lite.onnx", "hands", "mediapipe", 3984439,
        "84091163577927af294c26e677563f17fd4a335311655203f34ee266a3a7ac54", "Apache-2.0",
        "github.com/google-ai-edge/mediapipe, commit 3d2314f4c1c4 (a pull request), mediapipe/modules/palm_detection/palm_detection_lite.onnx",
    ),
    KnownModel(
        "hand_landmark_lite.onnx", "hands", "mediapipe", 4109010,
        "baeb99944593a08fb17df35ad1613562765723de7bfb7b504315fc12da7af552", "Apache-2.0",
        "github.com/google-ai-edge/mediapipe, commit 3d2314f4c1c4 (a pull request), mediapipe/modules/hand_landmark/hand_landmark_lite.onnx",
    ),
    KnownModel(
        "yolov5n-0.5-face.pt", "faces", "yolo", 1185712,
        "9f7cdbcf5cd63f454c47b18e7400a69630b96a01efb7559367e91b6e962ad3bd", f"GPL-3.0; {_RESEARCH} (WIDER FACE)",
        "deepcam-cn/yolov5-face; this copy: github.com/syshin-cubox-ai/yolov5-face, commit 3b51dc88596d, weights/yolov5n-0.5-face.pt",
    ),
    KnownModel(
        "yolov5n-0.5.onnx", "faces", "yolo", 1809111,
        "ffeda7b88900bd8fb3c3cd71876d199aca389a1378d11e07d22faf4c5fc6b4ae", f"GPL-3.0; {_RESEARCH} (WIDER FACE)",
        **_github("deepcam-cn/yolov5-face", "b8d9b0bbb33f", "torch2tensorrt/yolov5n-0.5.onnx"),
    ),
)  # fmt: skip


def by_hash(sha256: str, known: Iterable[KnownModel] = KNOWN_MODELS) -> KnownModel | None:
    """The known file with this content."""
    return next((model for model in known if model.sha256 == sha256), None)


def by_name(name: str, known: Iterable[KnownModel] = KNOWN_MODELS) -> KnownModel | None:
    """The known file of this name; upper and lower case are the same."""
    return next((model for model in known if model.name.lower() == name.lower()), None)
