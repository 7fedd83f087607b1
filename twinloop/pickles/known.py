"""The exact names that model files are known to hold: classes of torch, of the YOLO packages, and torch's types.

A name that is not here is not therefore bad; it is *unknown*, and an inspector says so. Pairs, never prefixes: a file
may name any module under ``torch.nn.`` that it likes.
"""

from __future__ import annotations

from collections.abc import Mapping

from twinloop.pickles.names import pairs

_LAYERS: Mapping[str, str] = {
    "activation": (
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish"
        " MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink"
        " Softsign Tanh Tanhshrink Threshold"
    ),
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm",
    "channelshuffle": "ChannelShuffle",
    "container": "ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    "flatten": "Flatten Unflatten",
    "fold": "Fold Unfold",
    "instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    "linear": "Bilinear Identity Linear NonDynamicallyQuantizableLinear",
    "loss": (
        "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss"
        " HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss"
        " MultiMarginLoss NLLLoss NLLLoss2d PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss"
    ),
    "module": "Module",
    "normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "padding": (
        "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d ReflectionPad1d"
        " ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d"
        " ZeroPad3d"
    ),
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "pooling": (
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d"
        " AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d"
        " MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d"
    ),
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNCell",
    "sparse": "Embedding EmbeddingBag",
    "transformer": "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer",
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
}

_STORAGES = "Half Float Double BFloat16 Long Int Short Char Byte Bool ComplexFloat ComplexDouble"
_DTYPES = (
    "float16 half bfloat16 float32 float float64 double int8 uint8 int16 short uint16 int32 int uint32 int64 long"
    " uint64 bool qint8 quint8 qint32 complex32 complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz"
    " float8_e5m2fnuz float8_e8m0fnu"
)
_QUANTIZERS = (
    "per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric per_channel_affine_float_qparams"
)
_NUMPY_TYPES = (
    "bool bool_ int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 complex64 complex128 str_"
    " bytes_ longlong ulonglong intc uintc longdouble clongdouble object_ void datetime64 timedelta64 generic number"
    " integer signedinteger unsignedinteger inexact floating complexfloating flexible character"
)
_NUMPY_DTYPES = (
    "Bool Byte Bytes CLongDouble Complex128 Complex64 DateTime64 Float16 Float32 Float64 Int16 Int32 Int64 Int8 Int"
    " Long LongDouble LongLong Object Short Str String TimeDelta64 UByte UInt16 UInt32 UInt64 UInt8 UInt ULong"
    " ULongLong UShort Void"
)
_ACTIVATIONS = (
    "relu relu6 gelu silu mish elu celu selu glu leaky_relu sigmoid tanh softmax log_softmax softsign tanhshrink"
    " hardtanh hardsigmoid hardswish"
)
"""Functions that layers of torch keep as what they were told to use; they calculate, and no opcode may call them."""

_YOLOV5_BLOCKS = (
    "Conv DWConv DWConvTranspose2d TransformerLayer TransformerBlock Bottleneck BottleneckCSP CrossConv C3 C3x C3TR"
    " C3SPP C3Ghost SPP SPPF Focus GhostConv GhostBottleneck Contract Expand Concat Proto Classify AutoShape NMS"
    " StemBlock ShuffleV2Block BlazeBlock DoubleBlazeBlock conv_bn_relu DWConvblock ADD SEBlock Shuffle_Block"
)

_ULTRALYTICS: Mapping[str, str] = {
    "conv": (
        "Conv Conv2 LightConv DWConv DWConvTranspose2d ConvTranspose Focus GhostConv RepConv ChannelAttention"
        " SpatialAttention CBAM Concat Index"
    ),
    "block": (
        "DFL Proto HGStem HGBlock SPP SPPF C1 C2 C2f C3 C3x RepC3 C3TR C3Ghost GhostBottleneck Bottleneck BottleneckCSP"
        " ResNetBlock ResNetLayer MaxSigmoidAttnBlock C2fAttn ImagePoolingAttn ContrastiveHead BNContrastiveHead"
        " RepBottleneck RepCSP RepNCSPELAN4 ELAN1 AConv ADown SPPELAN CBLinear CBFuse C3f C3k2 C3k RepVGGDW CIB C2fCIB"
        " Attention PSABlock PSA C2PSA C2fPSA SCDown TorchVision AAttn ABlock A2C2f Residual SwiGLUFFN SAVPE Proto26"
        " RealNVP"
    ),
    "head": (
        "Detect Segment OBB Pose Classify WorldDetect LRPCHead YOLOEDetect YOLOESegment RTDETRDecoder v10Detect"
        " Segment26 Pose26 OBB26 YOLOESegment26"
    ),
    "transformer": (
        "TransformerEncoderLayer AIFI TransformerLayer TransformerBlock MLPBlock MLP LayerNorm2d MSDeformAttn "
        "DeformableTransformerDecoderLayer DeformableTransformerDecoder"
    ),
}
_ULTRALYTICS_TASKS = (
    "BaseModel DetectionModel OBBModel SegmentationModel PoseModel ClassificationModel RTDETRDetectionModel WorldModel"
    " YOLOEModel YOLOESegModel Ensemble"
)
_ULTRALYTICS_LOSSES = (
    "v8DetectionLoss v8SegmentationLoss v8PoseLoss v8ClassificationLoss v8OBBLoss E2EDetectLoss BboxLoss"
    " RotatedBboxLoss KeypointLoss VarifocalLoss FocalLoss DFLoss"
)


