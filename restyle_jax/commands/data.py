"""`restyle data prepare` and `restyle data check`."""

import argparse
from typing import Any

from restyle_jax.commands.arguments import add_command, failed, integer, path

DATA_SETS = ("ffhq", "celeba_hq", "cars", "lsun_church", "lsun_horse", "lsun_bedroom", "afhq_wild", "folder", "avatars")

PREPARE = """\
what --from must hold:
  ffhq          images1024x1024/ of the download; all are training pictures, and celeba_hq is
                the usual test set (`restyle train --test-data`)
  celeba_hq     CelebA-HQ-img/ of CelebAMask-HQ, or images/; for the published test split of
                2,824 pictures also CelebA's list_eval_partition.txt and
                CelebA-HQ-to-CelebA-mapping.txt
  cars          cars_train/ and cars_test/ of Stanford Cars
  lsun_church, lsun_horse, lsun_bedroom
                the unpacked lmdb folders, such as church_outdoor_train_lmdb/ and
                church_outdoor_val_lmdb/
  afhq_wild     train/wild/ and val/wild/ (or test/wild/)
  folder        train/ and test/ with pictures, or one folder of pictures, of which some become
                the test split; for pairs (sketches, label maps, ...) source/ and target/ in
                train/ and in test/, with equal file names

avatars needs no --from: its faces are drawn from named factors (head, hair, smile, glasses, yaw, light,
...; data_pipelines/drawing/factors.py lists them), which are written beside every picture.
Training and test pictures show different identities, with four pictures each.

It writes a TFDS data set (ArrayRecord files) with the files of the pictures as they are, their
number and checksums (checksums.json). Damaged pictures are left out and named. The folder appears
when everything is complete. Training also reads plain folders; a prepared data set is one thing
to copy and to verify, and is read as fast from a network disk.

example:
  restyle data prepare ffhq --from downloads/ffhq --to data/ffhq
  restyle data prepare avatars --to data/avatars --resolution 64 --count 60000
"""

CHECK = """\
Decodes every picture of a folder or a prepared data set, compares checksums, and names pictures
that cannot be read, that have an odd size for their data set, and that are there twice. Pictures
beside train/ and test/ are counted as "elsewhere". Nothing is changed. The exit status is 0 if
nothing was found, otherwise 1.

example:
  restyle data check data/ffhq
"""


def add_data(commands: Any) -> None:
    """Declare `restyle data`."""
    data = commands.add_parser(
        "data", help="prepare and check training pictures", description="Prepare and check training pictures."
    )
    actions = data.add_subparsers(title="commands", metavar="<command>", required=True)
    prepare = add_command(actions, "prepare", "make a data set from a download, or draw one", PREPARE, _prepare)
    prepare.add_argument("name", choices=DATA_SETS, metavar="NAME", help="one of " + ", ".join(DATA_SETS))
    prepare.add_argument("--from", dest="source", type=path, metavar="DIR", help="the download")
    prepare.add_argument("--to", dest="target", required=True, type=path, metavar="DIR", help="a new folder")
    prepare.add_argument(
        "--workers", type=integer(1), default=2, metavar="N", help="threads that read and decode (default: 2)"
    )
    prepare.add_argument(
        "--resolution", type=integer(8), metavar="R", help="avatars: width and height in pixels (default: 64)"
    )
    prepare.add_argument(
        "--count",
        type=integer(1),
        metavar="N",
        help="avatars: number of training pictures (default: 60000); test pictures are a tenth as many",
    )
    check = add_command(actions, "check", "look for pictures that would spoil a training", CHECK, _check)
    check.add_argument("folder", type=path, metavar="DIR", help="a folder of pictures, or a prepared data set")


def _prepare(parsed: argparse.Namespace) -> int:
    from data_pipelines.avatars import layout
    from data_pipelines.prepare import prepare, write_data_set

    if parsed.name == "avatars":
        if parsed.source is not None:
            return failed("avatars are drawn, not read from a download: leave out --from.")
        try:
            pictures = layout(parsed.resolution or 64, parsed.count or 60_000)
        except ValueError as error:
            return failed(f"avatars: {error}.")
        result = write_data_set(parsed.name, lambda: pictures, parsed.target, workers=parsed.workers)
    elif parsed.source is None:
        return failed(f"{parsed.name} needs --from, the folder of the download; --help says what it must hold.")
    elif parsed.resolution or parsed.count:
        return failed(f"--resolution and --count are for avatars; pictures of {parsed.name} are taken as they are.")
    else:
        result = prepare(parsed.name, parsed.source, parsed.target, workers=parsed.workers)
    print(result.text())
    print(f"Wrote {parsed.target}")
    return 0


def _check(parsed: argparse.Namespace) -> int:
    from data_pipelines.check import check

    report = check(parsed.folder)
    print(report.text())
    return 0 if report.fine else failed(f"{parsed.folder}: see above for what was found.")
