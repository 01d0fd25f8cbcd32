"""What a training run may fail with."""


class TrainingError(Exception):
    """Training cannot start or go on; the message says what was found, what was expected and what to do."""
