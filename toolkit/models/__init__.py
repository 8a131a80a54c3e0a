"""Every model by name. Each one takes float (N, C, H, W) of any size and gives logits (N, K, H, W).

The figures are for 21 classes, and 512 x 512 pixels; a test counts them again.
"""

from toolkit.models.entry import ModelEntry
from toolkit.parameters import Choice, Number, Value
from toolkit.registry import Registry

_UNET = "toolkit.models.unet:build"
_PLAIN: dict[str, Value] = {"norm": "none", "up": "transposed", "join": "up-first"}
_TEXT = "a U-Net text of the tutorials, after Ronneberger et al. 2015, arXiv:1505.04597"
_VGG = "Simonyan and Zisserman 2014, arXiv:1409.1556; Ronneberger et al. 2015, arXiv:1505.04597"
_RESNET = "He et al. 2015, arXiv:1512.03385; Ronneberger et al. 2015, arXiv:1505.04597"
_FCN = (Choice("upsampling", ("learnt", "fixed")), Number("fc", 4096, 16, 4096, whole=True))
_DEEP = Choice("encoder", ("resnet50", "resnet101"))


def _vgg_unet(encoder: str, summary: str, parameters: int, gflops: float) -> ModelEntry:
    return ModelEntry(
        "toolkit.models.vgg_unet:build",
        summary,
        source=_VGG,
        given={"encoder": encoder},
        options=(Choice("activation", ("relu", "none")),),
        parameters=parameters,
        gflops=gflops,
        stride=16,
    )


def _resnet_unet(depth: int, decoders: tuple[str, str], parameters: int, gflops: float) -> ModelEntry:
    decoder = {"batchnorm": "U-Net decoder with BatchNorm", "plain": "the tutorials' decoder"}[decoders[0]]
    return ModelEntry(
        "toolkit.models.resnet_unet:build",
        f"ResNet-{depth} encoder (ImageNet weights), {decoder}",
        source=_RESNET,
        given={"depth": depth, "decoder": decoders[0]},
        options=(Choice("decoder", decoders),),
        parameters=parameters,
        gflops=gflops,
        stride=32,
    )


def _unet_form(
    summary: str, given: dict[str, Value], parameters: int, gflops: float, *, stride: int = 16, source: str = _TEXT
) -> ModelEntry:
    return ModelEntry(
        _UNET,
        summary,
        source=source,
        given=given,
        has_width=True,
        has_upscale=True,
        parameters=parameters,
        gflops=gflops,
        stride=stride,
    )


def _fcn(finest: int, scores: str, parameters: int, gflops: float) -> ModelEntry:
    return ModelEntry(
        "toolkit.models.fcn:build",
        f"FCN on VGG16 (ImageNet weights), {scores}",
        source="Long et al. 2015, arXiv:1411.4038",
        given={"finest": finest},
        options=_FCN,
        parameters=parameters,
        gflops=gflops,
        stride=32,
    )


