"""Which encoders serve which task, by their input channels (pSp `configs/data_configs.py` and its README). Without JAX."""

# Of all tasks but segmentation, whose encoders have one channel for each class. ReStyle's have 6: a photo and its reconstruction.
CHANNELS = {"sketch": (1,), "frontalise": (6, 3), "super_resolution": (6, 3), "inversion": (6, 3)}


def fits_task(channels: int, task: str) -> bool:
    """Whether an encoder with so many input channels can be one for a task."""
    return channels in CHANNELS[task] if task in CHANNELS else channels not in (1, 6)
