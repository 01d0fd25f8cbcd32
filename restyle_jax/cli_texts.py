"""What `restyle <command> --help` says below the options."""

INVERT = """\
what it writes into DIR:
  steps/1/ ... steps/N/   the reconstruction after each step: <photo name>.png
  latents.npz             key: photo name with extension; value: float32 [N, K, 512]
  metrics.json            L2 to the input per photo and step, settings, versions, device, seconds
  grid.png                one row per photo: input, average image, steps 1 ... N
                          (long folders go on in grid_2.png, ..., up to 8 pages)
  change.png, change.npz  where each step changed the pictures, and how much

Photos are named by their path inside the folder that was given. If several inputs share
names, all are named by their path from the folder that holds every input. Where only the
extension differs (a.jpg, a.png), the results keep it: a.jpg.png, a.png.png.

Photos may have any size, colour mode and EXIF orientation; transparency is laid over
white, colour profiles are ignored. They are resized to the encoder's input (256 x 256;
cars 192 x 256) without keeping the aspect ratio, as the networks were trained: crop or
align them first for good results.

If it is stopped, the same command continues with the photos that are not done, and
photos added later are done alone. The exit status is 0 if all photos were inverted,
1 if some could not be read (all others are done) or nothing could be done.

examples:
  restyle invert --checkpoint restyle_psp_ffhq_encode.pt --input photos --output inverted
  restyle invert --checkpoint toonify.pt --bootstrap-from restyle_psp_ffhq_encode.pt \\
                 --input me.jpg --output toons --steps 1
"""

GENERATE = """\
Writes seed0000.png, ... and sheet.png with all of them (the first 64). A seed shows the same
picture as in stylegan2-ada-pytorch's generate.py.

example:
  restyle generate --checkpoint ffhq.pkl --output faces --seeds 0-15,99 --truncation-psi 0.7
"""

CONVERT = """\
Reads any checkpoint that restyle knows (see `restyle inspect`) and writes the folder DST_DIR with
config.json and weights.safetensors. It loads faster, needs no PyTorch, and every command takes it.

example:
  restyle convert restyle_psp_ffhq_encode.pt ffhq
"""

EXPORT = """\
Writes a .pt file that the official PyTorch code loads. PyTorch itself is not needed.
  restyle      a whole ReStyle, pSp or e4e checkpoint (encoder, generator, average latent)
  rosinality   a generator file of rosinality/stylegan2-pytorch (g_ema, and d if there is one)

example:
  restyle export ffhq restyle_psp_ffhq_encode.pt --format restyle
"""

INSPECT = """\
Says what a file is (kind, networks, sizes, number of styles, what is missing) without building a
network. Knows PyTorch .pt/.pth files, NVlabs .pkl snapshots, .safetensors and folders made by
`restyle convert`. Nothing in the file is ever executed.

example:
  restyle inspect restyle_psp_ffhq_encode.pt
"""
