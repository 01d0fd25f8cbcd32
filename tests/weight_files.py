"""The weight files of the losses, in the layout in which people download them, with random numbers."""

from pathlib import Path

from tests import official


def lpips(folder: Path, net: str = "alex") -> tuple[Path, Path]:
    """(torchvision's trunk, linear layers of LPIPS v0.1) for `net`, at the published sizes."""
    tensors = [entry for entry in official.entries(f"losses/lpips_{net}") if entry[0] not in ("net.mean", "net.std")]
    state = official.values(tensors)
    parts = {"net.layers.": "features.", "lin.": "lin"}
    renamed = {
        theirs + key.removeprefix(ours): value
        for ours, theirs in parts.items()
        for key, value in state.items()
        if key.startswith(ours)
    }
    trunk = {key: value for key, value in renamed.items() if key.startswith("features.")}
    linear = {
        key.replace(".1.weight", ".model.1.weight"): value for key, value in renamed.items() if key.startswith("lin")
    }
    return official.write(folder / f"{net}_trunk.pth", trunk), official.write(folder / f"{net}.pth", linear)


def face(folder: Path) -> Path:
    """`model_ir_se50.pth`, a quarter as wide as published."""
    tensors = official.resized(official.entries("losses/id_irse50"), resolution=8)
    return official.write(folder / "model_ir_se50.pth", official.values(tensors))