MODELS = Registry(
    "model",
    {
        "vgg16-unet": _vgg_unet(
            "vgg16", "VGG16 encoder (ImageNet weights), U-Net decoder; the tutorials' model", 24_892_437, 451.0
        ),
        "vgg11-unet": _vgg_unet(
            "vgg11", "VGG11 encoder (ImageNet weights), the decoder of vgg16-unet", 19_398_229, 368.8
        ),
        "vgg13-unet": _vgg_unet(
            "vgg13", "VGG13 encoder (ImageNet weights), the decoder of vgg16-unet", 19_582_741, 407.5
        ),
        "vgg19-unet": _vgg_unet(
            "vgg19", "VGG19 encoder (ImageNet weights), the decoder of vgg16-unet", 30_202_133, 494.5
        ),
        "vgg11-bn-unet": _vgg_unet(
            "vgg11_bn", "vgg11-unet with BatchNorm in the encoder (ImageNet weights)", 19_403_733, 368.8
        ),
        "vgg13-bn-unet": _vgg_unet(
            "vgg13_bn", "vgg13-unet with BatchNorm in the encoder (ImageNet weights)", 19_588_629, 407.5
        ),
        "vgg16-bn-unet": _vgg_unet(
            "vgg16_bn", "vgg16-unet with BatchNorm in the encoder (ImageNet weights)", 24_900_885, 451.0
        ),
        "vgg19-bn-unet": _vgg_unet(
            "vgg19_bn", "vgg19-unet with BatchNorm in the encoder (ImageNet weights)", 30_213_141, 494.5
        ),
        "resnet18-unet": _resnet_unet(18, ("batchnorm", "plain"), 14_433_621, 72.9),
        "resnet34-unet": _resnet_unet(34, ("batchnorm", "plain"), 24_541_781, 92.2),
        "resnet50-unet": _resnet_unet(50, ("plain", "batchnorm"), 43_934_101, 183.5),
        "resnet101-unet": _resnet_unet(101, ("plain", "batchnorm"), 62_926_229, 222.3),
        "unet": ModelEntry(
            _UNET,
            "small U-Net with BatchNorm, --width channels at full size; quick on a CPU",
            source="after Ronneberger et al. 2015, arXiv:1505.04597",
            options=(
                Number("depth", 4, 1, 6, whole=True),
                Choice("norm", ("batch", "none")),
                Choice("bias", ("auto", "yes", "no")),
                Choice("up", ("bilinear", "bilinear-aligned", "nearest", "transposed", "transposed-unbiased")),
                Choice("down", ("max", "strided")),
                Choice("join", ("skip-first", "up-first")),
                Number("slope", 0, 0, 1),
                Number("dropout", 0, 0, 0.9),
                Number("dropout1", 0, 0, 0.9),
                Number("dropout2", 0, 0, 0.9),
                Choice("padding", ("same", "valid")),
                Choice("head", ("1x1", "3x3")),
            ),
            has_width=True,
            has_upscale=True,
            stride=16,
            parameters=7_850_261,
            gflops=111.9,
        ),
        "unet-bn": _unet_form(
            "U-Net with three halvings, BatchNorm and bilinear enlarging",
            {"width": 64, "depth": 3, "bias": "yes", "up": "bilinear-aligned", "join": "up-first"},
            7_789_845,
            339.8,
            stride=8,
        ),
        "unet-paper": _unet_form(
            "the original U-Net: valid convolutions, mirrored borders, overlapping tiles",
            {**_PLAIN, "width": 64, "dropout": 0.5, "padding": "valid"},
            31_033_045,
            628.6,
            stride=1,
            source="Ronneberger et al. 2015, arXiv:1505.04597",
        ),
        "unet-transposed": _unet_form(
            "the original U-Net with padded convolutions and no dropout", {**_PLAIN, "width": 64}, 31_033_045, 386.0
        ),
        "unet-strided": _unet_form(
            "U-Net with strided convolutions, dropout, LeakyReLU and nearest enlarging",
            {
                "width": 64,
                "bias": "yes",
                "up": "nearest",
                "down": "strided",
                "join": "up-first",
                "slope": 0.01,
                "dropout1": 0.3,
                "dropout2": 0.4,
                "head": "3x3",
            },
            32_101_013,
            398.1,
        ),
        "unet-keras": _unet_form(
            "U-Net of 32 to 512 channels without normalising, as in Keras examples", _PLAIN, 7_760_757, 96.9
        ),
        "unet-tf": _unet_form(
            "unet-keras with LeakyReLU 0.2; --upscale 3 makes its masks three times finer",
            {**_PLAIN, "up": "transposed-unbiased", "slope": 0.2},
            7_760_277,
            96.9,
        ),
        "unetplusplus": ModelEntry(
            "toolkit.models.unetplusplus:build",
            "UNet++: nested skips, four heads that all learn",
            source="Zhou et al. 2018, arXiv:1807.10165; 2019, arXiv:1912.05074",
            options=(
                Choice("supervision", ("mean", "last", "none")),
                Choice("norm", ("batch", "none")),
                Number("dropout", 0, 0, 0.9),
            ),
            has_width=True,
            stride=16,
            parameters=9_048_564,
            gflops=239.7,
        ),
        "vnet": ModelEntry(
            "toolkit.models.vnet:build",
            "V-Net in 2-D: residual stages of 5x5 convolutions, PReLU, no pooling",
            source="Milletari et al. 2016, arXiv:1606.04797",
            options=(Choice("norm", ("batch", "none")),),
            has_width=True,
            stride=16,
            parameters=13_280_229,
            gflops=161.6,
        ),
        "fcn8s": _fcn(8, "scores at 1/8, 1/16 and 1/32 joined", 134_382_239, 221.7),
        "fcn16s": _fcn(16, "scores at 1/16 and 1/32 joined", 134_385_914, 221.7),
        "fcn32s": _fcn(32, "scores at 1/32 only: coarse outlines", 134_432_597, 221.7),
        "segnet": ModelEntry(
            "toolkit.models.segnet:build",
            "VGG16-BN encoder (ImageNet weights), unpooling to where its maxima were",
            source="Badrinarayanan et al. 2015, arXiv:1511.00561",
            stride=32,
            parameters=29_451_413,
            gflops=326.1,
        ),
        "u2net": ModelEntry(
            "toolkit.models.u2net:build",
            "U2-Net: a U of small Us, six side outputs learnt from and fused",
            source="Qin et al. 2020, arXiv:2005.09007",
            given={"form": "u2net"},
            stride=32,
            parameters=44_274_729,
            gflops=310.3,
        ),
        "u2netp": ModelEntry(
            "toolkit.models.u2net:build",
            "the small U2-Net: 1.2 million weights",
            source="Qin et al. 2020, arXiv:2005.09007",
            given={"form": "u2netp"},
            stride=32,
            parameters=1_200_233,
            gflops=110.6,
        ),
        "deeplabv3": ModelEntry(
            "toolkit.models.deeplab:build_v3",
            "dilated ResNet (ImageNet weights), atrous spatial pyramid pooling; torchvision's",
            source="Chen et al. 2017, arXiv:1706.05587",
            options=(_DEEP, Choice("stride", ("8", "16"))),
            stride=8,
            parameters=42_004_074,
            gflops=327.2,
        ),
        "deeplabv3plus": ModelEntry(
            "toolkit.models.deeplab:build_v3plus",
            "DeepLabV3 with a decoder that sharpens edges at a quarter of the size",
            source="Chen et al. 2018, arXiv:1802.02611",
            options=(_DEEP, Choice("stride", ("16", "8"))),
            stride=16,
            parameters=40_352_181,
            gflops=138.4,
        ),
        "pspnet": ModelEntry(
            "toolkit.models.pspnet:build",
            "dilated ResNet (ImageNet weights), means over 1, 4, 9 and 36 parts of the image",
            source="Zhao et al. 2017, arXiv:1612.01105",
            options=(_DEEP,),
            stride=8,
            parameters=48_957_802,
            gflops=354.2,
        ),
        "refinenet": ModelEntry(
            "toolkit.models.refinenet:build",
            "ResNet (ImageNet weights), four cascaded refinement blocks, logits at 1/4",
            source="Lin et al. 2017, arXiv:1611.06612",
            options=(Choice("encoder", ("resnet50", "resnet101", "resnet18", "resnet34")),),
            stride=32,
            parameters=99_060_309,
            gflops=487.0,
        ),
        "fastfcn": ModelEntry(
            "toolkit.models.fastfcn:build",
            "ResNet (ImageNet weights), joint pyramid upsampling, the head of another model",
            source="Wu et al. 2019, arXiv:1903.11816",
            options=(_DEEP, Choice("head", ("aspp", "psp", "fcn"))),
            stride=32,
            parameters=61_739_626,
            gflops=230.6,
        ),
        "hrnet": ModelEntry(
            "toolkit.models.hrnet:build",
            "four branches, the finest at a quarter of the size; needs the extra smp",
            source="Wang et al. 2019, arXiv:1908.07919",
            options=(Choice("encoder", ("hrnet_w18", "hrnet_w18_small_v2", "hrnet_w32", "hrnet_w48")),),
            stride=32,
            parameters=9_641_391,
            gflops=36.9,
        ),
    },
)
