"""How avatars are drawn: a canvas for vector shapes, the factors of a face, and its parts."""
