"""What variants share: the contract, the round of a GAN, the search for codes."""
