"""The published models that this software reads, as their authors describe them.

A checksum is here where the file itself is in the authors' repository, where its name holds the first digits (torchvision),
or where independent copies of it agree.
"""

from restyle_jax.zoo.entry import Entry

RESTYLE = "https://github.com/yuval-alaluf/restyle-encoder"
PSP = "https://github.com/eladrich/pixel2style2pixel"
E4E = "https://github.com/omertov/encoder4editing"
STYLE_TRANSFORMER = "https://github.com/sapphire497/style-transformer"
IDINVERT = "https://github.com/genforce/idinvert_pytorch"
NVLABS = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"
AUXILIARY = "the table 'Auxiliary Models' in the README of yuval-alaluf/restyle-encoder"
TORCHVISION = "https://download.pytorch.org/models/"

OF_NVIDIA = "NVIDIA Source Code License-NC, non-commercial"
OF_ENCODERS = f"MIT for the code; the generator inside: {OF_NVIDIA}"
OF_IMAGENET = "BSD-3-Clause for the code; the terms of ImageNet may hold for the weights"

FACES, CARS, CHURCHES, HORSES, WILD = 1024, 512, 256, 256, 512  # pixels of the generators


def _restyle(base: str, subject: str, title: str, resolution: int) -> Entry:
    return Entry(
        f"official/restyle-{base.lower()}-{subject}",
        f"ReStyle over {base} for {title}, encoder and generator",
        f"restyle_{base.lower()}_{subject.replace('-', '_')}_encode.pt",
        RESTYLE,
        f"the table 'ReStyle-{base}' of the README",
        OF_ENCODERS,
        resolution,
    )


def _e4e(subject: str, title: str, resolution: int, sha256: str | None = None, size: int | None = None) -> Entry:
    return Entry(
        f"official/e4e-{subject}",
        f"e4e for {title}, encoder and generator",
        f"e4e_{subject}_encode.pt",
        E4E,
        "the table 'Pretrained Models' of the README",
        OF_ENCODERS,
        resolution,
        sha256,
        size,
    )


def _style_transformer(subject: str, title: str, entry: str, resolution: int) -> Entry:
    """The README gives these files no names; those here are ours."""
    return Entry(
        f"official/style-transformer-{subject}",
        f"Style Transformer for {title}, encoder and generator",
        f"style_transformer_{subject}.pt",
        STYLE_TRANSFORMER,
        f"'{entry}' in the README",
        f"none is given for the code; the generator inside: {OF_NVIDIA}",
        resolution,
    )


def _generator(subject: str, title: str, file: str, resolution: int) -> Entry:
    what = f"StyleGAN2 for {title}, in the names of rosinality's code"
    return Entry(
        f"official/stylegan2-{subject}", what, file, RESTYLE, AUXILIARY, OF_NVIDIA, resolution
    )  # fmt: skip


def _pickle(subject: str, title: str, resolution: int) -> Entry:
    what = f"StyleGAN2-ADA for {title}, NVIDIA's network pickle"
    return Entry(
        f"official/stylegan2-ada-{subject}", what, f"{subject}.pkl", NVLABS, "the list of pretrained models", OF_NVIDIA, resolution
    )  # fmt: skip


def _idinvert(subject: str, title: str) -> Entry:
    return Entry(
        f"official/idinvert-{subject}256",
        f"StyleGAN of idinvert_pytorch for {title}",
        f"styleganinv_{subject}256_generator.pth",
        IDINVERT,
        "the table 'Pre-trained Models' of the README",
        "MIT for the code; nothing is said of the weights",
        256,
    )


def _torchvision(name: str, title: str, file: str) -> Entry:
    digits = file.removesuffix(".pth").rpartition("-")[2]
    what = f"torchvision's {title}"
    return Entry(
        f"official/{name}", what, file, f"{TORCHVISION}{file}", "torchvision's model zoo", OF_IMAGENET, sha256=digits
    )


def _lpips(net: str, sha256: str, size: int) -> Entry:
    return Entry(
        f"official/lpips-{net}",
        f"the linear layers of LPIPS v0.1 for {net}",
        f"{net}.pth",
        "https://github.com/richzhang/PerceptualSimilarity",
        "lpips/weights/v0.1 of the repository richzhang/PerceptualSimilarity",
        "BSD-2-Clause",
        sha256=sha256,
        size=size,
    )


