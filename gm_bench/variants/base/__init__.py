"""What variants share: the contract, the round of a GAN, the bound of a VAE."""