def _ultralytics() -> set[tuple[str, str]]:
    """Their layout until 8.0.43, until 8.0.135 and since: the same classes in other modules."""
    every = " ".join(_ULTRALYTICS.values())
    found = pairs("ultralytics.nn.modules", every)
    for module, names in _ULTRALYTICS.items():
        found |= pairs(f"ultralytics.nn.modules.{module}", names)
    found |= pairs("ultralytics.nn.tasks", _ULTRALYTICS_TASKS)
    for utils in ("ultralytics.utils", "ultralytics.yolo.utils"):
        found |= pairs(utils, "IterableSimpleNamespace") | pairs(f"{utils}.loss", _ULTRALYTICS_LOSSES)
        found |= pairs(f"{utils}.tal", "TaskAlignedAssigner RotatedTaskAlignedAssigner")
    return found | pairs("ultralytics.yolo.v8.detect.train", "Loss")


def _torch() -> set[tuple[str, str]]:
    found = pairs("torch", _DTYPES) | pairs("torch", _QUANTIZERS) | pairs("torch", "Size device Tensor")
    found |= pairs("torch.nn.parameter", "Parameter Buffer") | pairs("torch._tensor", "Tensor")
    found |= pairs("torch.storage", "UntypedStorage TypedStorage")
    found |= pairs("torch", "QInt8Storage QUInt8Storage QInt32Storage")
    for kind in _STORAGES.split():
        found |= {(module, f"{kind}{what}") for module in ("torch", "torch.cuda") for what in ("Storage", "Tensor")}
    found |= pairs("torch.nn.functional", _ACTIVATIONS) | pairs("torch._C._nn", "gelu softplus log_sigmoid")
    found |= pairs("torch.nn.parallel.data_parallel", "DataParallel")
    for module, names in _LAYERS.items():
        found |= pairs(f"torch.nn.modules.{module}", names)
    return found


def _torchvision() -> set[tuple[str, str]]:
    """Ultralytics classifiers carry the description of how their pictures were prepared."""
    found = pairs(
        "torchvision.transforms.transforms",
        "Compose Resize CenterCrop Normalize ToTensor RandomHorizontalFlip Grayscale",
    )
    return found | pairs("torchvision.transforms.functional", "InterpolationMode")


KNOWN: frozenset[tuple[str, str]] = frozenset(
    _torch()
    | _ultralytics()
    | _torchvision()
    | pairs("numpy", "ndarray matrix recarray record " + _NUMPY_TYPES)
    | pairs("numpy.dtypes", " ".join(f"{name}DType" for name in _NUMPY_DTYPES.split()))
    | pairs("numpy.char", "chararray")
    | pairs("numpy.matrixlib.defmatrix", "matrix")
    | pairs("numpy.rec", "recarray")
    | pairs("numpy.ma", "MaskedArray")
    | pairs("numpy.ma.core", "MaskedArray MaskedConstant")
    | pairs("joblib.numpy_pickle", "NumpyArrayWrapper")
    | pairs("models.common", _YOLOV5_BLOCKS)
    | pairs("models.yolo", "Model DetectionModel BaseModel SegmentationModel ClassificationModel Detect Segment")
    | pairs("models.experimental", "CrossConv Sum MixConv2d Ensemble C3 GhostConv GhostBottleneck")
)
"""``(module, name)`` pairs whose meaning is known; `Policy.knows` adds those for which there is a constructor or a
record."""