ENTRIES = (
    _restyle("pSp", "ffhq", "faces", FACES),
    _restyle("pSp", "cars", "cars", CARS),
    _restyle("pSp", "church", "churches", CHURCHES),
    _restyle("pSp", "afhq-wild", "wild animals", WILD),
    Entry(
        "official/restyle-psp-toonify",
        "ReStyle over pSp for faces as cartoons, to go on from restyle-psp-ffhq (--bootstrap-from)",
        "restyle_psp_toonify.pt",
        RESTYLE,
        "the section 'Encoder Bootstrapping' of the README",
        OF_ENCODERS,
        FACES,
    ),
    _restyle("e4e", "ffhq", "faces", FACES),
    _restyle("e4e", "cars", "cars", CARS),
    _restyle("e4e", "church", "churches", CHURCHES),
    _restyle("e4e", "afhq-wild", "wild animals", WILD),
    _restyle("e4e", "horse", "horses", HORSES),
    Entry(
        "official/psp-ffhq",
        "pSp for faces, encoder and generator",
        "psp_ffhq_encode.pt",
        PSP,
        "'StyleGAN Inversion' in the table 'Pretrained Models' of the README",
        OF_ENCODERS,
        FACES,
    ),
    _e4e("ffhq", "faces", FACES, "2ace1d9a8c05c10a399bcd500b8dda118f759ff1aac89dbdab7435f2136a0999", 1_201_649_680),
    _e4e("cars", "cars", CARS),
    _e4e("horse", "horses", HORSES),
    _e4e("church", "churches", CHURCHES),
    _style_transformer("ffhq", "faces", "FFHQ Inversion Model", FACES),
    _style_transformer("cars", "cars", "Stanford Cars Inversion Model", CARS),
    _generator("ffhq", "faces", "stylegan2-ffhq-config-f.pt", FACES),
    _generator("cars", "cars", "stylegan2-car-config-f.pt", CARS),
    _generator("church", "churches", "stylegan2-church-config-f.pt", CHURCHES),
    _generator("horse", "horses", "stylegan2-horse-config-f.pt", HORSES),
    _generator("afhq-wild", "wild animals", "afhqwild.pt", WILD),
    _pickle("ffhq", "faces", 1024),
    _pickle("metfaces", "faces in paintings", 1024),
    _pickle("afhqcat", "cats", 512),
    _pickle("afhqdog", "dogs", 512),
    _pickle("afhqwild", "wild animals", 512),
    _pickle("brecahad", "tissue under the microscope", 512),
    _pickle("cifar10", "ten classes of small pictures (needs --class)", 32),
    _idinvert("ffhq", "faces"),
    _idinvert("tower", "towers"),
    _idinvert("bedroom", "bedrooms"),
    Entry(
        "official/ir-se50",
        "the IR-SE50 face network of the identity loss",
        "model_ir_se50.pth",
        RESTYLE,
        AUXILIARY,
        "MIT (TreB1eN/InsightFace_Pytorch)",
        sha256="a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
        size=175_367_323,
    ),
    Entry(
        "official/moco-v2",
        "the MoCo v2 ResNet-50 of the similarity loss",
        "moco_v2_800ep_pretrain.pt",
        RESTYLE,
        AUXILIARY,
        "CC BY-NC 4.0 (facebookresearch/moco)",
        sha256="5e4a3fd7178a95837c0ad71c265ed5f477d271e753ba505b6b6a5e86829eeb7e",
    ),
    _torchvision("resnet18", "ResNet-18", "resnet18-f37072fd.pth"),
    _torchvision("resnet34", "ResNet-34", "resnet34-333f7ec4.pth"),
    _torchvision("resnet50", "ResNet-50", "resnet50-0676ba61.pth"),
    _torchvision("alexnet", "AlexNet", "alexnet-owt-7be5be79.pth"),
    _torchvision("vgg16", "VGG16", "vgg16-397923af.pth"),
    _torchvision("squeezenet", "SqueezeNet 1.1", "squeezenet1_1-b8a52dc0.pth"),
    _lpips("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0", 6_009),
    _lpips("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868", 7_289),
    _lpips("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76", 10_811),
    Entry(
        "official/inception-fid",
        "the Inception-v3 of FID (the TensorFlow graph of 2015-12-05, converted)",
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights",
        "the releases of mseitzer/pytorch-fid",
        "Apache-2.0",
        sha256="6726825d",
    ),
)
