"""Adaptive discriminator augmentation (StyleGAN2-ADA, arXiv 2006.06676): what is done to pictures, and how often."""
